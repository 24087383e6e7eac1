"""`zt resume` with the real CLI, a backend in a directory and a real Vault: a run is killed, and the next completes.

No control plane takes part: what a killed update leaves in a cluster is Helm's record alone, of which
`tests/unit/zt/resume` has the requests.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from embedded.cli import NEEDED_TOOLS
from embedded.toolchain import ensure
from tests.support.stacks import ROOT
from tests.support.vault_server import Bao, running_bao
from tests.support.waiting import eventually
from zt.project.errors import ExitCode

pytestmark = pytest.mark.e2e

STACK = "dev"
PROGRAM = """
import pathlib, time
import pulumi
import pulumi_vault as vault

here = pathlib.Path(__file__).parent
audit = vault.Audit("audit-1", path="audit-1", type="file", options={"file_path": str(here / "audit.log")})
after = pulumi.ResourceOptions(depends_on=[audit])
mount = vault.Mount("secret", path="secret", type="kv-v2", opts=after)
vault.AuthBackend("kubernetes", type="kubernetes", opts=after)
vault.Policy("shop.api", name="shop.api", policy='path "a" { capabilities = ["read"] }')
vault.kv.SecretV2(
    "api.db",
    mount="secret",
    name="shop/api/db",
    data_json=pulumi.Output.secret('{"password":"first"}'),
    disable_read=True,
    options={"cas": "0"},
    opts=pulumi.ResourceOptions(depends_on=[mount]),
)
(here / "begun").touch()
while (here / "wait").exists():
    time.sleep(0.05)
"""
MADE_ONCE = {"audit-1", "secret", "kubernetes", "api.db"}


@dataclass
class Stack:
    """A stack of the program, in a backend of its own."""

    directory: Path
    bao: Bao

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "VAULT_", "KUBE"))}
        places = (Path(sys.prefix) / "bin", ROOT / "embedded/providers/bin", ensure(NEEDED_TOOLS))
        return kept | {
            "PATH": os.pathsep.join([*map(str, places), kept["PATH"]]),
            "PULUMI_HOME": str(self.directory / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.directory}",
            "PULUMI_CONFIG_PASSPHRASE": "passphrase",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "VAULT_ADDR": self.bao.address,
            "VAULT_CACERT": self.bao.ca_file,
            "VAULT_TOKEN": self.bao.token,
        }

    @property
    def checkpoint(self) -> Path:
        return self.directory / ".pulumi" / "stacks" / "resumed" / f"{STACK}.json"

    @property
    def latest(self) -> dict[str, Any]:
        return json.loads(self.checkpoint.read_text())["checkpoint"]["latest"]

    def names(self) -> set[str]:
        """The names of its resources in Vault."""
        return {each["urn"].rpartition("::")[2] for each in self.latest["resources"] if each["type"][:6] == "vault:"}

    def runs(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.directory, env=self.environment, capture_output=True, text=True, timeout=600, check=False
        )

    def up(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.runs("pulumi", "up", "--stack", STACK, "--yes", "--skip-preview", "--non-interactive", *options)

    def resume(self) -> subprocess.CompletedProcess[str]:
        return self.runs(sys.executable, "-m", "zt", "resume", "--stack", STACK, "--yes", "--project", ".")

    def cut_off(self, names: set[str]) -> None:
        """Let the state say of resources that they were being created when the update was killed."""
        whole = json.loads(self.checkpoint.read_text())
        latest = whole["checkpoint"]["latest"]
        begun = [each for each in latest["resources"] if each["urn"].rpartition("::")[2] in names]
        latest["resources"] = [each for each in latest["resources"] if each not in begun]
        for each in begun:
            resource = {key: value for key, value in each.items() if key not in ("id", "outputs")}
            latest.setdefault("pending_operations", []).append({"type": "creating", "resource": resource})
        self.checkpoint.write_text(json.dumps(whole))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that is up."""
    directory = tmp_path_factory.mktemp("resumed")
    runtime = {"name": "python", "options": {"virtualenv": sys.prefix}}
    (directory / "Pulumi.yaml").write_text(json.dumps({"name": "resumed", "runtime": runtime}))
    (directory / "__main__.py").write_text(PROGRAM)
    with running_bao(tmp_path_factory.mktemp("bao")) as bao:
        made = Stack(directory, bao)
        assert made.runs("pulumi", "stack", "init", STACK, "--non-interactive").returncode == 0
        done = made.up()
        assert done.returncode == 0, done.stdout + done.stderr
        yield made


def test_beside_another_run_nothing_is_touched(stack: Stack) -> None:
    (stack.directory / "begun").unlink()
    (stack.directory / "wait").touch()
    command = ["pulumi", "up", "--stack", STACK, "--yes", "--skip-preview"]
    quiet = subprocess.DEVNULL
    first = subprocess.Popen(
        command, cwd=stack.directory, env=stack.environment, stdout=quiet, stderr=quiet, start_new_session=True
    )
    try:
        eventually((stack.directory / "begun").exists, "the program of the first run runs", interval=0.05)
        second = stack.up()
        assert second.returncode
        assert "the stack is currently locked by 1 lock(s)" in second.stdout + second.stderr
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
        first.wait()
        (stack.directory / "wait").unlink()
    stack.cut_off(MADE_ONCE)
    before = stack.checkpoint.read_text()
    refused = stack.resume()
    assert refused.returncode == ExitCode.NO_ANSWER, refused.stderr
    assert f"`pulumi cancel {STACK}` removes its lock" in refused.stderr
    assert stack.checkpoint.read_text() == before
    assert stack.runs("pulumi", "cancel", STACK, "--yes").returncode == 0


def test_what_vault_makes_once_is_refused_until_it_is_resumed(stack: Stack) -> None:
    pending = stack.checkpoint.read_text()
    refused = stack.up()
    assert "already in use" in refused.stdout + refused.stderr
    stack.checkpoint.write_text(pending)
    done = stack.resume()
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{STACK}: nothing is pending any more: `pulumi up --stack {STACK}` goes on\n"
    assert not stack.latest.get("pending_operations")
    assert stack.names() == MADE_ONCE | {"shop.api"}
    [mount] = [each for each in stack.latest["resources"] if each["type"] == "vault:index/mount:Mount"]
    assert mount["outputs"]["accessor"]
    completed = stack.up("--expect-no-changes")
    assert completed.returncode == 0, completed.stdout + completed.stderr


def test_what_vault_does_not_have_is_made_by_the_next_update(stack: Stack) -> None:
    stack.bao.client.sys.disable_auth_method("kubernetes")
    stack.bao.client.secrets.kv.v2.delete_metadata_and_all_versions("shop/api/db")
    stack.cut_off({"kubernetes", "api.db", "shop.api"})
    assert stack.resume().returncode == 0
    assert stack.names() == {"audit-1", "secret"}
    completed = stack.up()
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert stack.names() == MADE_ONCE | {"shop.api"}


def test_a_second_run_finds_nothing(stack: Stack) -> None:
    assert stack.resume().stdout == f"{STACK}: nothing is pending\n"
