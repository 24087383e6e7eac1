"""Runs the real Pulumi CLI on a stack of the program, with the embedded control plane as its cluster.

The CLI works in a project directory below the state directory: a copy of ``Pulumi.yaml`` whose ``main`` leads back to
the checkout, and copies of the stack files. A stack's encryption salt, which the CLI writes into its stack file, so
never reaches a file under version control.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from embedded.passing_errors import passing_error
from embedded.paths import CHECKOUT, State
from embedded.polling import until
from embedded.supervisor.interrupted_update import (
    forget_unfinished_releases,
    is_interrupted,
    is_locked,
    operations_in,
    stop_orphaned_plugins,
)
from embedded.supervisor.layout import STATE_SERVICE, api_server_url, state_service_url
from embedded.supervisor.pki import Pki
from embedded.supervisor.ports import load_ports
from embedded.supervisor.private_files import write_private_json
from embedded.supervisor.process import end_with_parent
from pending_operations.state import settle

_PROVIDERS = CHECKOUT / "embedded" / "providers" / "bin"
# What the caller's shell may have set for another cluster, another Vault or another backend.
_FOREIGN_PREFIXES = ("PULUMI_", "VAULT_", "BAO_", "KUBE", "ZERO_TRUST_OVERLAY", "AWS_", "AZURE_", "GOOGLE_")
_SALT = "encryptionsalt"
_STACK = "pulumi:pulumi:Stack"
_RUNNING_UPDATE_SECONDS = 120.0
# How `pulumi stack init` is told to encrypt: left to itself it would ask the state service, which never has a secret.
PASSPHRASE = ("--secrets-provider", "passphrase")
_POLL_SECONDS = 0.5
# How often an update is begun when what ended it passes by itself: each goes on from where the last one ended.
_TRIES = 10


class StackError(Exception):
    """A stack file is missing, or the CLI ended with an error."""


@dataclass(frozen=True, slots=True)
class PulumiStack:
    """One stack of the checkout's program on the embedded control plane."""

    name: str
    state: State
    tools: Path

    @property
    def project(self) -> Path:
        """The project directory that the CLI works in."""
        return self.state.root / "project"

    @property
    def checkpoint(self) -> Path:
        """The stack's state when its last update ended."""
        return self.state.stacks / project_name() / f"{self.name}.json"

    @property
    def journal(self) -> Path:
        """What an update has changed since: there while one is under way, or was killed."""
        return self.checkpoint.with_name(f"{self.name}.journal")

    def environment(self) -> dict[str, str]:
        """The environment of the CLI: the caller's, without what would lead it to another cluster, Vault or backend."""
        return pulumi_environment(self.state, self.tools)

    def prepare(self) -> None:
        """Refresh the project directory and create the stack if it is new. Raises ``StackError``."""
        source = CHECKOUT / f"Pulumi.{self.name}.yaml"
        if not source.exists():
            raise StackError(f"--stack {self.name}: there is no {source.name}; there are {', '.join(stack_names())}")
        _ensure_passphrase(self.state.passphrase_file)
        write_project(self.project)
        _refresh_stack_file(source, self.project / source.name)
        if not self.checkpoint.exists():
            self.run("stack", "init", self.name, "--no-select", *PASSPHRASE, quiet=True)

    def refuse_beside_another(self) -> None:
        """Raise ``StackError`` when another stack has resources here: both would own the same releases and paths."""
        others = (path for path in sorted(self.checkpoint.parent.glob("*.json")) if path != self.checkpoint)
        # A journal is an update that did not end: what it made is in no checkpoint yet.
        standing = (path for path in others if _resources(path) or path.with_suffix(".journal").exists())
        if other := next((path.stem for path in standing), None):
            raise StackError(
                f"--stack {self.name}: the stack {other} stands on this control plane; "
                f"remove it first with `make destroy STACK={other}`, or everything with `make clean`"
            )

    def run(self, *arguments: str, quiet: bool = False) -> None:
        """Run the CLI, its output on this terminal. Raises ``StackError`` when it fails."""
        done = subprocess.run(
            [self._executable(), *arguments],
            cwd=self.project,
            env=self.environment(),
            capture_output=quiet,
            text=True,
            check=False,
            # A command that is killed must not leave its update running: pulumi then cancels it in good order.
            preexec_fn=end_with_parent(signal.SIGINT),
        )
        if done.returncode:
            detail = f":\n{done.stderr.strip()}" if quiet else ""
            raise StackError(f"pulumi {arguments[0]} ended with status {done.returncode}{detail}")

    def up(self, say: Callable[[str], None]) -> None:
        """Bring the stack up. An error that passes by itself is said, and the update goes on. Raises ``StackError``."""
        events = self.state.run / "events.json"
        options = ("--yes", "--skip-preview", "--suppress-outputs", "--event-log", str(events))
        for left in reversed(range(_TRIES)):
            try:
                self.run("up", "--stack", self.name, *options)
            except StackError:
                error = passing_error(events)
                if not (left and error):
                    raise
                say(f"{self.name}: the machine was too busy, going on with the update: {error}")
            else:
                return
            finally:
                events.unlink(missing_ok=True)

    def resume_after_interruption(self, say: Callable[[str], None]) -> None:
        """Clear what a killed update left behind, so that the next one completes. Raises ``StackError``."""
        self._wait_for_running_update(say)
        stop_orphaned_plugins(self.state.pulumi_home)
        if is_interrupted(self.journal, self.state.pulumi_home):
            self._cancel()
            say(f"{self.name}: ended an update that no longer runs")
        operations = operations_in(self.checkpoint)
        if not operations:
            return
        say(f"{self.name}: an update was interrupted with {len(operations)} operations pending; taking stock first")
        forget_unfinished_releases(api_server_url(load_ports(self.state.ports)), Pki(self.state.pki), operations)
        self._settle()
        self.run("refresh", "--yes", "--skip-preview", "--non-interactive", "--stack", self.name)

    def _settle(self) -> None:
        """Let the state have what Vault makes once only, for the refresh to see what is there."""
        state = json.loads(self.output("stack", "export", "--stack", self.name))
        # A plugin ends what it was told to do, though the engine is gone: a secret that it began to write is written.
        settle(state["deployment"], lambda _secret: True)
        edited = self.state.run / "settled.json"
        try:
            write_private_json(edited, state)
            self.run("stack", "import", "--stack", self.name, "--file", str(edited), quiet=True)
        finally:
            edited.unlink(missing_ok=True)

    def _cancel(self) -> None:
        try:
            self.run("cancel", self.name, "--yes", quiet=True)
        except StackError:
            # The state service removes a journal of which nothing is left to do, and the CLI then finds no update.
            if self.journal.exists():
                raise

    def _wait_for_running_update(self, say: Callable[[str], None]) -> None:
        def ended() -> bool:
            return not is_locked(self.journal, self.state.pulumi_home)

        if ended():
            return
        say(f"{self.name}: another update is under way; waiting for it to end")
        if not until(ended, _RUNNING_UPDATE_SECONDS, _POLL_SECONDS):
            raise StackError(
                f"{self.name}: another update is still under way after {_RUNNING_UPDATE_SECONDS:.0f} s: wait for "
                "it, or end that pulumi process; what it leaves behind is cleared by the next command"
            )

    def summary(self) -> dict[str, Any] | None:
        """The stack's output ``summary`` after its last update; None when it has none."""
        stack = (each for each in _resources(self.checkpoint) if each["type"] == _STACK)
        return next((each.get("outputs", {}).get("summary") for each in stack), None)

    def output(self, *arguments: str) -> str:
        """Run the CLI and return what it prints. Raises ``StackError``."""
        done = subprocess.run(
            [self._executable(), *arguments],
            cwd=self.project,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            command = " ".join(("pulumi", *arguments))
            raise StackError(f"{command} ended with status {done.returncode}:\n{done.stderr.strip()}")
        return done.stdout

    def replace_process(self, arguments: Sequence[str]) -> None:
        """Become the CLI: the caller's terminal and signals are its own."""
        os.chdir(self.project)
        os.execve(self._executable(), ["pulumi", *arguments], self.environment())  # noqa: S606 - a fixed program, no shell

    def _executable(self) -> str:
        return str(self.tools / "pulumi")


def pulumi_environment(state: State, tools: Path) -> dict[str, str]:
    """Everything the CLI, its plugins and the program need to work on the embedded control plane; no secret."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_PREFIXES)}
    search = [Path(sys.prefix) / "bin", _PROVIDERS, tools, kept.get("PATH", os.defpath)]
    return kept | {
        "PATH": os.pathsep.join(str(part) for part in search),
        "KUBECONFIG": str(state.kubeconfig),
        "ZERO_TRUST_OVERLAY": str(state.overlay),
        "PULUMI_HOME": str(state.pulumi_home),
        "PULUMI_BACKEND_URL": _backend_url(state),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(state.passphrase_file),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # A waiting resource holds a place: the default of four a core would make services wait for each other.
        "PULUMI_PARALLEL": "64",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        # The CLI takes --event-log only so.
        "PULUMI_DEBUG_COMMANDS": "true",
    }


def _backend_url(state: State) -> str:
    ports = load_ports(state.ports)
    if STATE_SERVICE not in ports:
        raise StackError("the control plane has no state service yet: start it with `python -m embedded up --no-stack`")
    return state_service_url(ports)


def project_name() -> str:
    """The name of the Pulumi project."""
    return _read(CHECKOUT / "Pulumi.yaml")["name"]


def stack_names() -> list[str]:
    """The stacks that the checkout has files for."""
    return sorted(path.name.split(".")[1] for path in CHECKOUT.glob("Pulumi.*.yaml"))


def write_project(directory: Path) -> None:
    """Write the project file that leads back to the program in the checkout."""
    directory.mkdir(mode=0o700, exist_ok=True)
    project = _read(CHECKOUT / "Pulumi.yaml")
    project["main"] = os.path.relpath(CHECKOUT / project.get("main", "."), directory)
    project["runtime"] = {"name": "python", "options": {"virtualenv": sys.prefix}}
    _write(directory / "Pulumi.yaml", project)


def _refresh_stack_file(source: Path, copy: Path) -> None:
    content = _read(source)
    if copy.exists() and _SALT in (written := _read(copy)):
        content[_SALT] = written[_SALT]
    _write(copy, content)


def _resources(checkpoint: Path) -> list[dict[str, Any]]:
    return (json.loads(checkpoint.read_text()).get("checkpoint", {}).get("latest") or {}).get("resources") or []


def _ensure_passphrase(path: Path) -> None:
    if path.exists():
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32))


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text()) or {}


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
