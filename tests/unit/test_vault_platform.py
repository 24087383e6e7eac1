"""Vault's chart values, and what VaultPlatform registers for a Vault of its own and for an external one."""

import json
from itertools import product
from typing import Any

import pulumi
import pytest
from pulumi_kubernetes import Provider

from components.charts import OPENBAO, VAULT
from components.vault_platform import VaultPlatform, VaultPlatformArgs
from components.vault_values import InjectorArgs, ServerArgs, chart_values, server_config
from tests.unit.monitor import Recording, record
from tests.unit.stacks import plan_of

MATRIX = list(product((1, 3), (False, True), (False, True)))


def run(**changes: Any) -> Recording:
    args = VaultPlatformArgs(**{"address": "https://10.0.0.9:8200", "audit_paths": ("/a/one.log", "stdout"), **changes})
    return record(
        lambda: VaultPlatform("vault", args, pulumi.ResourceOptions(providers=[Provider("cluster")])) and None
    )


@pytest.mark.parametrize(("replicas", "openbao", "fail_closed"), MATRIX)
def test_no_combination_switches_tls_off(replicas: int, openbao: bool, fail_closed: bool) -> None:
    values = chart_values(ServerArgs(replicas), InjectorArgs(1, fail_closed), openbao, None)
    assert values["global"]["tlsDisable"] is False
    assert "tls_disable" not in json.dumps(values)
    config = values["server"]["ha"]["raft"]["config"]
    assert 'tls_cert_file = "/vault/tls/tls.crt"' in config
    assert config.count("retry_join") == replicas
    assert "http://" not in config
    assert ("unsafe_allow_api_audit_creation" in config) == openbao


@pytest.mark.parametrize("replicas", [1, 3, 5])
def test_replicas_are_apart_and_keep_a_quorum(replicas: int) -> None:
    server = chart_values(ServerArgs(replicas), None, False, None)["server"]
    assert server["ha"]["replicas"] == replicas
    budget = server["ha"]["disruptionBudget"]
    assert budget["enabled"] == (replicas > 1)
    assert replicas - budget["maxUnavailable"] > replicas / 2
    assert bool(server["affinity"]) == (replicas > 1)
    assert server["auditStorage"]["enabled"] is server["dataStorage"]["enabled"] is True


def test_the_servers_run_without_rights() -> None:
    context = chart_values(ServerArgs(), None, False, None)["server"]["statefulSet"]["securityContext"]
    assert context["pod"]["runAsNonRoot"] is True
    assert context["pod"]["runAsUser"] != 0
    assert context["container"]["allowPrivilegeEscalation"] is False
    assert context["container"]["capabilities"] == {"drop": ["ALL"]}
    assert context["container"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("fail_closed", [False, True])
def test_the_injector_fails_as_the_posture_says_and_never_blocks_the_platform(fail_closed: bool) -> None:
    values = chart_values(None, InjectorArgs(2, fail_closed, "PEM"), False, "https://v:8200")
    injector = values["injector"]
    assert injector["webhook"]["failurePolicy"] == ("Fail" if fail_closed else "Ignore")
    (excluded,) = injector["webhook"]["namespaceSelector"]["matchExpressions"]
    assert {"kube-system", "vault", "kyverno"} <= set(excluded["values"])
    assert injector["extraEnvironmentVars"] == {"AGENT_INJECT_VAULT_CACERT_BYTES": "PEM"}
    assert values["global"]["externalVaultAddr"] == "https://v:8200"
    assert values["server"] == {"enabled": False}


def test_a_seal_is_written_and_its_values_quoted() -> None:
    args = ServerArgs(seal_type="awskms", seal_parameters={"region": 'x"\n} listener'})
    config = server_config(args, openbao=False)
    assert 'seal "awskms" {\n  region = "x\\"\\n} listener"\n}' in config


@pytest.mark.parametrize(("openbao", "chart"), [(False, VAULT), (True, OPENBAO)])
def test_a_vault_of_its_own(openbao: bool, chart: Any) -> None:
    made = run(server=ServerArgs(3), injector=InjectorArgs(), openbao=openbao)
    release = made.one("Release")
    assert (release.inputs["name"], release.inputs["namespace"]) == ("vault", "vault")
    assert release.inputs["chart"] == chart.name
    assert release.protect
    assert release.retain_on_delete
    assert made.one("Namespace").protect
    assert not made.of("ClusterRoleBinding")
    config = made.one("AuthBackendConfig").inputs
    assert "tokenReviewerJwt" not in config
    in_vault = [resource for resource in made.resources if resource.type.startswith("vault:")]
    assert in_vault
    assert all(resource.deleted_with == release.urn for resource in in_vault)


@pytest.mark.parametrize("retain", [False, True])
def test_what_holds_data_is_kept_while_the_stack_says_so(retain: bool) -> None:
    made = run(server=ServerArgs(), retain_data=retain)
    for resource in (made.one("Release"), made.one("Namespace"), made.one("Mount")):
        assert (resource.protect, resource.retain_on_delete) == (retain, retain)


def test_an_external_vault() -> None:
    made = run(login_cert_file="/c.pem", login_key_file="/k.pem", ca_cert_file="/ca.pem", retain_data=False)
    assert not made.of("Release")
    provider = made.one("pulumi:providers:vault").inputs
    assert provider["address"] == "https://10.0.0.9:8200"
    assert json.loads(provider["authLoginCert"]) == {
        "certFile": "/c.pem",
        "keyFile": "/k.pem",
        "name": "platform-deployer",
    }
    assert json.loads(provider["skipChildToken"]) is True
    assert "token" not in provider
    config = made.one("AuthBackendConfig")
    assert config.inputs["tokenReviewerJwt"] == "reviewer-token"
    assert config.inputs["kubernetesCaCert"] == "cluster-ca"
    assert "tokenReviewerJwt" in config.secret_inputs
    binding = made.one("ClusterRoleBinding").inputs
    assert binding["roleRef"]["name"] == "system:auth-delegator"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "vault-token-reviewer", "namespace": "vault"}]
    assert not any(resource.protect for resource in made.resources)


def test_everything_in_vault_uses_the_explicit_provider() -> None:
    made = run()
    provider = made.one("pulumi:providers:vault")
    in_vault = [resource for resource in made.resources if resource.type.startswith("vault:")]
    assert all(resource.provider.startswith(provider.urn) for resource in in_vault)


def test_no_secret_before_the_audit_devices() -> None:
    made = run()
    devices = made.of("Audit")
    assert [d.inputs["options"]["file_path"] for d in sorted(devices, key=lambda d: d.name)] == ["/a/one.log", "stdout"]
    assert {device.urn for device in devices} <= made.one("Mount").dependencies
    assert made.one("Mount").inputs["type"] == "kv-v2"
    assert made.one("SecretBackendV2").inputs["maxVersions"] == 10


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"address": "http://vault:8200"}, "address: .*without TLS"),
        ({"login_cert_file": "/c.pem"}, "one without the other"),
        ({"login_key_file": "/k.pem"}, "one without the other"),
    ],
)
def test_wrong_arguments_are_refused(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        VaultPlatformArgs(**{"address": "https://v", "audit_paths": (), **changes})


@pytest.mark.parametrize(
    ("environment", "replicas", "devices", "fail_closed"),
    [("production", 3, 2, True), ("staging", 3, 1, False), ("dev", 1, 1, False)],
)
def test_the_posture_reaches_the_arguments(environment: str, replicas: int, devices: int, fail_closed: bool) -> None:
    args = plan_of(environment).vault
    assert args is not None
    assert args.server is not None
    assert args.injector is not None
    assert (args.server.replicas, len(args.audit_paths)) == (replicas, devices)
    assert args.injector.fail_closed is fail_closed


def test_local_has_no_vault() -> None:
    assert plan_of("local").vault is None
