"""The injector's output, held against its documentation and the shape that the injector's own containers have."""

import base64
import json
from typing import Any

import pytest

from embedded.node.agent_injection import InjectionError, VaultPlace, inject, wanted

pytestmark = pytest.mark.unit

PREFIX = "vault.hashicorp.com/"
VAULT = VaultPlace("https://198.18.0.2:8200", "-----BEGIN CERTIFICATE-----", "localhost")
ANNOTATIONS = {
    "agent-inject": "true",
    "agent-inject-containers": "api,seed",
    "role": "shop-api",
    "auth-path": "auth/kubernetes",
    "agent-pre-populate": "true",
    "agent-pre-populate-only": "false",
    "agent-run-as-same-user": "true",
    "agent-set-security-context": "true",
    "agent-service-account-token-volume-name": "vault-token",
    "template-static-secret-render-interval": "5m",
    "agent-requests-cpu": "25m",
    "agent-requests-mem": "32Mi",
    "agent-limits-cpu": "100m",
    "agent-limits-mem": "64Mi",
    "agent-inject-secret-database": "secret/data/shop/api/database",
    "agent-inject-file-database": "database",
    "agent-inject-perms-database": "0400",
    "agent-inject-template-database": "{{ with secret }}",
}


def pod(**changed: str) -> dict[str, Any]:
    said = {PREFIX + key.replace("_", "-"): value for key, value in {**ANNOTATIONS, **changed}.items()}
    token = {"serviceAccountToken": {"audience": "vault", "path": "token"}}
    return {
        "metadata": {"name": "api-1", "annotations": said},
        "spec": {
            "securityContext": {"runAsUser": 1000},
            "initContainers": [{"name": "istio-proxy"}, {"name": "seed"}],
            "containers": [{"name": "api", "securityContext": {"runAsUser": 1001}}, {"name": "other"}],
            "volumes": [{"name": "vault-token", "projected": {"sources": [token]}}],
        },
    }


def container(made: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    return next(item for item in made["spec"][kind] if item["name"] == name)


def configuration(agent: dict[str, Any]) -> dict[str, Any]:
    [value] = [variable["value"] for variable in agent["env"] if variable["name"] == "VAULT_CONFIG"]
    return json.loads(base64.b64decode(value))


def test_only_who_asks_gets_an_agent_and_only_once() -> None:
    assert wanted(pod())
    assert not wanted({"metadata": {"name": "x"}, "spec": {}})
    assert not wanted(pod(agent_inject="false"))
    assert not wanted(inject(pod(), VAULT))


def test_the_files_are_there_before_the_application_starts_and_change_with_the_secret() -> None:
    made = inject(pod(), VAULT)
    assert [item["name"] for item in made["spec"]["initContainers"]] == ["istio-proxy", "seed", "vault-agent-init"]
    assert [item["name"] for item in made["spec"]["containers"]] == ["api", "other", "vault-agent"]
    first = configuration(container(made, "initContainers", "vault-agent-init"))
    beside = configuration(container(made, "containers", "vault-agent"))
    assert (first.pop("exit_after_auth"), beside.pop("exit_after_auth")) == (True, False)
    assert first == beside
    assert beside["auto_auth"]["method"] == {
        "type": "kubernetes",
        "mount_path": "auth/kubernetes",
        "config": {
            "role": "shop-api",
            "token_path": "/var/run/secrets/vault.hashicorp.com/serviceaccount/token",
        },
    }
    assert beside["vault"] == {"address": VAULT.address, "tls_server_name": "localhost"}
    assert beside["template_config"]["static_secret_render_interval"] == "5m"
    assert beside["template"] == [
        {
            "destination": "/vault/secrets/database",
            "contents": "{{ with secret }}",
            "perms": "0400",
            "left_delimiter": "{{",
            "right_delimiter": "}}",
        }
    ]


def test_without_a_sidecar_when_the_files_are_wanted_once() -> None:
    made = inject(pod(agent_pre_populate_only="true"), VAULT)
    assert [item["name"] for item in made["spec"]["containers"]] == ["api", "other"]


def test_before_all_init_containers_when_they_read_secrets() -> None:
    made = inject(pod(agent_init_first="true"), VAULT)
    assert made["spec"]["initContainers"][0]["name"] == "vault-agent-init"


def test_the_files_are_in_memory_and_in_the_containers_that_are_named() -> None:
    made = inject(pod(), VAULT)
    assert {"name": "vault-secrets", "emptyDir": {"medium": "Memory"}} in made["spec"]["volumes"]
    mount = {"name": "vault-secrets", "mountPath": "/vault/secrets"}
    assert container(made, "containers", "api")["volumeMounts"] == [mount]
    assert container(made, "initContainers", "seed")["volumeMounts"] == [mount]
    assert "volumeMounts" not in container(made, "containers", "other")
    assert "volumeMounts" not in container(made, "initContainers", "istio-proxy")


@pytest.mark.parametrize(("kind", "name"), [("initContainers", "vault-agent-init"), ("containers", "vault-agent")])
def test_the_agent_runs_as_the_user_that_reads_the_files_and_has_no_rights(kind: str, name: str) -> None:
    agent = container(inject(pod(), VAULT), kind, name)
    assert agent["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsGroup": 1000,
        "runAsNonRoot": True,
        "runAsUser": 1001,
    }
    assert agent["resources"] == {
        "requests": {"cpu": "25m", "memory": "32Mi"},
        "limits": {"cpu": "100m", "memory": "64Mi"},
    }
    assert [mount["mountPath"] for mount in agent["volumeMounts"]] == [
        "/home/vault",
        "/var/run/secrets/vault.hashicorp.com/serviceaccount",
        "/vault/secrets",
    ]


def test_a_patch_adds_mounts_to_the_agent_alone() -> None:
    mount = {"name": "secrets-proxy", "mountPath": "/vault/secrets/.proxy"}
    patch = json.dumps([{"op": "add", "path": "/volumeMounts/-", "value": mount}])
    made = inject(pod(agent_json_patch=patch), VAULT)
    assert mount in container(made, "containers", "vault-agent")["volumeMounts"]
    assert mount not in container(made, "initContainers", "vault-agent-init")["volumeMounts"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"agent_cache_enable": "true"}, "agent-cache-enable is not known"),
        ({"agent_run_as_same_user": "false"}, "agent-run-as-same-user: the embedded injector knows only true"),
        ({"agent_json_patch": '[{"op": "remove", "path": "/args"}]'}, "knows no patch remove /args"),
    ],
)
def test_what_is_not_known_is_refused(changed: dict[str, str], message: str) -> None:
    with pytest.raises(InjectionError, match=message):
        inject(pod(**changed), VAULT)
