"""Vault's chart values, and what VaultPlatform registers for a Vault of its own and for an external one."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi_kubernetes import Provider
from syrupy.assertion import SnapshotAssertion

from components.kube.charts import OPENBAO, VAULT
from components.kube.names import OPERATOR, PLATFORM_NAMESPACES
from components.vault.database_connection import DatabaseConnectionArgs, connection_url
from components.vault.operator import operator_policy
from components.vault.platform import VaultPlatform, VaultPlatformArgs
from components.vault.values import InjectorArgs, ServerArgs, chart_values, server_config
from tests.support.monitor import Recording, record
from tests.support.stacks import plan_of, values
from tests.support.vault_chart import sealed

MATRIX = list(product((1, 3), (False, True), (False, True)))


SHOP = DatabaseConnectionArgs("shop", "postgres.shop.svc", 5432, "shop", "vault", ["shop.web", "shop.api"])


def run(**changes: Any) -> Recording:
    args = VaultPlatformArgs(
        **{"address": "https://10.0.0.9:8200", "audit_paths": ("/vault/audit/1", "stdout"), **changes}
    )
    return record(
        lambda: VaultPlatform("vault", args, pulumi.ResourceOptions(providers=[Provider("cluster")])) and None
    )


@pytest.mark.parametrize(("replicas", "openbao", "fail_closed"), MATRIX)
def test_no_combination_switches_tls_off(replicas: int, openbao: bool, fail_closed: bool) -> None:
    values = chart_values(sealed(replicas), InjectorArgs(1, fail_closed), openbao, None)
    assert values["global"]["tlsDisable"] is False
    assert "tls_disable" not in json.dumps(values)
    config = values["server"]["ha"]["raft"]["config"]
    assert 'tls_cert_file = "/vault/tls/tls.crt"' in config
    assert config.count("retry_join") == replicas
    assert "http://" not in config
    assert ("unsafe_allow_api_audit_creation" in config) == openbao


@pytest.mark.parametrize("replicas", [1, 3, 5])
def test_replicas_are_apart_and_keep_a_quorum(replicas: int) -> None:
    server = chart_values(sealed(replicas), None, False, None)["server"]
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


def test_further_authorities_are_in_the_pods() -> None:
    server = chart_values(ServerArgs(authorities="further"), None, False, None)["server"]
    assert {"name": "authorities", "configMap": {"name": "further"}} in server["volumes"]
    assert {"name": "authorities", "mountPath": "/vault/authorities", "readOnly": True} in server["volumeMounts"]
    assert "authorities" not in json.dumps(chart_values(ServerArgs(), None, False, None)["server"])


def test_a_seal_is_written() -> None:
    config = server_config(sealed(3), openbao=False)
    assert 'seal "awskms" {\n  region = "eu-central-1"\n  kms_key_id = "alias/vault"\n}' in config


@pytest.mark.parametrize(("openbao", "chart"), [(False, VAULT), (True, OPENBAO)])
def test_a_vault_of_its_own(openbao: bool, chart: Any) -> None:
    made = run(server=sealed(3), injector=InjectorArgs(), openbao=openbao)
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
    assert config.inputs["disableIssValidation"] is True, "left out, the provider would say false"
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


@pytest.mark.parametrize("server", [None, sealed(3)])
def test_the_operator_has_a_login_for_one_service_account(server: ServerArgs | None) -> None:
    made = run(server=server)
    account = made.one("ServiceAccount", "vault.operator").inputs
    assert account["metadata"] == {"name": OPERATOR, "namespace": "vault"}
    assert account["automountServiceAccountToken"] is False
    assert not [binding for binding in made.of("ClusterRoleBinding") if OPERATOR in json.dumps(binding.inputs)]
    assert made.one("vault:index/policy:Policy").inputs == {"name": OPERATOR, "policy": operator_policy()}
    role = made.one("AuthBackendRole")
    assert role.inputs == {
        "backend": "kubernetes",
        "roleName": OPERATOR,
        "boundServiceAccountNames": [OPERATOR],
        "boundServiceAccountNamespaces": ["vault"],
        "audience": "vault",
        "tokenPolicies": [OPERATOR],
        "tokenNoDefaultPolicy": True,
        "tokenTtl": 600,
        "tokenMaxTtl": 600,
    }
    assert {device.name for device in made.of("Audit")} | {"kubernetes"} <= made.behind(role)


def test_no_secret_before_the_audit_devices() -> None:
    made = run()
    devices = made.of("Audit")
    assert [d.inputs["options"]["file_path"] for d in sorted(devices, key=lambda d: d.name)] == [
        "/vault/audit/1",
        "stdout",
    ]
    assert {device.urn for device in devices} <= made.one("Mount").dependencies
    assert made.one("Mount").inputs["type"] == "kv-v2"


def test_a_device_with_another_file_comes_after_the_old_one_at_its_path() -> None:
    assert all(device.delete_before_replace for device in run().of("Audit"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"address": "http://vault:8200"}, "address: .*TLS only"),
        ({"login_cert_file": "/c.pem"}, "one is without the other"),
        ({"login_key_file": "/k.pem"}, "one is without the other"),
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


# The values of the release


def release_values(environment: str, openbao: bool) -> dict[str, Any]:
    vault = {**values(environment)["vault"], "distribution": "openbao" if openbao else "vault"}
    args = plan_of(environment, vault=vault).vault
    assert args is not None
    return chart_values(args.server, args.injector, args.openbao, None)


@pytest.mark.parametrize("openbao", [False, True], ids=["vault", "openbao"])
@pytest.mark.parametrize("environment", ["production", "staging", "dev"])
def test_the_values_of_each_posture(environment: str, openbao: bool, snapshot: SnapshotAssertion) -> None:
    assert release_values(environment, openbao) == snapshot


def test_a_cloud_gives_the_pods_of_vault_an_identity() -> None:
    annotations, labels = {"eks.amazonaws.com/role-arn": "arn:x"}, {"azure.workload.identity/use": "true"}
    vault = {**values("production")["vault"], "serviceAccountAnnotations": annotations, "podLabels": labels}
    args = plan_of("production", vault=vault).vault
    assert args is not None
    server = chart_values(args.server, None, args.openbao, None)["server"]
    assert (server["serviceAccount"]["annotations"], server["extraLabels"]) == (annotations, labels)


def test_the_injector_keeps_no_pod_of_the_platform_waiting() -> None:
    args = plan_of("production", ingress={**values("production")["ingress"], "gatewayNamespace": "edge"}).vault
    assert args is not None
    [selector] = chart_values(None, args.injector, False, None)["injector"]["webhook"]["namespaceSelector"][
        "matchExpressions"
    ]
    assert selector["operator"] == "NotIn"
    assert {*PLATFORM_NAMESPACES, "edge"} == set(selector["values"])


GCP = {"project": "p", "region": "r", "keyRing": "k", "cryptoKey": "c"}
AZURE = {"tenantId": "t", "vaultName": "v", "keyName": "k", "clientId": "i"}
TRANSIT = {"address": "https://v.example.org", "keyName": "unseal", "tokenSecret": "transit-token"}
STATIC = {"currentKeyId": "k2", "previousKeyId": "k1", "keySecret": "vault-seal"}


@pytest.mark.parametrize(
    ("seal", "written"),
    [
        ({"awskms": {"region": "r", "kmsKeyId": "k"}}, ['seal "awskms" {', 'region = "r"', 'kms_key_id = "k"']),
        ({"gcpckms": GCP}, ['seal "gcpckms" {', 'project = "p"', 'key_ring = "k"', 'crypto_key = "c"']),
        (
            {"azurekeyvault": AZURE},
            ['seal "azurekeyvault" {', 'tenant_id = "t"', 'vault_name = "v"', 'client_id = "i"'],
        ),
        ({"transit": TRANSIT}, ['seal "transit" {', 'address = "https://v.example.org"', 'mount_path = "transit/"']),
        (
            {"static": STATIC},
            [
                'seal "static" {',
                'current_key_id = "k2"',
                'current_key = "file:///vault/seal/k2"',
                'previous_key = "file:///vault/seal/k1"',
            ],
        ),
    ],
)
def test_each_seal_is_written_without_a_secret(seal: dict[str, Any], written: list[str]) -> None:
    vault = {**values("production")["vault"], "seal": seal, "distribution": "openbao"}
    args = plan_of("production", vault=vault).vault
    assert args is not None
    assert args.server is not None
    config = server_config(args.server, openbao=True)
    assert all(line in config for line in written)
    assert "None" not in config
    assert "ecret" not in config
    server = chart_values(args.server, None, True, None)["server"]
    mounted = [volume["secret"]["secretName"] for volume in server["volumes"] if "secret" in volume]
    assert ("vault-seal" in mounted) == ("static" in seal)
    token = [{"envName": "VAULT_TOKEN", "secretName": "transit-token", "secretKey": "token"}]
    assert server.get("extraSecretEnvironmentVars", []) == (token if "transit" in seal else [])


# The engine of secrets


@pytest.mark.parametrize(
    ("secrets", "wanted"),
    [
        ({}, {"maxVersions": 10, "casRequired": True}),
        ({"keepVersions": 3}, {"maxVersions": 3, "casRequired": True}),
        ({"checkAndSet": False}, {"maxVersions": 10, "casRequired": False}),
        ({"deleteAfter": "720h"}, {"maxVersions": 10, "casRequired": True, "deleteVersionAfter": 2592000}),
    ],
)
def test_the_secrets_engine_is_as_the_stack_says(secrets: dict[str, Any], wanted: dict[str, Any]) -> None:
    args = plan_of("production", vault={**values("production")["vault"], "secrets": secrets}).vault
    assert args is not None
    made = run(kept_versions=args.kept_versions, check_and_set=args.check_and_set, delete_after=args.delete_after)
    assert made.one("SecretBackendV2").inputs == {"mount": "secret", **wanted}


# The database engine


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({}, "@postgres.shop.svc:5432/shop?sslmode=verify-full"),
        ({"ca_cert_file": "/vault/tls/db.crt"}, "/shop?sslmode=verify-full&sslrootcert=/vault/tls/db.crt"),
        ({"ca_cert_file": "/a b&c"}, "&sslrootcert=/a+b%26c"),
        ({"host": "127.0.0.1", "port": 6432, "tls": False}, "@127.0.0.1:6432/shop?sslmode=disable"),
        ({"host": "::1"}, "@[::1]:5432/shop"),
    ],
)
def test_the_address_verifies_the_server(changes: dict[str, Any], address: str) -> None:
    found = connection_url(replace(SHOP, **changes))
    assert found.startswith("postgresql://{{username}}:{{password}}@")
    assert address in found


def test_a_database_lets_in_its_services_and_rotates_its_administrator(tmp_path: Path) -> None:
    password = tmp_path / "first"
    password.write_text("hunter2\n")
    made = run(databases=[replace(SHOP, password_file=str(password), max_open_connections=7, password_version=2)])
    mount = made.one("Mount", "database")
    assert (mount.inputs["type"], mount.inputs["maxLeaseTtlSeconds"]) == ("database", 86400)
    assert {device.urn for device in made.of("Audit")} <= mount.dependencies
    connection = made.one("SecretBackendConnection")
    assert connection.inputs["allowedRoles"] == ["shop.api", "shop.web"]
    assert connection.inputs["verifyConnection"] is True
    block = connection.inputs["postgresql"]
    assert (block["passwordWo"], block["passwordWoVersion"], block["username"]) == ("hunter2", 2, "vault")
    assert (block["maxOpenConnections"], block["passwordAuthentication"]) == (7, "scram-sha-256")
    assert "postgresql" in connection.secret_inputs
    assert "DisplayName" not in block["usernameTemplate"]
    rotation = made.one("Endpoint")
    assert rotation.inputs["path"] == "database/rotate-root/shop"
    assert rotation.inputs["disableRead"] is rotation.inputs["disableDelete"] is True
    assert connection.urn in rotation.dependencies
    assert connection.deleted_with == rotation.deleted_with == mount.urn


def test_a_database_without_a_first_password_is_one_that_vault_knows() -> None:
    made = run(databases=[SHOP])
    assert "passwordWo" not in made.one("SecretBackendConnection").inputs["postgresql"]
    assert made.one("Endpoint")


def test_a_first_password_may_be_a_secret_of_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def secret(self: pulumi.Config, key: str) -> pulumi.Output[str]:
        asked.append(f"{self.name}:{key}")
        return pulumi.Output.secret("hunter2")

    monkeypatch.setattr(pulumi.Config, "require_secret", secret)
    connection = run(databases=[replace(SHOP, password_secret="zero-trust-secrets:shop")]).one(
        "SecretBackendConnection"
    )
    assert asked == ["zero-trust-secrets:shop"]
    assert connection.inputs["postgresql"]["passwordWo"] == "hunter2"
    assert "postgresql" in connection.secret_inputs


@pytest.mark.parametrize("retain", [False, True])
def test_what_holds_the_administrators_password_is_kept_while_the_stack_says_so(retain: bool) -> None:
    made = run(databases=[SHOP], retain_data=retain)
    for resource in (made.one("Mount", "database"), made.one("SecretBackendConnection")):
        assert (resource.protect, resource.retain_on_delete) == (retain, retain)


def test_without_a_database_there_is_no_engine() -> None:
    assert [mount.name for mount in run().of("Mount")] == ["secret"]
