"""The template of a secret's file: what the agent takes, and what comes of it."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.schema.problem import ConfigError
from components.service.file.directory import parse_service
from components.service.file.template import FILTERS, for_operator, parse, render
from tests.unit.service.test_directory import SMALL

pytestmark = pytest.mark.unit

DATA, VALUES = ".Data.data", {"user": "api", "password": 'a"b\\c\n<d>&é'}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", ""),
        ("plain } text {", "plain } text {"),
        ("u={{ .Data.data.user }}", "u=api"),
        ("u={{.Data.data.user}}!", "u=api!"),
        ("u = {{- .Data.data.user -}} \n !", "u =api!"),
        ("{{ .Data.data.user }}{{ .Data.data.user }}", "apiapi"),
        ("{{ .Data.data.user | toJSON }}", '"api"'),
        ("{{ .Data.data.user | base64Encode }}", "YXBp"),
        ("{{ .Data.data.user|base64Encode|base64Decode }}", "api"),
        ("{{ .Data.data.user | base64Encode | toJSON }}", '"YXBp"'),
        ("{{ .Data.data | toJSON }}", '{"password":"a\\"b\\\\c\\n\\u003cd\\u003e\\u0026é","user":"api"}'),
        ("{{ .Data.data | toJSON | base64Encode }}", None),
    ],
)
def test_what_comes_of_it(template: str, text: str | None) -> None:
    made = render(template, DATA, VALUES)
    assert text in (None, made)


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("a\nb {{ .Data.data.user", r"line 2 of the template: `{{` is not closed"),
        ("{{ .Data.data.user }", "is not closed"),
        (
            "{{ .Data.data.tea }}",
            r"line 1 of the template: .* {{ \.Data\.data\.tea }}; legal: .*\.user }}",
        ),
        ("{{ .Data.user }}", "the template has"),
        ("{{ .user }}", "the template has"),
        ("{{ . }}", "the template has"),
        ("{{ }}", "the template has"),
        ("{{-.Data.data.user }}", "the template has"),
        ("{{ .Data.data.user -}", "is not closed"),
        ("{{ range $k, $v := .Data.data }}x{{ end }}", "the template has"),
        ('{{ env "HOME" }}', "the template has"),
        ('{{ file "/etc/passwd" }}', "the template has"),
        ("{{/* a comment */}}", "the template has"),
        ("{{ .Data.data.user | toYAML }}", r"no filter, found 'toYAML'; legal: toJSON, base64Encode, base64Decode"),
        ('{{ .Data.data.user | printf "%s" }}', "the template has"),
        ("{{ .Data.data }}", r"all fields at once make no text: write {{ \.Data\.data | toJSON }}"),
        ("{{ .Data.data | base64Encode }}", "all fields at once make no text"),
    ],
)
def test_what_the_agent_would_not_take_is_refused(template: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        parse(template, DATA, sorted(VALUES))


@pytest.mark.parametrize(
    ("template", "operator"),
    [
        ("a={{- .Data.data.a -}}\nb={{.Data.data.b_2}}", "a={{- .a -}}\nb={{ .b_2 }}"),
        ("{{ .Data.data.a | toJSON }}", "{{ .a | toJson }}"),
        ("{{ .Data.data.a | base64Decode | base64Encode }}", "{{ .a | b64dec | b64enc }}"),
        ("{{ .Data.data | toJSON }}", "{{ . | toJson }}"),
    ],
)
def test_the_operators_language(template: str, operator: str) -> None:
    assert for_operator(template, DATA) == operator


@given(values=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text(), min_size=1))
def test_any_value_survives(values: dict[str, str]) -> None:
    assert json.loads(render("{{ .Data.data | toJSON }}", DATA, values)) == values
    for name, value in values.items():
        assert json.loads(render(f"{{{{ .Data.data.{name} | toJSON }}}}", DATA, values)) == value


@given(value=st.text(st.characters(exclude_categories=["Cs"])))
def test_base64_and_back(value: str) -> None:
    coded = render("{{ .Data.data.a | base64Encode }}", DATA, {"a": value})
    assert base64.b64decode(coded).decode() == value
    assert render("{{ .Data.data.a | base64Decode }}", DATA, {"a": coded}) == value


@given(text=st.text(alphabet="{}-. |aDt\n"))
def test_whatever_is_taken_can_be_rendered_and_translated(text: str) -> None:
    try:
        parse(text, DATA, ["a"])
    except ValueError:
        return
    assert isinstance(render(text, DATA, {"a": "x"}), str)
    assert isinstance(for_operator(text, DATA), str)


def test_every_filter_is_tried_here() -> None:
    assert set(FILTERS) == {"toJSON", "base64Encode", "base64Decode"}


@pytest.mark.parametrize(
    ("secret", "error"),
    [
        (
            "{generate: [x], template: 'a {{ .Data.data.x'}",
            r"x\.yaml:5: secrets\.s\.template: line 1 of .*closed",
        ),
        (
            '{values: {x: "a\\nb"}}',
            r"x\.yaml:5: secrets\.s\.values\.x: a value of several lines breaks",
        ),
    ],
)
def test_it_is_refused_at_its_key(secret: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        parse_service(SMALL + f"secrets: {{s: {secret}}}", "x.yaml")
