"""What every file that a person writes has in common: typed keys, no unknown ones, errors that say what is legal."""

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, cast, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictInt,
    StrictStr,
    Tag,
    ValidationError,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

METADATA_ADDRESS = ipaddress.ip_address("169.254.169.254")


_NOTHING, _SOMETHING = "~none", "~given"
IS_NONE = Tag(_NOTHING)
IS_GIVEN = Tag(_SOMETHING)
# Without it, the problems of a value would be those of both sides of the union.
NONE_OR_GIVEN = Discriminator(lambda value: _NOTHING if isinstance(value, str) else _SOMETHING)  # pyright: ignore[reportUnknownLambdaType] - any value of a file


@dataclass(frozen=True)
class Problem:
    """One mistake in a file: where it is, what was found there, why it is wrong and what would be legal."""

    file: str
    key: str
    message: str
    found: str = ""
    legal: tuple[str, ...] = ()
    line: int = 0

    def __str__(self) -> str:
        """One line for a terminal."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        found = f", found {self.found}" if self.found else ""
        legal = f"; legal: {', '.join(self.legal)}" if self.legal else ""
        close = difflib.get_close_matches(self.key.rsplit(".", 1)[-1].rsplit(":", 1)[-1], self.legal, n=1)
        nearest = f" (did you mean {close[0]}?)" if close and self.message == UNKNOWN_KEY else ""
        return f"{place}: {self.key}: {self.message}{found}{legal}{nearest}"


UNKNOWN_KEY = "unknown key"
# A key of such a name holds a secret: its value is never written into an error, nor allowed in a file in clear text.
SECRET_KEY = re.compile(r"pass|pwd|token|secret|credential|private|api_?key|jwks?$")


UNREPEATED = "a value that is not repeated here"
_MISPLACED = "misplaced"


def misplaced(key: Sequence[int | str], message: str, found: object, legal: Sequence[str] = ()) -> PydanticCustomError:
    """The error of a validator that looks at several keys: it names the one to change, from the model it judges on.

    `legal` is what could stand there in its place.
    """
    context = {"message": message, "key": tuple(key), "found": found, "legal": tuple(legal)}
    return PydanticCustomError(_MISPLACED, "{message}", context)


class ConfigError(ValueError):
    """Every problem of the configuration at once, so that one run is enough to mend a file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class TypedFile(BaseModel):
    """Base of every model read from YAML: frozen, camelCase keys, no key that the model does not name."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, use_attribute_docstrings=True)


def problems_of(
    error: ValidationError,
    model: type[BaseModel],
    file: str,
    prefix: str = "",
    line_of: Callable[[tuple[int | str, ...]], int] = lambda _: 0,
) -> list[Problem]:
    """The problems of a failed validation, with the legal keys of the very level an unknown key stands on."""
    found: list[Problem] = []
    details = error.errors(include_url=False)
    for detail in details:
        # A list counts what is left of it: an element that is wrong itself does not make it too short as well.
        below = (other["loc"][: len(detail["loc"])] == detail["loc"] for other in details if other is not detail)
        if detail["type"] == "too_short" and any(below):
            continue
        loc = tuple(part for part in detail["loc"] if part not in ("[key]", _NOTHING, _SOMETHING))
        context: dict[str, Any] = detail.get("ctx", {})
        value: object = detail["input"]
        if detail["type"] == _MISPLACED:
            loc, value = (*loc, *context["key"]), context["found"]
        message, legal, shown = detail["msg"].removeprefix("Value error, "), context.get("legal", ()), _shown(value)
        if loc and SECRET_KEY.search(str(loc[-1]).lower()):
            shown = UNREPEATED
        if detail["type"] == "extra_forbidden":
            message, legal = UNKNOWN_KEY, legal_keys(model, loc[:-1])
        elif detail["type"] == "missing":
            message, shown = "missing: this key is required", ""
        elif expected := context.get("expected"):
            message, legal = "not a legal value", tuple(re.findall(r"'([^']*)'", str(expected)))
        found.append(Problem(file, prefix + dotted(loc), message, shown, legal, line_of(loc)))
    return found


def dotted(loc: Iterable[int | str]) -> str:
    """`("calls", 1, "name")` as a reader writes it: `calls[1].name`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def legal_keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys that a file may write at a place of its model, in the model's order."""
    here: type[BaseModel] | None = model
    for part in loc:
        here = _below(here, part)
        if here is None:
            return ()
    return tuple(field.alias or name for name, field in here.model_fields.items()) if here else ()


def _below(model: type[BaseModel] | None, part: int | str) -> type[BaseModel] | None:
    if model is None or isinstance(part, int):
        return model
    for name, field in model.model_fields.items():
        if part in (name, field.alias):
            return _model_in(field.annotation)
    # A key of a mapping, such as a secret's name: the model of its values was already taken.
    return model


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        if (model := _model_in(inner)) is not None:
            return model
    return None


def _shown(value: object) -> str:
    if isinstance(value, dict):
        # A mapping may hold what somebody should not have written: its keys are enough to find it.
        return f"a mapping of {', '.join(str(key) for key in cast('dict[object, object]', value)) or 'nothing'}"
    if value == UNREPEATED:
        return UNREPEATED
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def line_finder(text: str) -> Callable[[tuple[int | str, ...]], int]:
    """A function from a key's place to its line in a YAML text (0 when the text does not hold it)."""

    @cache
    def root() -> yaml.Node | None:
        # The stubs of yaml leave the stream's type open, and with it the result's.
        return cast("yaml.Node | None", yaml.compose(text, Loader=yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]

    def line_of(loc: tuple[int | str, ...]) -> int:
        node, line = root(), 1
        for part in loc:
            if isinstance(node, yaml.MappingNode):
                pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value)
                match = next(((key, value) for key, value in pairs if key.value == str(part)), None)
                if match is None:
                    return line
                line, node = match[0].start_mark.line + 1, match[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                node = cast("list[yaml.Node]", node.value)[part]
                line = node.start_mark.line + 1
            else:
                return line
        return line

    return line_of


def read_yaml(text: str, file: str) -> Mapping[str, object]:
    """The mapping that a YAML text holds. Raises `ConfigError` with the parser's line when it holds none."""
    try:
        value: object = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError([Problem(file, "YAML", error.problem or "not YAML", line=line)]) from error
    if not isinstance(value, dict):
        raise ConfigError([Problem(file, "YAML", "a mapping of keys is expected", _shown(value))])
    return cast("Mapping[str, object]", value)


def _file_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([-._a-z0-9]{0,61}[a-z0-9])?", value):
        raise ValueError("not a file name: lower-case letters, digits, dots, hyphens and underscores")
    return value


def _label(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", value):
        raise ValueError("not a DNS label: lower-case letters, digits and hyphens, 63 at most")
    return value


def _host(value: str) -> str:
    if "*" in value:
        raise ValueError("a wildcard host would claim other services' names: write one full host name")
    if len(value) > 253 or not re.fullmatch(
        r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]*[a-z0-9])?", value
    ):
        raise ValueError("not a host name such as api.example.org")
    return value


def _cidr(value: str) -> str:
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError("not a network such as 10.20.0.0/24") from error
    if network.prefixlen == 0:
        raise ValueError("anywhere is over-broad: name the network that is meant")
    if METADATA_ADDRESS in network:
        raise ValueError("it holds the metadata address 169.254.169.254, which hands out the node's identity")
    return str(network)


def _https(value: str) -> str:
    if not re.fullmatch(r"https://[^\s/@?#]+(:\d{1,5})?/?", value):
        raise ValueError("not an address such as https://vault.example.org:8200 (TLS only, no path, no credentials)")
    return value.rstrip("/")


def _quantity(value: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?(m|k|[KMGT]i?)?", value):
        raise ValueError("not a Kubernetes quantity such as 250m or 256Mi")
    return value


def _reference(value: str) -> str:
    if re.search(r"[*\s@]|://", value) or not re.match(r"(localhost|[^/]*[.:][^/]*)(/|$)", value):
        raise ValueError("not a registry or repository such as registry.example.org/team (a host first, no wildcard)")
    if value.rstrip("/") in ("docker.io", "index.docker.io", "registry-1.docker.io"):
        raise ValueError("the public Docker Hub is nobody's approved registry: name an organisation below it")
    return value.rstrip("/")


def _image(value: str) -> str:
    host, slash, _ = value.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        raise ValueError(
            "no registry: an image starts with its registry's host, as registry.example.org/shop/api:v1.2.3"
        )
    if "@sha256:" in value:
        return value
    tag = value.rpartition("/")[2].partition(":")[2]
    if tag in ("", "latest"):
        raise ValueError("no fixed version: add a tag other than latest, or a digest")
    return value


Label = Annotated[StrictStr, AfterValidator(_label)]
FileName = Annotated[StrictStr, AfterValidator(_file_name)]
HostName = Annotated[StrictStr, AfterValidator(_host)]
Cidr = Annotated[StrictStr, AfterValidator(_cidr)]
HttpsAddress = Annotated[StrictStr, AfterValidator(_https)]
Quantity = Annotated[StrictStr, AfterValidator(_quantity)]
ImageReference = Annotated[StrictStr, AfterValidator(_reference)]
Image = Annotated[StrictStr, AfterValidator(_image)]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]
