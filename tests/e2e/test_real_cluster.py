"""The commands of the page on a real cluster, in order, on a bare control plane: no `python -m embedded` among them.

Of the control plane they have a kubeconfig, the addresses of Vault and of an ACME server, and nothing else: the backend
is a directory of their own.
"""

import re
import shutil
from dataclasses import dataclass, replace
from typing import Any

import pytest

from embedded.passing_errors import passes
from tests.e2e.plane import PROJECT, Plane
from tests.e2e.test_documentation import Reader, link_virtual_environment
from tests.support.documentation import Block, every_block

pytestmark = pytest.mark.e2e

STACK = "production"
SHOP = "shop"
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
        backend = self.home / "backend"
        backend.mkdir(exist_ok=True)
        return super().environment | {"PULUMI_BACKEND_URL": f"file://{backend}"}


@pytest.fixture(scope="module")
def operator(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """An operator before the first command: on the cluster there is no stack, and nothing that one left."""
    plane.run("up", "--no-stack", "--acme")
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
    with operator.plane.first_up():
        for command in commands:
            typed(operator, page, command)
    found: Any = operator.plane.apps.list_namespaced_deployment(SHOP).items
    assert found
    assert all(each.status.ready_replicas == each.spec.replicas for each in found)


def test_what_they_made_is_what_the_files_say(operator: Operator, page: Block) -> None:
    typed(operator, page, f"pulumi preview --stack {STACK} --expect-no-changes")


def test_the_next_preflight_finds_nothing_missing(operator: Operator, page: Block) -> None:
    assert missing(operator, page) == WITHOUT_DNS + WITHOUT_ADDRESS
