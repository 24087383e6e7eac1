"""The values of files that name what is connected to: a network, an address, or a host that may be one."""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import BaseModel

from components.schema.metadata_services import Network, address_of, lies_in, own_networks
from components.schema.problem import Key


class Reached:
    """Marks the type of such a value: `reached` finds it."""


REACHED = Reached()


def reached(model: BaseModel) -> Iterator[tuple[Key, str]]:
    """Each marked value of a model, with its place in the file."""
    for name, field in type(model).model_fields.items():
        marked = REACHED in field.metadata
        yield from _in(getattr(model, name), field.annotation, marked, (field.alias or name,))


def _in(value: object, annotation: Any, marked: bool, key: Key) -> Iterator[tuple[Key, str]]:
    if isinstance(value, BaseModel):
        yield from (((*key, *below), text) for below, text in reached(value))
    elif isinstance(value, str):
        if marked or _is_marked(annotation):
            yield key, value
    elif isinstance(value, Mapping):
        names, values = _mapping(annotation)
        for name, each in cast("Mapping[str, object]", value).items():
            yield from _in(name, names, False, (*key, name))
            yield from _in(each, values, False, (*key, name))
    elif isinstance(value, tuple):
        for number, each in enumerate(cast("Sequence[object]", value)):
            yield from _in(each, annotation, marked, (*key, number))


def _is_marked(annotation: Any) -> bool:
    return annotation is REACHED or any(_is_marked(each) for each in get_args(annotation))


def _mapping(annotation: Any) -> tuple[Any, Any]:
    """The types of the keys and values of a mapping."""
    if get_origin(annotation) is dict:
        names, values = get_args(annotation)
        return names, values
    return next((found for each in get_args(annotation) if any(found := _mapping(each))), (None, None))


def network_of(value: str) -> Network | None:
    """The network that such a value is, or that of the address in it; `None` for a name."""
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        address = address_of(urlsplit(f"//{value.partition('://')[2] or value}").hostname or "")
        return ipaddress.ip_network(address) if address else None


def of_own_metadata(model: BaseModel, own: Sequence[str]) -> Iterator[tuple[Key, str, str]]:
    """The values of a model in the networks `own`, each with its place and the network: a cluster's own services."""
    networks = own_networks(own)
    for key, value in reached(model) if networks else ():
        network = network_of(value)
        if network and (found := lies_in(network, networks)):
            yield key, value, found


def own_metadata_message(network: str) -> str:
    """Why such a value is refused."""
    return f"it is of {network}, where identities are handed out on this cluster (metadataCidrs of the stack file)"
