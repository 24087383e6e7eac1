"""`zt secret` on a real OpenBao, with the operator's policy and nothing more."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac.exceptions
import pytest

from components.kube.names import OPERATOR
from components.vault.operator import operator_policy
from tests.e2e.plane import PROJECT
from tests.support.vault_server import Bao, running_bao
from tests.support.waiting import eventually
from tests.support.watched_processes import watched

pytestmark = pytest.mark.e2e

PLACE, VALUE = "shop/api/stripe", "sk_live_51H"
SERVICE = """\
namespace: shop
team: commerce
image: registry.example.org/shop/api:v1
port: 8080
secrets: {stripe: {external: [api_key, hook]}, own: {generate: [password]}}
"""


@dataclass(frozen=True)
class Operator:
    """Somebody with the operator's login, and a project."""

    bao: Bao
    project: Path
    token: str

    def at_once(self, values: Mapping[str, str]) -> list[subprocess.CompletedProcess[str]]:
        """Set each field by a command of its own, all of them at the same time."""
        with ThreadPoolExecutor(len(values)) as pool:
            place = ("set", "shop/api", "stripe", "--field")
            running = [pool.submit(self.zt, *place, field, given=value) for field, value in values.items()]
        return [each.result() for each in running]

    def zt(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        environment = {"VAULT_ADDR": self.bao.address, "VAULT_CACERT": self.bao.ca_file, "VAULT_TOKEN": self.token}
        return subprocess.run(
            [sys.executable, "-m", "zt", "secret", *arguments, "--project", str(self.project)],
            cwd=PROJECT,
            env={**os.environ, **environment, "NO_COLOR": "1"},
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )

    def kept(self) -> dict[str, str]:
        found: Any = self.bao.client.secrets.kv.v2.read_secret_version(PLACE, raise_on_deleted_version=True)
        return found["data"]["data"]


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "api.yaml").write_text(SERVICE)
    with running_bao(tmp_path) as bao:
        bao.client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
        bao.write("secret/config", cas_required=True)
        first = {"secret": {"password": "first"}, "cas": 0, "path": "shop/api/own"}
        eventually(lambda: bao.client.secrets.kv.v2.create_or_update_secret(**first), "KV v2")
        bao.write(f"sys/policies/acl/{OPERATOR}", policy=operator_policy())
        made = bao.client.auth.token.create_orphan(policies=[OPERATOR], no_default_policy=True)
        yield Operator(bao, tmp_path, made["auth"]["client_token"])


def test_from_missing_to_there(operator: Operator) -> None:
    missing = operator.zt("list", "--format", "json")
    assert missing.returncode == 1, missing.stderr
    [found] = json.loads(missing.stdout)["secrets"]
    assert (found["secret"], found["missing"]) == ("stripe", ["api_key", "hook"])
    with watched() as processes:
        first = operator.zt("set", "shop/api", "stripe", "--field", "api_key", given=f"{VALUE}\n")
    assert processes.showing([VALUE]) == []
    assert first.returncode == 0, first.stderr
    assert operator.kept() == {"api_key": VALUE}
    second = operator.zt("set", "shop/api", "stripe", "--field", "hook", given="two\nlines\n")
    assert "shop/api/stripe: hook in version 2\n" in second.stdout
    assert operator.kept() == {"api_key": VALUE, "hook": "two\nlines"}
    assert operator.zt("list").returncode == 0
    for done in (missing, first, second):
        assert VALUE not in done.stdout + done.stderr


@pytest.mark.parametrize("first", [True, False], ids=["no version", "a version"])
def test_of_two_at_once_neither_loses_a_value(operator: Operator, first: bool) -> None:
    if not first:
        assert operator.zt("set", "shop/api", "stripe", given='{"api_key": "old", "hook": "old"}').returncode == 0
    values = {"api_key": VALUE, "hook": "two"}
    done = operator.at_once(values)
    for each in done:
        assert each.returncode == 0 or (each.returncode == 3 and "run the command again" in each.stderr), each.stderr
    assert any(each.returncode == 0 for each in done)
    # Who was told so types it again.
    for (field, value), each in zip(values.items(), done, strict=True):
        if each.returncode:
            assert operator.zt("set", "shop/api", "stripe", "--field", field, given=value).returncode == 0
    assert operator.kept() == values


def test_the_operator_reads_no_value_and_writes_over_none(operator: Operator) -> None:
    assert operator.zt("set", "shop/api", "stripe", "--field", "api_key", given=VALUE).returncode == 0
    vault = operator.bao.client
    vault.token = operator.token
    with pytest.raises(hvac.exceptions.Forbidden):
        vault.secrets.kv.v2.read_secret_version(PLACE, raise_on_deleted_version=True)
    for place in (PLACE, "shop/api/own"):
        with pytest.raises(hvac.exceptions.Forbidden):
            vault.secrets.kv.v2.create_or_update_secret(place, {"password": "mine"}, cas=1)
