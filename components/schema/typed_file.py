"""The base of every model read from YAML: typed keys, no unknown ones, errors that say what is legal."""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Self, cast, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import DEFAULT_REF_TEMPLATE, GenerateJsonSchema, JsonSchemaMode
from pydantic_core import PydanticCustomError

from components.schema.descriptions import describe
from components.schema.fields import A_DAY
from components.schema.problem import UNKNOWN_KEY, UNREPEATED, LineOf, PlaceOf, Problem, no_line, shown_value
from components.schema.repeats import repeated
from components.schema.shape import FileSchema

_NOTHING, _SOMETHING = "~none", "~given"
IS_NONE = Tag(_NOTHING)
IS_VALUE = Tag(_SOMETHING)
# Without it, an error would list the problems of both sides of the union.
NONE_OR_VALUE = Discriminator(lambda value: _NOTHING if isinstance(value, str) else _SOMETHING)  # pyright: ignore[reportUnknownLambdaType] - any value of a file

_ONE, _SEVERAL = "~one", "~several"
IS_ONE = Tag(_ONE)
IS_SEVERAL = Tag(_SEVERAL)
ONE_OR_SEVERAL = Discriminator(lambda value: _SEVERAL if isinstance(value, list | tuple) else _ONE)  # pyright: ignore[reportUnknownLambdaType] - any value of a file
_TAGS = (_NOTHING, _SOMETHING, _ONE, _SEVERAL)

# A key with such a name has a secret: no error shows its value, and no file may have it in plaintext.
SECRET_KEY = re.compile(r"pass|pwd|token|secret|credential|private|api_?key|jwks?$")

_MISPLACED = "misplaced"

_A_MAPPING = "a mapping of keys is expected"
# Replacements for pydantic's messages, which are about Python. Braces are filled with the limits in the error.
_SENTENCES = {
    "bool_type": "true or false is expected",
    "date_from_datetime_parsing": A_DAY,
    "date_parsing": A_DAY,
    "dict_type": _A_MAPPING,
    "extra_forbidden": UNKNOWN_KEY,
    "greater_than_equal": "less than {ge}",
    "int_type": "a whole number is expected",
    "less_than_equal": "more than {le}",
    "missing": "missing: this key is required",
    "model_attributes_type": _A_MAPPING,
    "model_type": _A_MAPPING,
    "none_required": "leave the key out",
    "string_too_long": "longer than {max_length} characters",
    "string_too_short": "shorter than {min_length} characters",
    "string_type": "a text is expected: put it in quotes where YAML reads something else",
    "too_long": "more than {max_length} of them",
    "too_short": "fewer than {min_length} of them",
    "tuple_type": "a list is expected",
}
_NO_VALUE = "not a legal value"
_LEGAL = {"bool_type": ("true", "false")}
# The errors whose messages this project writes.
_PROJECT_MESSAGES = ("value_error", _MISPLACED)


def misplaced(key: Sequence[int | str], message: str, value: object, legal: Sequence[str] = ()) -> PydanticCustomError:
    """The error of a validator that compares several keys. `key` is the path of the key to change in its model.

    `legal` lists the values that would be right there.
    """
    context = {"message": message, "key": tuple(key), "found": value, "legal": tuple(legal)}
    return PydanticCustomError(_MISPLACED, "{message}", context)


class TypedFile(BaseModel):
    """Base of every model read from YAML: frozen, camelCase keys, no key that the model does not name.

    A list whose order means nothing has each entry once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)
    _undescribed: ClassVar[list[type[BaseModel]]] = []

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Remember the model, whose keys nobody has described yet."""
        super().__pydantic_init_subclass__(**kwargs)
        TypedFile._undescribed.append(cls)

    @classmethod
    def model_json_schema(
        cls,
        by_alias: bool | None = True,
        ref_template: str = DEFAULT_REF_TEMPLATE,
        schema_generator: type[GenerateJsonSchema] = FileSchema,
        mode: JsonSchemaMode = "validation",
        **options: Any,
    ) -> dict[str, Any]:
        """The JSON Schema of the file, as `FileSchema` says it."""
        describe(TypedFile._undescribed)
        TypedFile._undescribed.clear()
        return super().model_json_schema(by_alias, ref_template, schema_generator, mode, **options)

    renamed: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """The old name of a key and its new one. `components/schema/renamed.py` reads both."""

    @model_validator(mode="after")
    def _each_entry_once(self) -> Self:
        if found := repeated(self):
            key, entry = found
            shown = UNREPEATED if isinstance(entry, BaseModel) else entry
            raise misplaced(key, "it stands there twice: keep one", shown)
        return self


def problems_of(
    error: ValidationError,
    model: type[BaseModel],
    file: str,
    prefix: str = "",
    line_of: LineOf = no_line,
    place_of: PlaceOf | None = None,
) -> list[Problem]:
    """The problems of a failed validation. For an unknown key they list the legal keys of its level.

    `place_of` tells file and line of a key, where the values come from more than one file.
    """
    problems: list[Problem] = []
    details = error.errors(include_url=False)
    for detail in details:
        # pydantic counts only the valid elements of a list, so a wrong element also makes it too short: skip that.
        below = (other["loc"][: len(detail["loc"])] == detail["loc"] for other in details if other is not detail)
        if detail["type"] == "too_short" and any(below):
            continue
        loc = tuple(part for part in detail["loc"] if part not in ("[key]", *_TAGS))
        context: dict[str, Any] = detail.get("ctx", {})
        value: object = detail["input"]
        if detail["type"] == _MISPLACED:
            loc, value = (*loc, *context["key"]), context["found"]
        kind, shown = detail["type"], shown_value(value)
        message, legal = _SENTENCES.get(kind, _NO_VALUE).format_map(context), _LEGAL.get(kind, ())
        if loc and SECRET_KEY.search(str(loc[-1]).lower()):
            shown = UNREPEATED
        if kind in _PROJECT_MESSAGES:
            message, legal = detail["msg"].removeprefix("Value error, "), context.get("legal", ())
        elif kind == "extra_forbidden":
            legal = legal_keys(model, loc[:-1])
        elif kind in ("model_type", "model_attributes_type"):
            legal = legal_keys(model, loc)
        elif kind == "missing":
            shown = ""
        elif expected := context.get("expected"):
            # Texts have quotes there, and numbers do not; true and false are as Python writes them.
            words = re.findall(r"'[^']*'|-?\d+|True|False", str(expected))
            legal = tuple(word.lower() if word in ("True", "False") else word.strip("'") for word in words)
        where, line = place_of(loc) if place_of else (file, line_of(loc))
        problems.append(Problem(where, prefix + dotted(loc), message, shown, legal, line))
    return problems


def dotted(loc: Iterable[int | str]) -> str:
    """The path `("calls", 1, "name")` as `calls[1].name`."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def legal_keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys that a file may have at a path of its model, in the model's order."""
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
    # A key of a mapping, such as a secret's name, does not change the model, which is that of the values.
    return model


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in get_args(annotation):
        if (model := _model_in(inner)) is not None:
            return model
    return None


class OneOf(TypedFile):
    """A choice: the file has exactly one of the keys."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self._written) != 1:
            raise ValueError(f"write one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def _written(self) -> dict[str, TypedFile]:
        choices = {name: cast("TypedFile | None", getattr(self, name)) for name in type(self).model_fields}
        return {name: choice for name, choice in choices.items() if choice is not None}

    @property
    def kind(self) -> str:
        """The key that is written."""
        return next(iter(self._written))
