"""Pulumi's property values on the wire: secrets, outputs and unknowns, to and from plain Python values.

The signatures are those of ``pulumi.runtime.rpc`` (pulumi/pulumi, "Property values" of the provider protocol), repeated
here because importing that module costs more than everything else this process does at its start.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from google.protobuf import struct_pb2

from .rows import ProviderError

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the protocol's public marker of a secret, not one itself
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
REFERENCE = "5cf8f73096256a8f31e491e813e4eb8e"
UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS = frozenset(
    {
        UNKNOWN_TEXT,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)


class _Unknown:
    """The value of an output that only exists after the update."""

    def __repr__(self) -> str:
        return "<known after the update>"

    def __deepcopy__(self, memo: object) -> "_Unknown":
        return self


UNKNOWN = _Unknown()


@dataclass(frozen=True)
class Bag:
    """The properties of one message, in plain values, and which of them hold a secret."""

    values: dict[str, object] = field(default_factory=dict[str, object])
    secrets: frozenset[str] = frozenset()


def has_unknown(value: object) -> bool:
    """Whether a value, or anything in it, is only known after the update."""
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(has_unknown(item) for item in value)
    return value is UNKNOWN


def decode(message: struct_pb2.Struct) -> Bag:
    """Read a message's properties; internal ones (``__defaults`` and the like) are the engine's and left out."""
    values: dict[str, object] = {}
    secrets: set[str] = set()
    for name, wire in message.fields.items():
        if name.startswith("__"):
            continue
        value, secret = _value(wire)
        values[name] = value
        if secret:
            secrets.add(name)
    return Bag(values, frozenset(secrets))


def _value(wire: struct_pb2.Value) -> tuple[object, bool]:
    match wire.WhichOneof("kind"):
        case "string_value":
            return (UNKNOWN if wire.string_value in _UNKNOWNS else wire.string_value), False
        case "number_value":
            number = wire.number_value
            return (int(number) if number.is_integer() else number), False
        case "bool_value":
            return wire.bool_value, False
        case "list_value":
            items = [_value(item) for item in wire.list_value.values]
            return [item for item, _ in items], any(secret for _, secret in items)
        case "struct_value":
            return _object(wire.struct_value)
        case _:
            return None, False


def _object(wire: struct_pb2.Struct) -> tuple[object, bool]:
    signature = wire.fields[SIGNATURE].string_value if SIGNATURE in wire.fields else ""
    if not signature:
        items = {name: _value(item) for name, item in wire.fields.items()}
        return {name: item for name, (item, _) in items.items()}, any(secret for _, secret in items.values())
    if signature == SECRET:
        return _value(wire.fields["value"])[0], True
    if signature == OUTPUT:
        marked = "secret" in wire.fields and wire.fields["secret"].bool_value
        if "value" not in wire.fields:
            return UNKNOWN, marked
        value, secret = _value(wire.fields["value"])
        return value, secret or marked
    if signature == REFERENCE:
        return (wire.fields["id"].string_value if "id" in wire.fields else wire.fields["urn"].string_value), False
    raise ProviderError(f"a value of the kind {signature!r} (an asset or archive) isn't taken by any property here")


def encode(values: Mapping[str, object], secrets: Collection[str] = ()) -> struct_pb2.Struct:
    """Write properties, those named in ``secrets`` marked as secret. One without a value is a null, and no secret."""
    message = struct_pb2.Struct()
    for name, value in values.items():
        plain = _wire(value)
        message.fields[name].CopyFrom(_secret(plain) if name in secrets and value is not None else plain)
    return message


def _secret(plain: struct_pb2.Value) -> struct_pb2.Value:
    wrapped = struct_pb2.Value()
    wrapped.struct_value.fields[SIGNATURE].string_value = SECRET
    wrapped.struct_value.fields["value"].CopyFrom(plain)
    return wrapped


def _wire(value: object) -> struct_pb2.Value:
    wire = struct_pb2.Value()
    if value is UNKNOWN:
        wire.string_value = UNKNOWN_TEXT
    elif isinstance(value, bool):
        wire.bool_value = value
    elif isinstance(value, int | float):
        wire.number_value = value
    elif isinstance(value, str):
        wire.string_value = value
    elif isinstance(value, Mapping):
        wire.struct_value.SetInParent()
        for name, item in value.items():
            wire.struct_value.fields[str(name)].CopyFrom(_wire(item))
    elif isinstance(value, list | tuple):
        wire.list_value.SetInParent()
        wire.list_value.values.extend(_wire(item) for item in value)
    else:
        wire.null_value = struct_pb2.NULL_VALUE
    return wire
