"""The commands of the page on a real cluster, in order, on a bare control plane: no `python -m embedded` among them.

Of the control plane they have a kubeconfig, the addresses of Vault and of an ACME server, and nothing else: the backend
is a directory of their own.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from embedded.passing_errors import passes
from embedded.supervisor.interrupted_update import stop_orphaned_plugins
from pending_operations.releases import RELEASE
from tests.e2e.plane import PROJECT, Plane
from tests.e2e.test_documentation import Reader, link_virtual_environment
from tests.support.documentation import Block, every_block
from tests.support.waiting import eventually
from zt.project.errors import ExitCode

pytestmark = pytest.mark.e2e

STACK = "production"
SHOP = "shop"
AUDIT = "vault:index/audit:Audit"
# The control plane has no DNS, since its pods do not run, and nothing that gives a Service an address.
WITHOUT_DNS = ["pods that answer names"]
WITHOUT_ADDRESS = ["an address for the gateway's Service of type LoadBalancer"]
_AGAIN = 2
_NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".embedded", ".*_cache", "__pycache__", "results")


@dataclass
class Operator(Reader):
    """Somebody with a cluster and a backend of their own."""

    @property
    def environment(self) -> dict[str, str]:
        self.backend.mkdir(exist_ok=True)
        return super().environment | {"PULUMI_BACKEND_URL": f"file://{self.backend}"}

    @property
    def backend(self) -> Path:
        """The directory that keeps the stacks."""
        return self.home / "backend"

    @property
    def checkpoint(self) -> Path:
        """The stack's state, as far as an update has come."""
        return self.backend / ".pulumi" / "stacks" / "zero-trust" / f"{STACK}.json"


@pytest.fixture(scope="module")
def operator(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """An operator before the first command: on the cluster there is no stack, and nothing that one left."""
    plane.run("destroy", "--stack", "dev")
    checkout, home = tmp_path_factory.mktemp("checkout") / "project", tmp_path_factory.mktemp("home")
    shutil.copytree(PROJECT, checkout, ignore=_NOT_COPIED)
    link_virtual_environment(checkout)
    return Operator(Plane(plane.state, checkout), home)


@pytest.fixture(scope="module")
def page() -> Block:
    [block] = [each for each in every_block() if each.page == "docs/real-cluster.md" and each.not_run]
    return block


def typed(operator: Operator, page: Block, text: str) -> str:
    """What a command printed. Where a busy machine answered too late, it is typed again, as anybody would."""
    done = operator.types(replace(page, text=text))
    for _ in range(_AGAIN):
        if done.returncode and passes(done.stdout):
            done = operator.types(replace(page, text=text))
    assert done.returncode == 0, done.stdout
    return done.stdout


def missing(operator: Operator, page: Block) -> list[str]:
    """What the page's preflight says is missing.

    The stack file names a Vault and a certificate authority that nobody has: those of the control plane are asked.
    """
    done = operator.types(replace(page, text=f"{page.commands[0]} --embedded"))
    return re.findall(r"^ +fails +(\S.*)$", done.stdout, re.MULTILINE)


def test_the_page_s_commands_bring_the_stack_up(operator: Operator, page: Block) -> None:
    _, *commands = page.commands
    assert [command.split()[:3] for command in commands] == [
        ["pulumi", "stack", "init"],
        ["pulumi", "preview", "--stack"],
        ["pulumi", "up", "--stack"],
    ]
    assert missing(operator, page) == WITHOUT_DNS
    *before, up = commands
    with operator.plane.first_up():
        for command in before:
            typed(operator, page, command)
        kill_half_way(operator)
        resume(operator, page)
        typed(operator, page, up)
    found: Any = operator.plane.apps.list_namespaced_deployment(SHOP).items
    assert found
    assert all(each.status.ready_replicas == each.spec.replicas for each in found)


def kill_half_way(operator: Operator) -> None:
    """Kill `pulumi up`, and all that it started, while Helm installs and the state has the first audit device. A second
    one was refused before, since the first held the stack.

    The device is then pending, as if the kill had come a moment earlier: Vault has it, and makes it once only.
    """
    command = ["pulumi", "up", "--stack", STACK, "--yes", "--skip-preview"]
    started = subprocess.Popen(
        command,
        cwd=operator.plane.checkout,
        env=operator.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        eventually(lambda: any(operator.backend.rglob("locks/**/*.json")), "the first update holds the stack")
        second = subprocess.run(
            command, cwd=operator.plane.checkout, env=operator.environment, capture_output=True, text=True, check=False
        )
        assert "the stack is currently locked by 1 lock(s)" in second.stderr
        eventually(lambda: installs_beside_the_audit_device(operator), "Helm installs beside Vault", interval=0.05)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    stop_orphaned_plugins(Path(operator.environment["PULUMI_HOME"]))
    whole = json.loads(operator.checkpoint.read_text())
    latest = whole["checkpoint"]["latest"]
    [audit] = [each for each in latest["resources"] if each["type"] == AUDIT]
    latest["resources"].remove(audit)
    begun = {key: value for key, value in audit.items() if key not in ("id", "outputs")}
    latest["pending_operations"].append({"type": "creating", "resource": begun})
    operator.checkpoint.write_text(json.dumps(whole))


def installs_beside_the_audit_device(operator: Operator) -> bool:
    # The CLI may be writing it.
    with contextlib.suppress(OSError, ValueError):
        latest = json.loads(operator.checkpoint.read_text())["checkpoint"]["latest"]
        pending = {each["resource"]["type"] for each in latest.get("pending_operations") or []}
        return RELEASE in pending and any(each["type"] == AUDIT for each in latest["resources"])
    return False


def resume(operator: Operator, page: Block) -> None:
    """Type what the page says of a run that was killed. Before its lock is removed, nothing is touched."""
    command = f".venv/bin/zt resume --stack {STACK} --yes"
    before = operator.checkpoint.read_text()
    refused = operator.types(replace(page, text=command))
    assert refused.returncode == ExitCode.NO_ANSWER, refused.stdout
    assert f"`pulumi cancel {STACK}` removes its lock" in refused.stdout
    assert operator.checkpoint.read_text() == before
    typed(operator, page, f"pulumi cancel {STACK} --yes")
    done = typed(operator, page, command)
    assert "becomes the stack's, if Vault has it: audit-1" in done
    assert "loses Helm's record: sh.helm.release.v1." in done
    latest = json.loads(operator.checkpoint.read_text())["checkpoint"]["latest"]
    assert not latest.get("pending_operations")
    [audit] = [each for each in latest["resources"] if each["type"] == AUDIT]
    assert audit["outputs"]["path"] == audit["id"] == "audit-1"
    assert typed(operator, page, command) == f"{STACK}: nothing is pending\n"


def test_what_they_made_is_what_the_files_say(operator: Operator, page: Block) -> None:
    typed(operator, page, f"pulumi preview --stack {STACK} --expect-no-changes")


def test_the_next_preflight_finds_nothing_missing(operator: Operator, page: Block) -> None:
    assert missing(operator, page) == WITHOUT_DNS + WITHOUT_ADDRESS
