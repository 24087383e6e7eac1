"""How each kind of property is validated, compared, sent to the API and read back from it."""

import json
import re
from collections.abc import Mapping
from typing import cast

from .rows import Kind, Prop, Values
from .wire import UNKNOWN, has_unknown

ABSENT = object()

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d*)?)(h|ms|us|µs|ns|m|s)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_TEXTUAL = (Kind.TEXT, Kind.DOCUMENT, Kind.PATH)
_LISTS = (Kind.LIST, Kind.SET, Kind.CIDRS)
_TIMES = (Kind.DURATION, Kind.AGE)
_EMPTY: dict[Kind, object] = {
    **dict.fromkeys(_TEXTUAL, ""),
    **dict.fromkeys((Kind.INTEGER, Kind.SECONDS), 0),
    **dict.fromkeys(_LISTS, ()),
    **{kind: {} for kind in (Kind.MAP, Kind.TEXTS, Kind.OBJECT)},
    Kind.FLAG: False,
    **dict.fromkeys(_TIMES, 0),
    Kind.JSON: None,
}
_RESET: dict[Kind, object] = {
    **_EMPTY,
    **{kind: [] for kind in _LISTS},
    Kind.SECONDS: "0s",
    **dict.fromkeys(_TIMES, "0s"),
}
# What the state has of a property that the server answers with nothing.
_NOTHING: dict[Kind, object] = {**_EMPTY, **{kind: [] for kind in _LISTS}, Kind.DURATION: "0s", Kind.AGE: "0"}
_WANTED = {
    **dict.fromkeys(_TEXTUAL, "a string"),
    **dict.fromkeys((Kind.INTEGER, Kind.SECONDS), "a whole number"),
    **dict.fromkeys(_LISTS, "a list of strings"),
    Kind.FLAG: "true or false",
    Kind.MAP: "an object whose values are strings",
    Kind.OBJECT: "an object",
    **dict.fromkeys(_TIMES, 'a duration such as "90s", "1h" or "1h30m"'),
    Kind.JSON: "a JSON object as a string",
}


def seconds(value: object) -> float:
    """Seconds of a number, or of a duration in Go's notation (``time.ParseDuration``); ValueError otherwise."""
    if isinstance(value, int | float):
        return float(value)
    text = str(value or "0").strip()
    if re.fullmatch(r"\d+", text):
        return float(text)
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no duration")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def complaint(prop: Prop, value: object) -> str | None:
    """Why a value does not fit its property, or None. A value only known later always fits."""
    if value is UNKNOWN or value is None:
        return None
    if _fits(prop, value):
        return None
    # The found value may be a secret, so the message names its type alone.
    return f"is {_type(value)}, and has to be {_WANTED[prop.kind]}"


def _fits(prop: Prop, value: object) -> bool:
    match prop.kind:
        case Kind.FLAG:
            return isinstance(value, bool)
        case Kind.INTEGER | Kind.SECONDS:
            return isinstance(value, int) and not isinstance(value, bool)
        case Kind.LIST | Kind.SET | Kind.CIDRS:
            return isinstance(value, list) and all(item is UNKNOWN or isinstance(item, str) for item in value)
        case Kind.MAP:
            return isinstance(value, dict) and all(item is UNKNOWN or isinstance(item, str) for item in value.values())
        case Kind.OBJECT:
            return isinstance(value, dict)
        case Kind.JSON | Kind.DURATION | Kind.AGE:
            return isinstance(value, str) and _parses(prop.kind, value)
        case _:
            return isinstance(value, str)


def _parses(kind: Kind, text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict) if kind is Kind.JSON else seconds(text) >= 0
    except ValueError:
        return False


def _type(value: object) -> str:
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)


def canonical(prop: Prop, value: object) -> object:
    """The form in which two values of a property are compared: order, spelling and emptiness do not count."""
    if value is None:
        return _EMPTY[prop.kind]
    if has_unknown(value):
        return UNKNOWN
    match prop.kind:
        case Kind.DOCUMENT:
            return str(value).strip()
        case Kind.PATH:
            return str(value).strip("/")
        case Kind.SECONDS | Kind.DURATION | Kind.AGE:
            return seconds(value)
        case Kind.JSON:
            return json.loads(str(value))
        case Kind.LIST | Kind.SET | Kind.CIDRS:
            return _canonical_list(prop.kind, cast("list[str]", value))
        case Kind.OBJECT:
            return _canonical_block(prop, cast("Values", value))
        case _:
            return value


def _canonical_list(kind: Kind, items: list[str]) -> tuple[str, ...]:
    if kind is Kind.LIST:
        return tuple(items)
    return tuple(sorted(_bare_address(item) if kind is Kind.CIDRS else item for item in items))


def _bare_address(text: str) -> str:
    return text.removesuffix("/128") if ":" in text else text.removesuffix("/32")


def _canonical_block(prop: Prop, block: Values) -> dict[str, object]:
    forms = {inner.name: canonical(inner, block.get(inner.name)) for inner in prop.inner}
    return {inner.name: forms[inner.name] for inner in prop.inner if forms[inner.name] != _EMPTY[inner.kind]}


def same(prop: Prop, left: object, right: object) -> bool:
    """Whether two values of a property mean the same. Two values only known later never do."""
    one, other = canonical(prop, left), canonical(prop, right)
    return one is not UNKNOWN and other is not UNKNOWN and one == other


def is_empty(prop: Prop, value: object) -> bool:
    """Whether a value says nothing: unset, empty, zero or false."""
    return value is not UNKNOWN and canonical(prop, value) == _EMPTY[prop.kind]


def is_collection(prop: Prop) -> bool:
    """Whether it holds several values, and not a block of properties."""
    return prop.kind in (*_LISTS, Kind.MAP, Kind.TEXTS)


def to_api(prop: Prop, value: object) -> object:
    """A property's value as the API takes it; None gives the value that resets the field."""
    if value is None:
        return _RESET[prop.kind]
    match prop.kind:
        case Kind.SECONDS:
            return f"{value}s"
        case Kind.JSON:
            return json.loads(str(value))
        case _:
            return value


def from_api(prop: Prop, answer: object) -> object:
    """An API field as the property's value: what is empty there is empty here, of the property's own type."""
    if answer is ABSENT and prop.sparse:
        return None
    if answer is None or answer is ABSENT or answer == "":
        return _NOTHING[prop.kind]
    match prop.kind:
        case Kind.SECONDS:
            return int(seconds(answer))
        case Kind.DURATION:
            return _go_duration(int(seconds(answer)))
        case Kind.AGE:
            return str(int(seconds(answer)))
        case Kind.SET:
            return sorted(cast("list[str]", answer))
        case Kind.TEXTS:
            return _texts(cast("Values", answer))
        case _:
            return answer


def in_state(prop: Prop, value: object) -> object:
    """A value that the program gave as the state has it: JSON without blanks, its keys in order, a set in order.

    JSON is written as Go's ``encoding/json`` writes it, which spells the characters of HTML by their numbers.
    """
    if prop.kind is Kind.SET and isinstance(value, list):
        return sorted(cast("list[str]", value))
    if prop.kind is not Kind.JSON or not isinstance(value, str):
        return value
    text = json.dumps(json.loads(value), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _go_duration(number: int) -> str:
    """Seconds in Go's notation without the units that are zero: 5400 is 1h30m."""
    units = ((number // 3600, "h"), (number % 3600 // 60, "m"), (number % 60, "s"))
    return "".join(f"{count}{unit}" for count, unit in units if count) or "0s"


def _texts(answer: Values) -> dict[str, str]:
    return {
        name: item if isinstance(item, str) else json.dumps(item, separators=(",", ":"))
        for name, item in answer.items()
    }


def field(answer: object, dotted: str) -> object:
    """A dotted field of an API answer, or ABSENT."""
    found = answer
    for part in dotted.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return ABSENT
        found = cast("Values", found)[part]
    return found
