"""YAML that a person wrote: keys that stand there twice, what is no text, and the line of each."""

import os
from pathlib import Path

import pytest

from components.schema.problem import ConfigError
from components.schema.yaml_text import line_finder, misread_places, read_text, read_yaml

pytestmark = pytest.mark.unit

TWICE = """\
port: 1
calls:
  - {service: a, paths: [/x]}
  - service: b
    paths: [/y]
    service: c
port: 2
"""


def refused(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_yaml(text, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_key_that_stands_there_twice_is_an_error_with_both_lines() -> None:
    assert sorted(refused(TWICE)) == [
        "f.yaml:6: calls[1].service: it stands in line 4, too: keep one",
        "f.yaml:7: port: it stands in line 1, too: keep one",
    ]
    assert len(misread_places(TWICE, "f.yaml")) == 2


@pytest.mark.parametrize(
    "text",
    [
        "a: {x: 1}\nb: {x: 1}\n",
        "base: &b {x: 1}\nmore: {<<: *b, x: 2}\nsame: [*b, *b]\n",
        "base: &b {x: 1}\nmore: {<<: *b}\n",
    ],
)
def test_a_key_of_another_mapping_is_another_key(text: str) -> None:
    assert read_yaml(text, "f.yaml")
    assert misread_places(text, "f.yaml") == []


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        *((f"x: {{{key}: b}}", f"x.{key}", "a key is a text") for key in ("on", "1", "~", "2026-01-01", "1.5")),
        *(
            (f"x: [{number}]", "x[0]", "YAML reads another number there than is written")
            for number in ("9" * 5000, "22:22", "1:30.5", "0750", "0x1F90", "8_080", "0b11")
        ),
        ("values: {mode: 22:22}", "values.mode", "YAML reads another number"),
        *((f'x: "a{c}"', "x", "a character that no text has") for c in ("\\0", "\\x00", "\\ud800", "\\u0000")),
        ('x: {"a\\0": b}', "x.'a\\x00'", "a character that no text has"),
    ],
)
def test_what_yaml_reads_in_another_way_than_it_is_written_is_refused(text: str, key: str, said: str) -> None:
    (problem,) = refused(text)
    assert problem.startswith(f"f.yaml:1: {key}: {said}")
    assert len(misread_places(text, "f.yaml")) == 1


@pytest.mark.parametrize(
    "text",
    [
        "x: [0, -1, 8080, +5, 1.5, 1.0e+8, .5, .inf, .nan, '22:22', 1e3]",
        "values: {defaultMode: 0440, pipes: 0x1F, many: 1_000}",
        "x: [2026-01-01, yes, ~, 'on']\n'on': a\n'1': b\n",
        'x: "tab\\t, line\\n, caf\\u00e9, \\U0001F600"',
    ],
)
def test_what_everybody_reads_alike_is_none_of_it(text: str) -> None:
    assert read_yaml(text, "f.yaml")


@pytest.mark.parametrize("value", ["!!bool maybe", "!!int ''", "!!float ''", "!!timestamp x", "!!binary 'ä'"])
def test_a_value_that_is_none_of_its_tag_has_its_line(value: str) -> None:
    (problem,) = refused(f"a: 1\nb: {value}\n")
    assert problem.startswith("f.yaml:2: YAML: ")


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {y: *x}\n",
        "a: &x [*x]\n",
        "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)),
        "a0: &a0 {k: 1}\n"
        + "".join(f"a{n}: &a{n} {{{', '.join(f'k{k}: *a{n - 1}' for k in range(9))}}}\n" for n in range(1, 9)),
    ],
    ids=["a mapping in itself", "a list in itself", "many lists", "many mappings"],
)
def test_anchors_do_not_make_a_small_file_large(text: str) -> None:
    with pytest.raises(ConfigError, match=r"f\.yaml: YAML: its anchors make more than 1000000 values of it"):
        read_yaml(text, "f.yaml")


def test_a_mapping_that_holds_itself_ends() -> None:
    assert misread_places("a: &x {y: *x}\n", "f.yaml") == []


@pytest.mark.parametrize("text", ["a: [", "a: \x07", "[[" * 2000])
def test_what_is_no_yaml_has_no_lines_and_no_keys(text: str) -> None:
    assert misread_places(text, "f.yaml") == []
    assert line_finder(text)(("a",)) == 0
    assert refused(text)[0].startswith("f.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nday: 2026-02-30\n", "f.yaml:2: YAML: day is out of range for month"),
        ("a: 1\nb: \x07\n", "f.yaml:2: YAML: special characters are not allowed, found character 0x0007"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2: YAML: but found another document"),
        ("", "f.yaml: YAML: a mapping of keys is expected, found nothing"),
    ],
)
def test_what_is_no_mapping_is_refused_with_its_line(text: str, said: str) -> None:
    assert refused(text) == [said]


def test_a_file_in_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes("a: 1\nb: caf\xe9\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"^services/x\.yaml:2: YAML: not text in UTF-8, found byte 0xe9$"):
        read_text(path, "services/x.yaml")
    with pytest.raises(ConfigError, match=r"^services/y\.yaml: YAML: cannot be read: No such file"):
        read_text(tmp_path / "y.yaml", "services/y.yaml")
    path.write_bytes(b"a: 1\r\n")
    assert read_text(path, "x.yaml") == "a: 1\r\n"


def test_a_file_that_nobody_wrote_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"#" * (4 * 2**20 + 1))
    with pytest.raises(ConfigError, match=r"^x\.yaml: YAML: larger than 4194304 bytes, found 4194305 bytes$"):
        read_text(path, "x.yaml")


def test_what_may_never_end_is_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "x.yaml"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(ConfigError, match=r"^x\.yaml: YAML: no regular file$"):
            read_text(path, "x.yaml")
