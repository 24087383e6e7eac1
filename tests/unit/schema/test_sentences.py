"""Each field of both files with values of every wrong kind: the project's own words, never those of pydantic."""

import re
from collections.abc import Iterator
from datetime import date
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, ValidationError

from components.config.settings import Settings
from components.schema.problem import Problem
from components.schema.typed_file import problems_of
from components.service.file.service import ServiceSpec

pytestmark = pytest.mark.unit

WRONG: list[object] = ["Some Text", [], ["x"], [3], {}, {"some": "thing"}, None, -7, 7.5, True]
PYDANTIC = re.compile(r"Input should|\bvalid\b|instance of|should have|should be|\btuple\b|Model|Spec\b|Settings\b")
# Values of any kind: the posture table and the rule's file say which.
FREE = re.compile(r"^(posture\.\w+\.value|kyverno\.parameters\.name\.name)$")

Path = tuple[str | int, ...]


def fields(model: type[BaseModel], path: Path = (), above: tuple[type, ...] = ()) -> Iterator[Path]:
    """The place of each field below a model, with one name of a mapping and one element of a list."""
    for name, field in model.model_fields.items():
        yield from below(field.annotation, (*path, field.alias or name), (*above, model))


def below(annotation: Any, path: Path, above: tuple[type, ...]) -> Iterator[Path]:
    yield path
    yield from inside(annotation, path, above)


def inside(annotation: Any, path: Path, above: tuple[type, ...]) -> Iterator[Path]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation not in above:
            yield from fields(annotation, path, above)
    elif get_origin(annotation) is dict:
        yield from below(get_args(annotation)[1], (*path, "name"), above)
    elif get_origin(annotation) is tuple:
        yield from below(get_args(annotation)[0], (*path, 0), above)
    elif get_origin(annotation) in (Union, UnionType, Annotated):
        for choice in get_args(annotation):
            yield from inside(choice, path, above)


def written(path: Path, value: object) -> Any:
    for part in reversed(path):
        value = [value] if isinstance(part, int) else {part: value}
    return value


def problems(model: type[BaseModel], values: object) -> list[Problem]:
    try:
        model.model_validate(values)
    except ValidationError as error:
        return problems_of(error, model, "f")
    return []


def named(part: type[BaseModel] | Path) -> str:
    return ".".join(map(str, part)) if isinstance(part, tuple) else part.__name__


PLACES = [(model, path) for model in (Settings, ServiceSpec) for path in dict.fromkeys(fields(model))]


def test_every_key_of_both_files_is_walked() -> None:
    found = {(model, ".".join(map(str, path))) for model, path in PLACES}
    assert {
        (Settings, "vault.seal.awskms.region"),
        (Settings, "databases.name.adminUser"),
        (Settings, "kyverno.imageSignatures.0.publicKey"),
        (ServiceSpec, "calls.0.paths.0"),
        (ServiceSpec, "jobs.name.schedule"),
        (ServiceSpec, "config.files"),
    } <= found
    assert len(found) > 200


@pytest.mark.parametrize(("model", "path"), PLACES, ids=named)
def test_no_wrong_kind_gets_a_sentence_of_pydantics(model: type[BaseModel], path: Path) -> None:
    refused, key = 0, re.sub(r"\.(\d+)", r"[\1]", ".".join(map(str, path)))
    for value in WRONG:
        here = problems(model, written(path, value))
        for problem in here:
            assert not PYDANTIC.search(problem.message), problem
            assert problem.key, problem
            assert problem.found or problem.message.startswith("missing"), problem
        # A validator of the whole list speaks of its elements at the list's key.
        refused += any(key.startswith(problem.key) or problem.key.startswith(key) for problem in here if problem.found)
    assert bool(refused) is not bool(FREE.search(key))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"registries": "r.example.org"}, "registries: a list is expected, found 'r.example.org'"),
        ({"vault": None}, "vault: a mapping of keys is expected, found nothing; legal: mode, distribution, "),
        ({"vault": {"retainData": "yes"}}, "vault.retainData: true or false is expected, found 'yes'; legal: true, "),
        ({"kyverno": {"replicas": True}}, "kyverno.replicas: a whole number is expected, found true"),
        ({"asOf": "soon"}, "asOf: a day is expected, such as 2026-12-31, found 'soon'"),
        ({"services": {"replicas": 0}}, "services.replicas: less than 1, found 0"),
        ({"phases": {"x": 3}}, "phases.x: not a legal value, found 3; legal: audit, warn, enforce"),
    ],
)
def test_the_sentences_say_what_to_write(values: dict[str, object], said: str) -> None:
    assert any(problem.sentence.startswith(said) for problem in problems(Settings, values))


def test_a_literal_that_is_no_text_is_legal_by_itself() -> None:
    class Versioned(BaseModel):
        version: Literal[1, 2]
        day: date = date(2026, 1, 1)

    assert problems(Versioned, {"version": 3})[0].sentence == "version: not a legal value, found 3; legal: 1, 2"
    assert not PYDANTIC.search(problems(Versioned, {"version": 1, "day": "2026-02-30"})[0].message)
