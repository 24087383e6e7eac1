"""The injector's webhook: its own, or that of a release of Vault, with what the release's Deployment says."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from embedded.node.injector import Injector
from embedded.node.names import INJECTOR_SERVICE, VAULT_ADDRESS
from embedded.node.real_node import RealNode
from embedded.paths import State
from embedded.supervisor.layout import Layout
from embedded.supervisor.pki import CLUSTER, INJECTOR, VAULT, Pki
from embedded.tests.unit.test_agent_injection import configuration, container, pod

pytestmark = pytest.mark.unit

WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
OWN, RELEASED = f"{WEBHOOKS}/vault-agent-injector-cfg.embedded", f"{WEBHOOKS}/vault-agent-injector-cfg"
DEPLOYMENT = "/apis/apps/v1/namespaces/vault/deployments/vault-agent-injector"
SERVICE = {"name": "vault-agent-injector-svc", "namespace": "vault", "path": "/mutate"}
SAID = {
    "AGENT_INJECT_VAULT_ADDR": "https://vault.vault.svc:8200",
    "AGENT_INJECT_VAULT_IMAGE": "docker.io/hashicorp/vault:9",
    "AGENT_INJECT_VAULT_CACERT_BYTES": "PEM of the release",
}


class _Api:
    """The objects of an API server, by their path."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}

    def find(self, path: str) -> Any:
        return self.objects.get(path)

    def apply(self, collection: str, manifest: dict[str, Any]) -> None:
        self.objects[f"{collection}/{manifest['metadata']['name']}"] = manifest

    def patch(self, path: str, change: dict[str, Any]) -> None:
        self.objects[path] = self.objects[path] | change

    def delete(self, path: str) -> None:
        self.objects.pop(path, None)

    def release(self) -> None:
        """What Helm makes of the chart."""
        client = {"service": SERVICE, "caBundle": ""}
        self.objects[RELEASED] = {"webhooks": [{"name": "vault.hashicorp.com", "clientConfig": client}]}
        variables = [{"name": name, "value": value} for name, value in SAID.items()]
        made = {"containers": [{"name": "sidecar-injector", "env": variables}]}
        self.objects[DEPLOYMENT] = {"spec": {"template": {"spec": made}}}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    state = State(tmp_path).create()
    pki = Pki(state.pki)
    pki.ensure()
    return Layout(state, Path("/tools"), {INJECTOR: 20001, "vault": 20002}, pki)


@pytest.fixture
def api() -> _Api:
    return _Api()


@pytest.fixture
def injector(layout: Layout, api: _Api) -> Injector:
    return Injector(layout, api)  # pyright: ignore[reportArgumentType]


def authority(layout: Layout) -> str:
    return base64.b64encode(layout.pki.ca(CLUSTER).read_bytes()).decode()


def answered(injector: Injector) -> dict[str, Any]:
    """The pod that the webhook makes of one that asks for an agent."""
    review = injector._review({"request": {"uid": "1", "object": pod()}})  # pyright: ignore[reportPrivateUsage]
    steps = json.loads(base64.b64decode(review["response"]["patch"]))
    return {"spec": next(step["value"] for step in steps if step["path"] == "/spec")}


def test_without_a_release_it_has_a_webhook_of_its_own(injector: Injector, api: _Api, layout: Layout):
    injector.register()
    [webhook] = api.objects[OWN]["webhooks"]
    assert webhook["clientConfig"] == {"url": "https://127.0.0.1:20001/mutate", "caBundle": authority(layout)}
    agent = container(answered(injector), "containers", "vault-agent")
    assert configuration(agent)["vault"] == {
        "address": f"https://{VAULT_ADDRESS}:20002",
        "tls_server_name": "localhost",
    }
    assert _variable(agent) == layout.pki.ca(VAULT).read_text()


def test_with_one_it_stands_behind_the_releases_webhook(injector: Injector, api: _Api, layout: Layout):
    injector.register()
    api.release()
    injector.register()
    assert OWN not in api.objects
    [webhook] = api.objects[RELEASED]["webhooks"]
    assert webhook["clientConfig"] == {"service": SERVICE, "caBundle": authority(layout)}


def test_the_agents_are_those_of_the_releases_deployment(injector: Injector, api: _Api):
    api.release()
    agent = container(answered(injector), "initContainers", "vault-agent-init")
    assert agent["image"] == SAID["AGENT_INJECT_VAULT_IMAGE"]
    assert configuration(agent)["vault"] == {"address": SAID["AGENT_INJECT_VAULT_ADDR"]}
    assert _variable(agent) == SAID["AGENT_INJECT_VAULT_CACERT_BYTES"]


def test_the_api_server_finds_it_at_the_address_of_the_releases_service(injector: Injector, api: _Api):
    api.release()
    api.objects["/api/v1/namespaces/vault/services/vault-agent-injector-svc"] = {"spec": {"clusterIP": "10.96.1.2"}}
    assert not injector.is_at("10.96.1.2", 443)
    injector.register()
    assert injector.is_at("10.96.1.2", 443)
    assert not injector.is_at("10.96.1.3", 443)


def test_when_the_release_is_gone_its_own_comes_back(injector: Injector, api: _Api):
    api.release()
    injector.register()
    del api.objects[RELEASED]
    injector.register()
    assert OWN in api.objects


def test_the_api_server_is_led_to_it_by_the_releases_service(layout: Layout, monkeypatch: pytest.MonkeyPatch):
    node = RealNode(layout, _Api(), lambda: None)  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(node, "_world", object())
    assert node.reaches(INJECTOR_SERVICE, 443)
    assert not node.reaches("vault.vault.svc", 8200)


def _variable(agent: dict[str, Any]) -> str:
    [value] = [variable["value"] for variable in agent["env"] if variable["name"] == "VAULT_CACERT_BYTES"]
    return value
