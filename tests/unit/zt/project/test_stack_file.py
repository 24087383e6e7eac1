"""Editing a stack file: the phase moves, and no other character of the file does."""

import difflib
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.schema.problem import ConfigError
from tests.support.stacks import ENVIRONMENTS, ROOT
from zt.project.stack_file import PHASES, StackFile, set_phase, stack_names

KEY = "zero-trust:phases"

# A small file that the settings accept, in a style that a YAML library would rewrite.
HEAD = """\
# Ours.
"config":
  zero-trust:environment:   'local'   # aligned
  zero-trust:registries:
  - registry.example.org
  zero-trust:services: { replicas:  1 }
"""

STYLES: list[tuple[str, str]] = [
    ("  zero-trust:phases: {}\n", "  zero-trust:phases:\n    probes: warn\n"),
    ("  zero-trust:phases: {}  # none yet\n", "  zero-trust:phases:  # none yet\n    probes: warn\n"),
    ("  zero-trust:phases: {}", "  zero-trust:phases:\n    probes: warn\n"),
    ("  zero-trust:phases: {a: audit}\n", "  zero-trust:phases: {a: audit, probes: warn}\n"),
    ("  zero-trust:phases: { a: audit, }\n", "  zero-trust:phases: { a: audit, probes: warn, }\n"),
    ("  zero-trust:phases: {probes: audit, a: warn}\n", "  zero-trust:phases: {probes: warn, a: warn}\n"),
    (
        "  zero-trust:phases: {\n    a: warn # why\n  }\n",
        "  zero-trust:phases: {\n    a: warn, probes: warn # why\n  }\n",
    ),
    ("  zero-trust:phases:\n    a: warn # why\n", "  zero-trust:phases:\n    a: warn # why\n    probes: warn\n"),
    ("  zero-trust:phases:\n    a: warn", "  zero-trust:phases:\n    a: warn\n    probes: warn\n"),
    ("  zero-trust:phases:\n      a: warn\n", "  zero-trust:phases:\n      a: warn\n      probes: warn\n"),
    ("  zero-trust:phases:\n    'probes':  \"audit\"\n", "  zero-trust:phases:\n    'probes':  \"warn\"\n"),
    (
        "  zero-trust:phases:\n    probes: audit # soon\n    z: enforce\n",
        "  zero-trust:phases:\n    probes: warn # soon\n    z: enforce\n",
    ),
    ("", "  zero-trust:phases:\n    probes: warn\n"),
    ("  # the end\n", "  zero-trust:phases:\n    probes: warn\n  # the end\n"),
    ("  zero-trust:asOf: 2026-01-31", "  zero-trust:asOf: 2026-01-31\n  zero-trust:phases:\n    probes: warn\n"),
    (
        "  other:text: |\n    one\n\n    two\nencryptionsalt: v1:x\n",
        "  other:text: |\n    one\n\n    two\n  zero-trust:phases:\n    probes: warn\nencryptionsalt: v1:x\n",
    ),
]


def phases_of(text: str) -> dict[str, str]:
    return yaml.safe_load(text)["config"].get(KEY) or {}


def without_phases(text: str) -> dict[str, Any]:
    values = yaml.safe_load(text)
    values["config"].pop(KEY, None)
    return values


@pytest.mark.parametrize(("before", "after"), STYLES)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_only_the_phase_changes(before: str, after: str, line_end: str) -> None:
    told = (HEAD + before).replace("\n", line_end)
    assert set_phase(told, "probes", "warn", "f") == (HEAD + after).replace("\n", line_end)


def test_a_flow_map_of_keys_gets_a_flow_map() -> None:
    assert set_phase("config: {a: 1}\n", "r", "warn", "f") == f"config: {{a: 1, {KEY}: {{r: warn}}}}\n"
    assert set_phase(f"config: {{{KEY}: {{}}}}\n", "r", "warn", "f") == f"config: {{{KEY}: {{r: warn}}}}\n"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("phase", PHASES)
def test_in_the_projects_files_one_line_is_added(environment: str, phase: str) -> None:
    before = (ROOT / f"Pulumi.{environment}.yaml").read_text()
    after = set_phase(before, "some-rule", phase, "f")
    changes = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]
    assert changes[-1] == f"+     some-rule: {phase}"
    assert {line[2:].strip() for line in changes[:-1]} <= {f"{KEY}: {{}}", f"{KEY}:"}
    assert after.count("\n") == before.count("\n") + 1


NAMES = st.from_regex(r"[a-z]([a-z-]{0,8}[a-z])?", fullmatch=True).filter(
    lambda name: isinstance(yaml.safe_load(name), str)
)
PHASE_MAPS = st.dictionaries(NAMES, st.sampled_from(PHASES), max_size=4)
NOISE = st.sampled_from(
    ["", "\n", "  # a remark\n", "  \n", "  other:key:   [1,2]   # x\n", "  other:deep:\n   a:\n    - b\n"]
)


@st.composite
def stack_texts(draw: st.DrawFn) -> str:
    phases = draw(PHASE_MAPS)
    quote = draw(st.sampled_from(["", "'", '"']))
    style = draw(st.sampled_from(["absent", "flow", "block"]))
    entries = [f"{quote}{rule}{quote}: {quote}{phase}{quote}" for rule, phase in phases.items()]
    body = ""
    if style == "flow" or (style == "block" and not entries):
        body = f"  {KEY}: {{ {', '.join(entries)} }}{draw(st.sampled_from(['', ' # here']))}\n"
    elif style == "block":
        indent = " " * draw(st.integers(3, 6))
        body = f"  {KEY}:\n" + "".join(f"{indent}{entry}{draw(st.sampled_from(['', '  # x']))}\n" for entry in entries)
    first, second = draw(NOISE), draw(NOISE)
    tail = draw(st.sampled_from(["", "# end\n", "encryptionsalt: v1:abc\n"]))
    text = HEAD + first + body + (second if second != first else "") + tail
    text = text if draw(st.booleans()) else text.rstrip("\n")
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


@given(stack_texts(), NAMES, st.sampled_from(PHASES))
def test_whatever_the_style_nothing_but_the_phase_has_another_value(text: str, rule: str, phase: str) -> None:
    edited = set_phase(text, rule, phase, "f")
    assert phases_of(edited) == {**phases_of(text), rule: phase}
    assert without_phases(edited) == without_phases(text)
    changed = [line[2:] for line in difflib.ndiff(text.splitlines(), edited.splitlines()) if line[0] in "+-"]
    assert all(rule in line or KEY in line for line in changed)
    assert text.count("#") == edited.count("#")
    assert ("\r\n" in edited) is ("\r\n" in text)


@given(stack_texts(), st.data())
def test_a_step_forth_and_back_gives_the_same_file(text: str, data: st.DataObject) -> None:
    rules = phases_of(text)
    if rules:
        rule = data.draw(st.sampled_from(sorted(rules)))
        there = set_phase(text, rule, data.draw(st.sampled_from(PHASES)), "f")
        assert set_phase(there, rule, rules[rule], "f") == text


@pytest.mark.parametrize(
    "text",
    [
        f"config:\n  a: &p {{x: audit}}\n  {KEY}: *p\n",
        f"config:\n  a: &p audit\n  {KEY}: {{x: *p, probes: *p}}\n",
        f'config:\n  {KEY}: \'{{"x": "audit"}}\'\n',
    ],
)
def test_what_cannot_be_edited_alone_is_left_to_a_person(text: str) -> None:
    with pytest.raises(ConfigError, match="write probes: warn by hand"):
        set_phase(text, "probes", "warn", "f")


class TestFile:
    @pytest.fixture
    def project(self, tmp_path: Path) -> Path:
        (tmp_path / "Pulumi.local.yaml").write_text(HEAD)
        return tmp_path

    def test_an_unknown_stack_is_refused_with_the_known_ones(self) -> None:
        with pytest.raises(ConfigError, match=r"found 'prod'; legal: dev, local, production, staging"):
            StackFile.read(ROOT, "prod")

    def test_a_stack_is_no_path(self, project: Path) -> None:
        with pytest.raises(ConfigError, match="no such stack"):
            StackFile.read(project, "../Pulumi.local")

    def test_a_directory_without_stacks_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"holds no Pulumi\.<stack>\.yaml"):
            StackFile.read(tmp_path, "local")

    def test_the_stacks_are_those_with_a_file(self) -> None:
        assert stack_names(ROOT) == tuple(sorted(ENVIRONMENTS))

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("a: 1\n", "Pulumi.local.yaml: config: a mapping"),
            (HEAD + "  zero-trust:phases: {a: deny}\n", "audit, warn, enforce"),
            (HEAD + "  zero-trust:vault:\n    secure: v1:abc\n", "a secret does not belong here"),
        ],
    )
    def test_a_file_that_the_program_refuses_is_refused(self, project: Path, text: str, problem: str) -> None:
        (project / "Pulumi.local.yaml").write_text(text)
        with pytest.raises(ConfigError, match=problem):
            StackFile.read(project, "local")

    def test_a_key_of_another_project_is_none_of_ours(self, project: Path) -> None:
        (project / "Pulumi.local.yaml").write_text(HEAD + "  kubernetes:context: mine\n")
        assert StackFile.read(project, "local").phase("probes") == "audit"

    def test_a_rule_that_is_not_listed_is_in_audit(self, project: Path) -> None:
        file = StackFile.read(project, "local")
        assert file.phase("probes") == "audit"
        assert file.with_phase("probes", "enforce").phase("probes") == "enforce"

    def test_an_illegal_result_is_not_made(self, project: Path) -> None:
        with pytest.raises(ConfigError, match="audit, warn, enforce"):
            StackFile.read(project, "local").with_phase("probes", "deny")

    def test_writing_keeps_the_mode_the_link_and_the_line_ends(self, project: Path, tmp_path: Path) -> None:
        real = tmp_path / "real.yaml"
        real.write_bytes(HEAD.replace("\n", "\r\n").encode())
        real.chmod(0o640)
        link = project / "Pulumi.local.yaml"
        link.unlink()
        link.symlink_to(real)
        StackFile.read(project, "local").with_phase("probes", "warn").write()
        assert link.is_symlink()
        assert stat.S_IMODE(real.stat().st_mode) == 0o640
        assert real.read_bytes().startswith(HEAD.replace("\n", "\r\n").encode())
        assert b"probes: warn\r\n" in real.read_bytes()
        assert {path.name for path in project.iterdir()} == {"Pulumi.local.yaml", "real.yaml"}

    def test_a_failed_write_leaves_the_old_file_and_nothing_else(
        self, project: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(*_: object) -> None:
            raise OSError("no space left on device")

        monkeypatch.setattr(Path, "replace", full)
        with pytest.raises(ConfigError, match="cannot be written: no space left"):
            StackFile.read(project, "local").with_phase("probes", "warn").write()
        assert [path.name for path in project.iterdir()] == ["Pulumi.local.yaml"]
        assert (project / "Pulumi.local.yaml").read_text() == HEAD
