"""What stops a command, and with which exit code: one table for all commands, as VERSIONING.md promises it."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from components.kyverno.library import PolicyLibraryError
from components.schema.problem import ConfigError, Problem
from tests.support.stacks import ROOT
from zt.attack.evidence import StackError
from zt.cli import app
from zt.cluster.access import ClusterError
from zt.cluster.audit_log import AuditLogError
from zt.cluster.vault import ConflictError, VaultError
from zt.project.errors import CommandError, ConfigRefusedError, ExitCode, ToolError
from zt.resume.pulumi import LockedError
from zt.vault.snapshot import SnapshotError

pytestmark = pytest.mark.unit

PROBLEM = ConfigError([Problem("services/api.yaml", "image", "not an image", "'[red]'", line=3)])
STOPPED: dict[Exception, ExitCode] = {
    PROBLEM: ExitCode.WRONG,
    PolicyLibraryError("policies", "x", "no tier has this name"): ExitCode.WRONG,
    ConfigRefusedError("change: services/api.yaml: image: not an image"): ExitCode.WRONG,
    SnapshotError("a.snap: not a snapshot of Vault"): ExitCode.WRONG,
    ToolError("helm: no such file"): ExitCode.NO_ANSWER,
    LockedError("another run holds the stack"): ExitCode.NO_ANSWER,
    ClusterError("there is no kubeconfig here"): ExitCode.NO_ANSWER,
    VaultError("Vault is sealed"): ExitCode.NO_ANSWER,
    ConflictError("somebody else wrote it"): ExitCode.NO_ANSWER,
    AuditLogError("vault.log: no such file"): ExitCode.NO_ANSWER,
    StackError("the pod is not there"): ExitCode.NO_ANSWER,
}
COMMANDS = {
    # What is typed, and the function in which the command stops.
    "check": ("check --plan - --format json", "zt.check.command.check"),
    "diff": ("diff --stack production --format json", "zt.diff.command.diff"),
    "promote": ("promote require-probes --format json", "zt.promote.command.promote"),
    "exceptions": ("exceptions --format json", "zt.exceptions.command.exceptions"),
    "consent": ("consent --format json", "zt.consent.command.service_files"),
    "codeowners": ("codeowners", "zt.codeowners.command.lines_of"),
    "audit": ("audit shop/api --file - --format json", "zt.audit.command.accesses"),
    "rotate": ("rotate api --all", "zt.rotate.command.service_spec"),
    "revoke": ("revoke api --yes", "zt.revoke.command.service_name"),
    "resume": ("resume --stack production --yes --format json", "zt.resume.command.on_path"),
    "attack": ("attack --stack production --format json", "zt.attack.command.chosen"),
    "report": ("report --stack production --format json", "zt.report.command.report"),
    "adopt": ("adopt --stack production --format json", "zt.adopt.command.adopt"),
    "preflight": ("preflight --stack production --format json", "zt.preflight.command.preflight"),
    "new service": ("new service web --yes --format json", "zt.new.command.values_of"),
    "package init": (
        "package init guestbook --namespace guests --team web --dry-run",
        "zt.package.command.draft",
    ),
    "show": ("show api --format json", "zt.show.command.stack_of"),
    "secret set": ("secret set api stripe", "zt.secret.command.service_spec"),
    "secret list": ("secret list --format json", "zt.secret.command.service_files"),
    "vault snapshot": ("vault snapshot a.snap --format json", "zt.vault.command.connect"),
    "vault restore": ("vault restore a.snap --token-file - --yes --format json", "zt.vault.command.read_snapshot"),
}


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every command with its help."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command.help


def kinds(of: type[CommandError]) -> Iterator[type[CommandError]]:
    """Every class of errors under one, but those of tests."""
    for kind in of.__subclasses__():
        if kind.__module__.startswith("zt."):
            yield kind
            yield from kinds(kind)


def test_the_table_has_every_command_and_every_error() -> None:
    assert set(COMMANDS) == dict(commands(get_command(app))).keys()
    assert set(kinds(CommandError)) <= {type(error) for error in STOPPED}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("error", STOPPED, ids=lambda error: type(error).__name__)
def test_what_stops_a_command(command: str, error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    typed, place = COMMANDS[command]

    def stop(*_asked: object, **_named: object) -> None:
        raise error

    monkeypatch.setattr(place, stop)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    done = CliRunner().invoke(app, typed.split())
    assert (done.exit_code, done.stdout, done.stderr) == (STOPPED[error], "", f"error: {error}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_bad_usage(command: str) -> None:
    done = CliRunner().invoke(app, [*command.split(), "--stak", "production"])
    assert (done.exit_code, done.stdout) == (ExitCode.WRONG, "")


@pytest.mark.parametrize(("command", "text"), list(commands(get_command(app))))
def test_the_help_says_the_codes(command: str, text: str) -> None:
    said = " ".join(text.partition("Exit codes: ")[2].split())
    codes = [int(part[0]) for part in re.split(r"; ", said)]
    assert codes == sorted(codes)
    assert {ExitCode.DONE, ExitCode.WRONG} <= set(codes) <= set(ExitCode)


NEW = "new service web --yes --namespace shop --team a --image registry.example.org/a/b:v1 --port 80 --dry-run"
ATTACK = "attack --stack production --vault-addr https://vault.example.org"
PREFLIGHT = "preflight --stack production"
READS_STACK = (
    "promote require-probes",
    "exceptions --stack production",
    ATTACK,
    PREFLIGHT,
    "report --stack production",
    NEW,
)
READS_SERVICES = (
    "check --plan -",
    "exceptions",
    "audit api --file -",
    "rotate api --all",
    "revoke api --yes",
    ATTACK,
    PREFLIGHT,
    "report --stack production",
    NEW,
)
READS_RULES = ("promote require-probes", "exceptions", ATTACK, "report --stack production")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for path in ROOT.glob("Pulumi*.yaml"):
        shutil.copyfile(path, tmp_path / path.name)
    for folder in ("services", "policies"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def stopped(project: Path, typed: str) -> str:
    """What a command says on its standard error; it must find the configuration wrong."""
    done = CliRunner().invoke(app, [*typed.split(), "--project", str(project)])
    assert (done.exit_code, done.stdout) == (ExitCode.WRONG, ""), done.output
    return done.stderr


@pytest.mark.parametrize("typed", READS_STACK)
def test_a_stack_file_that_is_no_text(project: Path, typed: str) -> None:
    with (project / "Pulumi.production.yaml").open("ab") as file:
        file.write(b"# \xff\n")
    error = r"error: Pulumi\.production\.yaml:\d+: YAML: not text in UTF-8, found byte 0xff\n"
    assert re.match(error, stopped(project, typed))


@pytest.mark.parametrize("typed", READS_SERVICES)
def test_a_service_file_that_is_no_text(project: Path, typed: str) -> None:
    (project / "services" / "api.yaml").write_bytes(b"namespace: shop\nteam: \xe9\n")
    assert stopped(project, typed) == "error: services/api.yaml:2: YAML: not text in UTF-8, found byte 0xe9\n"


@pytest.mark.parametrize("typed", READS_SERVICES)
def test_a_service_file_with_a_character_that_yaml_has_not(project: Path, typed: str) -> None:
    (project / "services" / "api.yaml").write_bytes(b"namespace: shop\nteam: \x00\n")
    assert stopped(project, typed).startswith(
        "error: services/api.yaml:2: YAML: special characters are not allowed, found character 0x0000"
    )


@pytest.mark.parametrize("typed", READS_SERVICES)
def test_a_service_file_that_is_a_directory(project: Path, typed: str) -> None:
    (project / "services" / "other.yaml").mkdir()
    assert stopped(project, typed).startswith("error: services/other.yaml: YAML: cannot be read: ")


@pytest.mark.parametrize("typed", READS_RULES)
@pytest.mark.parametrize("written", [b"a: [", b"a: \xff\n"], ids=["no YAML", "no text"])
def test_a_rule_that_cannot_be_read(project: Path, typed: str, written: bytes) -> None:
    (project / "policies" / "important" / "require-probes" / "policy.yaml").write_bytes(written)
    rule = "policies/important/require-probes/policy.yaml"
    assert stopped(project, typed).startswith(f"error: {rule}: YAML: cannot be read: ")
