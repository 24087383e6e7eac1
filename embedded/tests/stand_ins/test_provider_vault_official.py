"""The vault stand-in against what the official plugin did with the same inputs: what it kept and what it asked.

The facts in ``official_vault.json`` were recorded with pulumi-vault (pulumi-terraform-bridge 3.136.0) on
terraform-provider-vault 5.11.0, and with the same OpenBao. Each step has what a program says, and then the checked
inputs, the state after the write and after a refresh, and every request. ``*`` is what is another one each time.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from google.protobuf import json_format, struct_pb2

from tests.support.offline_root import OfflineRoot
from tests.support.provider_plugin import SIGNATURE, Managed, Plugin
from tests.support.vault_server import Bao, bao, vault

__all__ = ["bao", "vault"]


POLICY = "vault:index/policy:Policy"
FACTS = Path(__file__).with_name("official_vault.json")
# The SDK has it, and that version of the provider has not.
_NEWER = "parameterSet"
_ANOTHER_EACH_TIME = ("accessor", "csr", "keyId", "importedIssuers", "issuerRef", "created_time", "certificate")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass
class Requests:
    """What Vault was asked, by its audit log."""

    path: Path
    _read: int = 0

    def since(self) -> list[str]:
        """The requests since the last call, without those that repeat the one before."""
        with self.path.open(encoding="utf-8") as log:
            log.seek(self._read)
            entries = [json.loads(line) for line in log]
            self._read = log.tell()
        asked = [entry["request"] for entry in entries if entry["type"] == "request"]
        named = [_UUID.sub("*", f"{request['operation']} {request['path']}") for request in asked]
        return [name for name, before in zip(named, ["", *named], strict=False) if name != before]


def plainly(value: object, name: str = "") -> object:
    """A value of the wire without the marks of secrets, the bridge's own notes, and what is another one each time."""
    if isinstance(value, dict):
        found = cast("dict[str, object]", value)
        if SIGNATURE in found:
            return plainly(found.get("value"), name)
        kept = {key: item for key, item in found.items() if not key.startswith("__") and key != _NEWER}
        return {key: plainly(item, key) for key, item in sorted(kept.items())}
    if value and name in _ANOTHER_EACH_TIME:
        return "*"
    if isinstance(value, list):
        return [plainly(item) for item in cast("list[object]", value)]
    if isinstance(value, str):
        return "*" if value.startswith("-----BEGIN") else _UUID.sub("*", value)
    return value


def properties(message: struct_pb2.Struct) -> object:
    return plainly(json_format.MessageToDict(message))


@dataclass
class Case:
    """An object taken through its steps, with what those before it made."""

    plugin: Plugin
    bao: Bao
    requests: Requests
    made: dict[str, str]

    def run(self, kind: str, programs: list[dict[str, object]]) -> dict[str, Any]:
        """What the plugin did: the same form as a recorded case."""
        it, steps = Managed(self.plugin, kind), list[dict[str, object]]()
        for program in programs:
            self.requests.since()
            it.up(cast("dict[str, object]", self._filled(program)))
            step: dict[str, object] = {"program": program, "inputs": properties(it.inputs), "id": _UUID.sub("*", it.id)}
            step |= {"state": properties(it.outputs), "wrote": self.requests.since()}
            self._keep(it)
            it.refresh()
            step |= {"refreshed": properties(it.outputs), "read": self.requests.since()}
            steps.append(step)
        it.destroy()
        return {"type": kind, "steps": steps, "deleted": self.requests.since()}

    def _filled(self, said: object) -> object:
        if isinstance(said, dict):
            return {name: self._filled(item) for name, item in cast("dict[str, object]", said).items()}
        if said == "$CA":
            return Path(self.bao.ca_file).read_text(encoding="utf-8")
        if said == "$CERTIFICATE":
            return OfflineRoot().sign(self.made["$CSR"])
        return self.made[said] if isinstance(said, str) and said in self.made else said

    def _keep(self, it: Managed) -> None:
        if "csr" in it.state:
            self.made["$CSR"] = str(it.state["csr"])
        for issuer in cast("list[str]", it.state.get("importedIssuers") or []):
            self.made["$ISSUER"] = issuer


@pytest.fixture(scope="module")
def case(vault: Plugin, bao: Bao, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Engines to work in, and an audit device that writes down each request."""
    log = tmp_path_factory.mktemp("audit") / "requests.log"
    bao.client.sys.enable_audit_device("file", path="requests", options={"file_path": str(log), "log_raw": "true"})
    bao.client.sys.enable_secrets_engine("kv", path="apps", options={"version": "2"})
    bao.client.sys.enable_secrets_engine("database")
    bao.client.sys.enable_secrets_engine("pki", config={"max_lease_ttl": "87600h"})
    bao.client.sys.enable_auth_method("kubernetes")
    requests = Requests(log)
    Managed(vault, POLICY).take_over("default")
    assert requests.since()[-2:] == ["read auth/token/lookup-self", "read sys/policies/acl/default"], "the login first"
    return Case(vault, bao, requests, {})


def facts() -> list[dict[str, Any]]:
    return json.loads(FACTS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("fact", facts(), ids=lambda fact: str(fact["name"]))
def test_it_keeps_and_asks_what_the_official_plugin_does(case: Case, fact: dict[str, Any]) -> None:
    found = case.run(fact["type"], [step["program"] for step in fact["steps"]])
    for step, wanted in zip(found["steps"], fact["steps"], strict=True):
        assert step == wanted
    assert found["deleted"] == fact["deleted"]
