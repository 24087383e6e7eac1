"""The lines of a stack file's problems, whoever reads it, and the keys that got another name."""

from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components.config.stack_file import decode_config, parse_settings
from components.config.stack_source import StackSource, lines_beside, stack_lines
from components.program.stack import load_stack
from components.schema.problem import ConfigError, Problem, no_line
from tests.support.monitor import record
from tests.support.stacks import pulumi_config
from zt.project.stack_file import StackFile, warn

pytestmark = pytest.mark.unit

TEXT = """\
config:
  zero-trust:environment: dev
  zero-trust:asOf: '2026-11-28'
  zero-trust:registries:
    - registry.example.org
  zero-trust:vault:
    address: https://v.example.org
  zero-trust:ingress: {}
  zero-trust:kyverno:
    imageSignatures:
      - name: ci
        publicKey: x
"""


def config(text: str) -> dict[str, Any]:
    return yaml.safe_load(text)["config"]


def values(text: str) -> dict[str, Any]:
    return {key.removeprefix("zero-trust:"): value for key, value in config(text).items()}


def as_program(text: str, folder: Path) -> str:
    """What the program says of a project whose stack file has this text, up to its plan."""
    (folder / "Pulumi.dev.yaml").write_text(text, encoding="utf-8")
    (folder / "services").mkdir(exist_ok=True)
    try:
        record(lambda: load_stack(folder) and None, "dev", pulumi_config(values(text)))
    except ConfigError as error:
        return str(error)
    return ""


def as_zt(text: str, folder: Path) -> str:
    (folder / "Pulumi.dev.yaml").write_text(text, encoding="utf-8")
    try:
        StackFile.read(folder, "dev")
    except ConfigError as error:
        return str(error)
    return ""


WRONG = [
    ("environment: dev", "environment: prod", "2: zero-trust:environment: not a legal value"),
    ("- registry.example.org", "- registry", r"5: zero-trust:registries[0]: not a registry"),
    ("https://v.example.org", "http://v.example.org", "7: zero-trust:vault.address: not an address"),
    ("    address: https://v.example.org", "    mode: helm", "6: zero-trust:vault.address: required"),
    ("  zero-trust:ingress: {}", "  zero-trust:ingres: {}", "8: zero-trust:ingres: unknown key"),
    (
        "  zero-trust:ingress: {}",
        "  zero-trust:posture: {mtls: {value: on}}",
        "8: zero-trust:posture.mtls: not a value",
    ),
    (
        "    address:",
        "    delivery: external-secrets\n    bootstrap: 3\n    address:",
        "8: zero-trust:vault.bootstrap: a map",
    ),
    (
        "        publicKey: x",
        "        publicKey: x\n        publicKey: y",
        "13: config.zero-trust:kyverno.imageSignatures",
    ),
    (
        "  zero-trust:ingress: {}",
        "  zero-trust:ingress: {}\n  zero-trust:vault: {}",
        "9: config.zero-trust:vault: it stands",
    ),
]


@pytest.mark.parametrize("reader", [as_program, as_zt])
@pytest.mark.parametrize(("old", "new", "said"), WRONG)
def test_every_reader_says_the_line(reader: Any, tmp_path: Path, old: str, new: str, said: str) -> None:
    assert reader(TEXT, tmp_path) == ""
    told = reader(TEXT.replace(old, new), tmp_path)
    assert f"Pulumi.dev.yaml:{said}" in told


def test_without_the_file_there_are_no_lines(tmp_path: Path) -> None:
    assert lines_beside(tmp_path, "Pulumi.dev.yaml") is no_line
    with pytest.raises(ConfigError, match=r"^Pulumi\.dev\.yaml: zero-trust:vault\.mode: not a legal value"):
        parse_settings({**values(TEXT), "vault": {"mode": "x"}}, "Pulumi.dev.yaml")


def test_a_stack_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_bytes(TEXT.encode() + b"# \xe9\n")
    for read in (lambda: lines_beside(tmp_path, "Pulumi.dev.yaml"), lambda: StackFile.read(tmp_path, "dev")):
        with pytest.raises(ConfigError, match=r"^Pulumi\.dev\.yaml:13: YAML: not text in UTF-8"):
            read()


def test_keys_of_any_kind_have_their_line() -> None:
    source = StackSource("f", stack_lines(TEXT))
    assert source.problem("kyverno.imageSignatures[0].publicKey", "m").line == 12
    assert source.problem("kyverno.imageSignatures[0].issuer", "m").line == 11
    assert source.problem("services.replicas", "m").line == 1


def test_a_secret_in_plaintext_has_its_line() -> None:
    text = TEXT + "  zero-trust-secrets:shop: hunter2\n"
    with pytest.raises(ConfigError, match=r"^f:13: zero-trust-secrets:shop: in plaintext") as caught:
        decode_config(config(text), frozenset(), "f", stack_lines(text))
    assert "hunter2" not in str(caught.value)


OLD = TEXT + "  zero-trust:mesh:\n    autoscaling:\n      minimum: 3\n      maximum: 6\n"
TOLD = [
    "Pulumi.dev.yaml:15: zero-trust:mesh.autoscaling.minimum: renamed to min: the next release refuses the old name",
    "Pulumi.dev.yaml:16: zero-trust:mesh.autoscaling.maximum: renamed to max: the next release refuses the old name",
]


def test_the_old_spelling_of_autoscaling_means_the_same_and_is_warned_about() -> None:
    warned: list[Problem] = []
    settings = parse_settings(values(OLD), "Pulumi.dev.yaml", None, stack_lines(OLD), warned.append)
    assert list(map(str, warned)) == TOLD
    new = values(OLD.replace("minimum", "min").replace("maximum", "max"))
    assert settings == parse_settings(new, "Pulumi.dev.yaml", None, no_line, warned.append)
    assert len(warned) == 2


def test_the_program_warns_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warned.append)
    assert as_program(OLD, tmp_path) == ""
    assert warned == TOLD


def test_zt_warns_on_the_standard_error_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warn.cache_clear()
    for _ in range(2):
        assert as_zt(OLD, tmp_path) == ""
        StackFile.read(tmp_path, "dev").with_phase("require-probes", "warn")
    said = capsys.readouterr()
    assert said.err.splitlines() == [f"warning: {line}" for line in TOLD]
    assert said.out == ""


@pytest.mark.parametrize("reader", [as_program, as_zt])
def test_both_spellings_are_an_error(reader: Any, tmp_path: Path) -> None:
    told = reader(OLD + "      max: 6\n", tmp_path)
    assert told.startswith("Pulumi.dev.yaml:16: zero-trust:mesh.autoscaling.maximum: the old name of max")
