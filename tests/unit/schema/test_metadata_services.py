"""Metadata services: known in every key where a network, an address or a host that is one may stand."""

import ipaddress
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from components.config.settings import Settings
from components.package.file.keys import PackageSpec
from components.schema.metadata_services import METADATA_SERVICES, address_of, metadata_networks, metadata_within
from components.schema.reached import REACHED, network_of
from components.service.file.service import ServiceSpec

pytestmark = pytest.mark.unit

Leaf = tuple[str, Any]
DIGEST = f"sha256:{'a' * 64}"
SHAPES = (
    *("{bare}", "{bare}/{bits}", "https://{host}", "https://{host}/x", "https://{host}:8443/x", "oci://{host}/x"),
    *("{host}:5000/x", "{host}/x", "{host}/x:v1", "{host}:5000/x:v1", f"{{host}}:5000/x@{DIGEST}"),
)
NO_ADDRESSES = ("no-address", "no address", "/no/address")
# Nobody connects to them: browsers compare whose pages may read answers, and the others are names with a domain.
NOT_CONNECTED_TO = {
    "paths.cors.origins",
    "ports.*.paths.cors.origins",
    "patch.annotations.<name>",
    "placement.*.resources.<name>",
}
# What is written there is closed.
OWN = "metadataCidrs"
# Port 53 alone leads there: `test_servers_of_names` has them.
SERVERS_OF_NAMES = "dns.servers"


def leaves(annotation: Any, path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Each text of a model with its type, by the path of its key."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            whole = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            yield from leaves(whole, (*path, field.alias or name))
    elif annotation is str or (origin is Annotated and arguments[0] is str):
        yield ".".join(path), annotation
    elif origin is Annotated:
        yield from leaves(arguments[0], path)
    elif origin is dict:
        yield from leaves(arguments[0], (*path, "<name>"))
        yield from leaves(arguments[1], (*path, "*"))
    elif origin in (tuple, Union, UnionType):
        for each in arguments:
            yield from leaves(each, path)


def shaped(shape: str, address: str, bits: int = 0) -> str:
    longest = 128 if ":" in address else 32
    host = f"[{address}]" if ":" in address else address
    return shape.format(bare=address, host=host, bits=bits or longest)


def accepts(kind: Any, value: str) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def of_addresses() -> dict[tuple[str, str], Any]:
    """The keys that take an address in some shape, and no text that has none: by key and shape."""
    found: dict[tuple[str, str], Any] = {}
    for model in (Settings, ServiceSpec, PackageSpec):
        for key, kind in leaves(model):
            if any(accepts(kind, text) for text in NO_ADDRESSES):
                continue
            for shape in SHAPES:
                if any(accepts(kind, shaped(shape, ordinary)) for ordinary in ("198.51.100.7", "2001:db8::7")):
                    found[key, shape] = kind
    return found


KEYS = of_addresses()
ADDRESSES = (
    *(
        str(ipaddress.ip_network(each.network).network_address + (1 if not each.address else 0))
        for each in METADATA_SERVICES
    ),
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
)
NUMBERS = ("2852039166", "0xa9fea9fe", "169.254.43518", "0251.0376.0251.0376")


def test_the_keys_are_found() -> None:
    keys = {key for key, _ in KEYS}
    assert keys >= {
        *("apiServerCidrs", "webhookCidrs", "vault.address", "vault.cidrs", "databases.*.host", "databases.*.cidrs"),
        *("vault.seal.transit.address", "ingress.acmeServer.directory", "ingress.waf.image", "ingress.waf.cidrs"),
        *("teams.*.approved.networks", "registries", "pullSecrets.<name>", "charts.repositories.*", "mesh.hub"),
        *("egress.cidrs", "plaintextPorts.cidrs", "jwt.jwksUri", "patch.pod.hostAliases.ip", "image", SERVERS_OF_NAMES),
    }


@pytest.mark.parametrize("address", ADDRESSES)
def test_none_takes_a_metadata_service(address: str) -> None:
    taken = [
        (key, shaped(shape, address))
        for (key, shape), kind in KEYS.items()
        if key not in {*NOT_CONNECTED_TO, SERVERS_OF_NAMES, OWN} and accepts(kind, shaped(shape, address))
    ]
    assert taken == []


@pytest.mark.parametrize("number", NUMBERS)
def test_none_takes_a_number_that_resolvers_read_as_one(number: str) -> None:
    taken = [
        (key, shaped(shape, number))
        for (key, shape), kind in KEYS.items()
        if key not in NOT_CONNECTED_TO and accepts(kind, shaped(shape, number))
    ]
    assert taken == []


def test_each_is_looked_at_for_the_clusters_own_services() -> None:
    unmarked = {
        key for (key, _), kind in KEYS.items() if not any(each is REACHED for each in get_args(kind))
    } - NOT_CONNECTED_TO
    assert unmarked == {OWN}


@pytest.mark.parametrize("each", METADATA_SERVICES, ids=lambda each: each.network)
def test_servers_of_names(each: Any) -> None:
    """Those at which a cloud answers names, and link-local ones that are nobody's: of a cache on the node."""
    kind = dict(leaves(Settings))[SERVERS_OF_NAMES]
    assert accepts(kind, each.network) is each.answers_names
    assert accepts(kind, "169.254.20.10/32")
    assert not accepts(kind, "64:ff9b::a9fe:a9fe/128")


@pytest.mark.parametrize("wide", ["100.64.0.0/10", "168.0.0.0/8", "192.0.0.0/16", "fc00::/32", "fd00:ec2::/64"])
def test_a_wider_network_is_taken_and_opened_without_them(wide: str) -> None:
    kind = dict(leaves(Settings))["apiServerCidrs"]
    assert accepts(kind, wide)
    held = [each for each in metadata_networks() if overlap(each, wide)]
    assert [str(each) for each in held] == metadata_within(wide)


def overlap(network: Any, wide: str) -> bool:
    outer = ipaddress.ip_network(wide)
    return network.version == outer.version and network.overlaps(outer)


def test_a_table_entry_says_whose_it_is_and_where_that_stands() -> None:
    for each in METADATA_SERVICES:
        assert each.whose
        assert each.source.startswith("https://")
        assert 0 < each.port < 65536


@pytest.mark.parametrize(
    ("value", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("https://10.0.0.7:8200", "10.0.0.7/32"),
        ("https://[fd00::7]/x", "fd00::7/128"),
        ("oci://10.0.0.7/charts", "10.0.0.7/32"),
        ("10.0.0.7:5000/x/y:v1", "10.0.0.7/32"),
        ("10.0.0.7", "10.0.0.7/32"),
        ("db.example.org", None),
        ("registry.example.org:5000/x", None),
    ],
)
def test_the_address_in_a_value(value: str, network: str | None) -> None:
    assert network_of(value) == (ipaddress.ip_network(network) if network else None)


def test_a_name_is_no_address() -> None:
    assert address_of("a9.example.org") is None
    assert address_of("") is None
