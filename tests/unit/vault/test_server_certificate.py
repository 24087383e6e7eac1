"""The certificate of Vault's servers: for which names, by which authority, and who is told that authority."""

import json
from typing import Any

import pytest

from components.kube.names import VAULT_TLS_SECRET
from components.program.plan import Plan
from components.schema.problem import ConfigError, FieldError
from components.vault.bootstrap_resources import BootstrapArgs
from components.vault.deployer import JwtLogin
from components.vault.platform import VaultPlatformArgs
from components.vault.server_certificate import ServerCertificateArgs, manifests, server_names
from components.vault.values import InjectorArgs, ServerArgs, chart_values
from tests.support.monitor import AUTHORITY
from tests.support.stacks import plan_of, values
from tests.support.vault_chart import sealed
from tests.unit.vault.test_platform import run

pytestmark = pytest.mark.unit

FILE = ".vault-authority.production.pem"
CERTIFICATE = ServerCertificateArgs("vault.example.org", 3, FILE)


def planned(environment: str = "production", **vault: Any) -> Plan:
    return plan_of(environment, vault={**values(environment)["vault"], **vault})


@pytest.mark.parametrize("host", ["vault.example.org", "10.0.0.9", "::1", "vault.vault.svc", ""])
@pytest.mark.parametrize("replicas", [1, 3])
def test_it_is_for_every_name_by_which_vault_is_reached(host: str, replicas: int) -> None:
    [server] = [
        made
        for made in manifests(ServerCertificateArgs(host, replicas, FILE))
        if made["metadata"]["name"] == "vault-server"
    ]
    spec = server["spec"]
    names = server_names(replicas, host)
    assert sorted([*spec["dnsNames"], *spec["ipAddresses"]]) == sorted(names)
    assert {"vault.vault.svc", "vault-0.vault-internal", "127.0.0.1"} <= set(names)
    assert (f"vault-{replicas}.vault-internal" in names, f"vault-{replicas - 1}.vault-internal" in names) == (
        False,
        True,
    )
    assert all(name.replace(".", "").isdigit() or ":" in name for name in spec["ipAddresses"])
    assert spec["secretName"] == VAULT_TLS_SECRET
    assert spec["usages"] == ["digital signature", "server auth", "client auth"]


def test_only_the_authority_may_sign_and_it_signs_in_vaults_namespace_alone() -> None:
    made = manifests(CERTIFICATE)
    assert {each["metadata"]["namespace"] for each in made} == {"vault"}
    assert "ClusterIssuer" not in {each["kind"] for each in made}
    authorities = [each for each in made if each["spec"].get("isCA")]
    assert [each["metadata"]["name"] for each in authorities] == ["vault-authority"]
    # Its successor would have another key, and nobody would trust it.
    assert authorities[0]["spec"]["privateKey"]["rotationPolicy"] == "Never"


def test_the_request_that_tells_the_authority_may_do_nothing() -> None:
    [request] = [each for each in manifests(CERTIFICATE) if each["kind"] == "CertificateRequest"]
    assert request["spec"]["usages"] == ["digital signature"]
    assert "isCA" not in request["spec"]


def test_vault_starts_behind_its_certificate_and_its_clients_know_the_authority() -> None:
    login = JwtLogin("https://ci.example.org", "vault", "repo:main")
    made = run(
        server=sealed(3),
        certificate=CERTIFICATE,
        injector=InjectorArgs(),
        login_jwt_mount="jwt",
        bootstrap=BootstrapArgs(login),
    )
    release = made.one("Release")
    assert made.behind(release) >= {"vault.vault-server.Certificate", "vault.authority"}
    variables = release.inputs["values"]["injector"]["extraEnvironmentVars"]
    assert variables == {"AGENT_INJECT_VAULT_CACERT_BYTES": AUTHORITY}
    assert made.written == {FILE: AUTHORITY}
    assert made.one("pulumi:providers:vault").inputs["caCertFile"] == FILE
    assert made.one("Initialisation").inputs["ca_cert_file"] == FILE
    assert made.one("DeployerLogin").inputs["ca_cert_file"] == FILE


def test_each_part_waits_until_the_one_before_is_ready() -> None:
    made = run(server=sealed(3), certificate=CERTIFICATE)
    before: set[str] = set()
    for each in manifests(CERTIFICATE):
        [registered] = [
            one for one in made.of(each["kind"]) if one.inputs["metadata"]["name"] == each["metadata"]["name"]
        ]
        assert before <= registered.dependencies
        assert registered.inputs["metadata"]["annotations"] == {"pulumi.com/waitFor": "condition=Ready"}
        before.add(registered.urn)


def test_a_secret_of_ones_own_is_mounted_and_nothing_is_issued() -> None:
    vault = planned(tlsSecret="own").vault
    assert vault
    assert vault.server
    assert (vault.certificate, vault.server.tls_secret) == (None, "own")


@pytest.mark.parametrize("environment", ["production", "staging", "dev"])
def test_by_default_it_is_issued(environment: str) -> None:
    plan = planned(environment)
    assert plan.vault
    assert plan.vault.certificate
    assert plan.vault.server
    assert plan.vault.certificate.authority_file == f".vault-authority.{environment}.pem"
    assert plan.vault.certificate.replicas == plan.vault.server.replicas
    assert plan.vault.server.tls_secret == VAULT_TLS_SECRET
    assert plan.certificates


def test_without_a_public_host_cert_manager_is_there_for_vault_alone() -> None:
    off: dict[str, Any] = {"posture": {"issuer": {"value": "none", "reason": "a test"}}}
    alone = plan_of("production", **off)
    assert alone.certificates
    assert not alone.certificates.gateway_api
    assert {policy["metadata"]["namespace"] for policy in alone.certificates.network_policies} == {"cert-manager"}
    external = {**values("production")["vault"], "mode": "external", "cidrs": ["10.0.0.9/32"]}
    external.pop("seal")
    assert plan_of("production", **off, vault=external).certificates is None


@pytest.mark.parametrize(
    ("vault", "error"),
    [
        ({"caCertFile": "/ca.pem"}, r"vault\.caCertFile: the program's own authority is behind it"),
        (
            {"mode": "external", "cidrs": ["10.0.0.9/32"], "tlsSecret": "x"},
            r"vault\.tlsSecret: an external Vault has",
        ),
        (
            {"delivery": "external-secrets", "deliveryReason": "a test"},
            r"vault\.tlsSecret: required with vault\.delivery external-secrets",
        ),
    ],
)
def test_what_goes_not_together_is_refused_at_its_key(vault: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        planned(**vault)


def test_arguments_in_code_are_checked_alike() -> None:
    good: dict[str, Any] = {"address": "https://v:8200", "audit_paths": ("stdout",), "certificate": CERTIFICATE}
    assert VaultPlatformArgs(**good, server=ServerArgs())
    with pytest.raises(FieldError, match="certificate: an external Vault has its own"):
        VaultPlatformArgs(**good)
    with pytest.raises(FieldError, match="ca_cert_file: the certificate comes with its authority"):
        VaultPlatformArgs(**good, server=ServerArgs(), ca_cert_file="/ca.pem")


@pytest.mark.parametrize(("openbao", "program"), [(False, "vault"), (True, "bao")])
def test_a_container_beside_the_server_signals_it_without_any_right(openbao: bool, program: str) -> None:
    server = chart_values(ServerArgs(image="registry.example.org/vault:1"), None, openbao, None)["server"]
    assert server["shareProcessNamespace"] is True
    [reloader] = server["extraContainers"]
    assert f"pkill -HUP -x {program}" in reloader["command"][-1]
    assert reloader["image"] == "registry.example.org/vault:1"
    assert reloader["securityContext"] == server["statefulSet"]["securityContext"]["container"]
    assert [mount["name"] for mount in reloader["volumeMounts"]] == ["tls"]
    assert json.dumps(reloader).count("VAULT_TOKEN") == 0
