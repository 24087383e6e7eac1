"""A key that got another name is read under both for a release, and warned about."""

from types import MappingProxyType

import pytest
from pydantic import Field

from components.schema.problem import ConfigError
from components.schema.renamed import with_new_names
from components.schema.typed_file import TypedFile
from components.schema.yaml_text import line_finder, read_yaml

pytestmark = pytest.mark.unit


class Part(TypedFile):
    renamed = MappingProxyType({"old": "newName"})

    new_name: int = 0


class Whole(TypedFile):
    part: Part | None = None
    named: dict[str, Part] = Field(default_factory=dict)
    listed: tuple[Part, ...] = ()
    free: dict[str, object] = Field(default_factory=dict)


TEXT = """\
part:
  old: 1
named:
  x: {old: 2}
listed:
  - newName: 3
  - old: 4
free: {old: 5}
"""


def test_the_old_name_is_read_wherever_the_model_stands() -> None:
    made, warnings = with_new_names(Whole, read_yaml(TEXT, "f"), "f", "p:", line_finder(TEXT))
    whole = Whole.model_validate(made)
    assert whole.part == Part.model_validate({"newName": 1})
    assert whole.named == {"x": Part.model_validate({"newName": 2})}
    assert whole.listed == (Part.model_validate({"newName": 3}), Part.model_validate({"newName": 4}))
    assert whole.free == {"old": 5}
    told = "renamed to newName: the next release refuses the old name"
    assert [str(warning) for warning in warnings] == [
        f"f:2: p:part.old: {told}",
        f"f:4: p:named.x.old: {told}",
        f"f:7: p:listed[1].old: {told}",
    ]


def test_both_names_are_an_error() -> None:
    with pytest.raises(ConfigError, match=r"^f: part\.old: the old name of newName, which is there, too"):
        with_new_names(Whole, {"part": {"old": 1, "newName": 2}}, "f")


@pytest.mark.parametrize("value", [None, 3, "text", [], {"x": 3}])
def test_what_is_of_another_kind_is_left_to_the_model(value: object) -> None:
    values = {"part": value, "named": value, "listed": value}
    assert with_new_names(Whole, values, "f") == (values, [])
