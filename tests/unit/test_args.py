"""Arguments that are built in code are held to what a stack file is: no field takes what no key does."""

import base64
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

from components.config.action import Action
from components.external_secrets.operator import ExternalSecretsArgs
from components.ingress.cert_manager import CertManagerArgs
from components.ingress.hardening import FirewallArgs, HostLimits
from components.ingress.issuers import AcmeIssuer, CaIssuer, VaultIssuer
from components.ingress.public_hosts import PublicHostsArgs
from components.ingress.routes import RouteRetries
from components.ingress.secure_ingress import SecureIngressArgs
from components.kube.charts import PUBLISHED, ChartSources
from components.kyverno.exceptions import AccountExceptionArgs
from components.kyverno.image_signatures import KeylessAttestor
from components.kyverno.policy_set import KyvernoPolicySetArgs
from components.mesh.security import AutoscalingArgs, MeshSecurityArgs, TracingArgs
from components.package.args import PackageArgs
from components.package.rendered.objects import Rendered
from components.schema.problem import FieldError
from components.service.args.network import EgressArgs
from components.service.args.platform import PlatformTerms
from components.vault.bootstrap_resources import BootstrapArgs
from components.vault.database_connection import DatabaseConnectionArgs
from components.vault.deployer import CertLogin, JwtLogin, KubernetesLogin
from components.vault.pki import PkiArgs
from components.vault.platform import VaultPlatformArgs
from components.vault.snapshots import SnapshotArgs
from components.vault.values import InjectorArgs, ServerArgs
from tests.support.stacks import service
from tests.support.vault_chart import sealed

pytestmark = pytest.mark.unit

PACKAGE = PackageArgs("nats", "messaging", "commerce", PlatformTerms(), Rendered(()))
JWT = JwtLogin("https://ci.example.org", "vault", "repo:shop/platform:ref:refs/heads/main")
HOSTS = {"hosts": ("api.example.org",), "owners": {"api.example.org": "shop"}}
MODULE = f"registry.example.org/waf@sha256:{'a' * 64}"
BUILT: dict[type, Callable[..., Any]] = {
    ChartSources: ChartSources,
    MeshSecurityArgs: lambda **more: MeshSecurityArgs(
        **{"charts": PUBLISHED, "mtls": "STRICT", "authorization": "enforce", **more}
    ),
    AutoscalingArgs: lambda **more: AutoscalingArgs(**{"maximum": 5, **more}),
    TracingArgs: lambda **more: TracingArgs(**{"namespace": "observability", "service": "otel", **more}),
    KyvernoPolicySetArgs: lambda **more: KyvernoPolicySetArgs(
        **{
            "charts": PUBLISHED,
            "critical": Action.DENY,
            "important": Action.DENY,
            "best_practice": Action.AUDIT,
            "mutate": True,
            "generate": True,
            "approved_registries": ["registry.example.org"],
            "platform_namespaces": ["kube-system"],
            **more,
        }
    ),
    AccountExceptionArgs: lambda **more: AccountExceptionArgs(
        **{
            "rule": "disallow-host-path",
            "namespace": "monitoring",
            "service_account": "exporter",
            "reason": "it reads the disks of its node",
            "owner": "platform",
            "expires": "2027-01-01",
            **more,
        }
    ),
    KeylessAttestor: lambda **more: KeylessAttestor(
        **{"name": "ci", "issuer": "https://ci.example.org", "subject": "x", **more}
    ),
    SecureIngressArgs: lambda **more: SecureIngressArgs(**{"issuer": CaIssuer(), **HOSTS, **more}),
    AcmeIssuer: lambda **more: AcmeIssuer(**{"name": "letsencrypt-prod", "email": "a@example.org", **more}),
    CaIssuer: CaIssuer,
    VaultIssuer: lambda **more: VaultIssuer(**{"server": "https://vault.vault.svc:8200", **more}),
    HostLimits: lambda **more: HostLimits(**{"host": "api.example.org", **more}),
    FirewallArgs: lambda **more: FirewallArgs(**{"image": MODULE, "directives": ["Include @x"], **more}),
    RouteRetries: lambda **more: RouteRetries(**{"route": "x", "attempts": 2, **more}),
    CertManagerArgs: CertManagerArgs,
    ExternalSecretsArgs: lambda **more: ExternalSecretsArgs(**{"charts": PUBLISHED, **more}),
    PublicHostsArgs: lambda **more: PublicHostsArgs(
        **{"action": Action.DENY, "hosts": {"shop": ["api.example.org"]}, "platform_namespaces": ["vault"], **more}
    ),
    VaultPlatformArgs: lambda **more: VaultPlatformArgs(
        **{"address": "https://10.0.0.9:8200", "audit_paths": ["stdout"], **more}
    ),
    ServerArgs: lambda **more: sealed(3, **more) if "replicas" not in more else sealed(**more),
    InjectorArgs: InjectorArgs,
    SnapshotArgs: lambda **more: SnapshotArgs(
        **{"image": "docker.io/hashicorp/vault:2.0.4", "schedule": "15 */6 * * *", "keep": 28, "size": "10Gi", **more}
    ),
    PkiArgs: lambda **more: PkiArgs(**{"common_name": "ca", "domains": ["*.apps.example.org"], **more}),
    BootstrapArgs: lambda **more: BootstrapArgs(**{"login": JWT, **more}),
    DatabaseConnectionArgs: lambda **more: DatabaseConnectionArgs(
        **{
            "name": "shop",
            "host": "10.0.0.9",
            "port": 5432,
            "database": "shop",
            "username": "vault",
            "roles": ["shop.api"],
            **more,
        }
    ),
    PackageArgs: lambda **more: replace(PACKAGE, **more),
    CertLogin: lambda **more: CertLogin(**{"authority": "PEM", "common_name": "deployer", **more}),
    JwtLogin: lambda **more: JwtLogin(
        **{"issuer": JWT.issuer, "audience": JWT.audience, "subject": JWT.subject, **more}
    ),
    KubernetesLogin: lambda **more: KubernetesLogin(
        **{
            "namespace": "ci",
            "service_account": "deployer",
            "kubernetes_host": "https://kubernetes.default.svc",
            **more,
        }
    ),
}


class Other:
    """What no field has."""


@pytest.mark.parametrize("kind", BUILT, ids=lambda kind: kind.__name__)
def test_the_right_values_are_taken(kind: type) -> None:
    assert BUILT[kind]()


@pytest.mark.parametrize(("kind", "field"), [(kind, each.name) for kind in BUILT for each in fields(kind)])
def test_no_field_takes_a_value_of_another_type(kind: type, field: str) -> None:
    with pytest.raises(FieldError) as caught:
        BUILT[kind](**{field: Other()})
    assert caught.value.key.partition(".")[0].partition("[")[0] == field


KEY = "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"
LAYERS = (MeshSecurityArgs, KyvernoPolicySetArgs, CertManagerArgs, ExternalSecretsArgs)
KMS = {"region": "x", "kms_key_id": "y"}
STATIC = ServerArgs(seal_type="static", seal_parameters={"current_key_id": "a"}, seal_secret="s")
OF_A_FIELD: list[tuple[tuple[type, ...], str, tuple[object, ...]]] = [
    ((ChartSources,), "directory", ("charts", "")),
    (
        (ChartSources,),
        "repositories",
        ({"istio": "http://mirror.example.org"}, {"istio": "https://ann:secret@mirror.example.org"}),
    ),
    ((ChartSources,), "digests", ({"istiod": "sha256:1"},)),
    ((ChartSources,), "gateway_api", ("http://mirror.example.org/x.yaml",)),
    ((*LAYERS, InjectorArgs), "replicas", (0, -1, 10, True, "2", 1.5)),
    ((*LAYERS, VaultPlatformArgs), "hub", ("*", "", "docker.io", "a.b/c:v1", "http://a.b")),
    ((MeshSecurityArgs,), "platform", ("", "eks", "openshift", "GKE", 1)),
    # Rules in another namespace than the layer's are no rules.
    (LAYERS, "namespace", ("elsewhere", "*", "", "Istio")),
    ((MeshSecurityArgs,), "trust_domain", ("*", "", "a b", "Cluster.local", "cluster.local/ns")),
    ((MeshSecurityArgs,), "mtls", ("DISABLE", "")),
    ((MeshSecurityArgs,), "root", ("elsewhere", "*", "")),
    ((MeshSecurityArgs,), "authorization", ("", "on")),
    ((MeshSecurityArgs,), "revision", ("default", "1.31", "*")),
    ((MeshSecurityArgs,), "ambient", ("no", 1)),
    ((AutoscalingArgs,), "cpu", (0, 9, 101)),
    ((TracingArgs,), "port", (0, 65536, "4317")),
    ((TracingArgs,), "sampling", (-1, 101)),
    ((TracingArgs,), "namespace", ("a.b", "*")),
    (
        (KyvernoPolicySetArgs,),
        "approved_registries",
        ([], [""], ["*"], ["docker.io"], ["a.b/x:v1"], "a.b"),
    ),
    ((KyvernoPolicySetArgs,), "platform_namespaces", (["*"], [""], "kube-system")),
    ((KyvernoPolicySetArgs,), "platform_images", ([""], ["proxyv2"], ["*"])),
    ((KyvernoPolicySetArgs,), "critical", ("deny", None, 1)),
    ((KyvernoPolicySetArgs,), "best_practice", (Action.DENY, Action.WARN)),
    ((KyvernoPolicySetArgs,), "phases", ({"require-probes": Action.OFF}, {"require-probes": "enforce"})),
    (
        (KyvernoPolicySetArgs,),
        "excluded_namespaces",
        (
            *({name: "2027-01-01"} for name in ("default", "*", "")),
            *({"cilium": day} for day in ("", "never", "2027-02-30", "9999")),
        ),
    ),
    ((AccountExceptionArgs,), "service_account", ("default", "workload", "*", "")),
    ((AccountExceptionArgs,), "namespace", ("*", "")),
    ((AccountExceptionArgs,), "reason", ("", "x", " " * 20)),
    ((AccountExceptionArgs,), "owner", ("", " ")),
    ((AccountExceptionArgs,), "expires", ("", "2027-13-01", "tomorrow")),
    ((KeylessAttestor,), "rekor_url", ("http://x", "", "https://*")),
    ((KeylessAttestor,), "subject", ("", "*")),
    ((SecureIngressArgs,), "gateway_namespace", ("kube-system", "vault", "default", "*", "")),
    (
        (SecureIngressArgs,),
        "hosts",
        tuple((host,) for host in ("*", "*.a.org", "a", "vault.vault.svc", "A.org", "a.org.", "1.2.3.4")),
    ),
    (
        (SecureIngressArgs,),
        "owners",
        tuple({"api.example.org": name} for name in ("*", "", "kube-system", "vault", "default")),
    ),
    ((SecureIngressArgs,), "guests", ({"api.example.org": ["*"]}, {"api.example.org": ["kube-public"]})),
    ((SecureIngressArgs,), "cipher_suites", ((), ("RC4-SHA",))),
    ((SecureIngressArgs,), "tls_version", ("1.1", "")),
    ((AcmeIssuer,), "email", ("", "a", "a@b", "*@example.org\n")),
    ((AcmeIssuer,), "directory", ("http://acme.example.org/d", "https://a@acme.example.org/d")),
    ((AcmeIssuer, VaultIssuer), "ca_bundle", (KEY,)),
    ((CaIssuer,), "secret", ("*",)),
    ((VaultIssuer,), "server", ("http://vault:8200", "https://vault:0", "https://a@vault", "https://vault/x", "")),
    ((VaultIssuer,), "mount", ("", "pki/../sys", "*")),
    ((HostLimits,), "host", ("*", "")),
    ((HostLimits,), "requests", (-1, 1.5)),
    ((HostLimits,), "seconds", (0, -1)),
    ((HostLimits,), "max_request_bytes", (-1, 1 << 31)),
    ((FirewallArgs,), "image", ("registry.example.org/waf:v1", "", "*")),
    ((FirewallArgs,), "directives", ([], ["SecRuleEngine Off"])),
    ((RouteRetries,), "attempts", (0, -1)),
    ((RouteRetries,), "codes", ([200], [600])),
    ((RouteRetries,), "each", (-1,)),
    ((PublicHostsArgs,), "hosts", ({"*": ["a.org"]}, {"": ["a.org"]})),
    ((PublicHostsArgs,), "hosts", tuple({"shop": [host]} for host in ("", "a*", "*.*.org", "x'] || true"))),
    ((VaultPlatformArgs,), "address", ("", "http://v:8200", "https://v/x", "https://u@v", "https://v:99999")),
    ((VaultPlatformArgs,), "audit_paths", (["x"], ["/a/../b"], ["stdout", "stdout"], "stdout")),
    ((VaultPlatformArgs,), "kept_versions", (0, 101)),
    ((VaultPlatformArgs,), "check_and_set", (1, "false")),
    ((VaultPlatformArgs,), "kv_mount", ("", "*", "../sys")),
    ((VaultPlatformArgs,), "auth_path", ("", "*", "../sys")),
    ((VaultPlatformArgs,), "login_role", ("", "*")),
    ((VaultPlatformArgs,), "kubernetes_host", ("http://kubernetes",)),
    ((VaultPlatformArgs,), "delete_after", (-1,)),
    ((VaultPlatformArgs,), "server", (STATIC,)),
    ((ServerArgs,), "replicas", (0, 2, -1, 7, True)),
    ((ServerArgs,), "seal_type", ("", "rot13")),
    (
        (ServerArgs,),
        "seal_parameters",
        ({}, {**KMS, "region": 'x"\n} listener'}, {**KMS, "secret_key": "z"}),
    ),
    ((ServerArgs,), "data_size", ("", "0", "-1Gi", "10 Gi", "1m")),
    ((ServerArgs,), "image", ("vault", "docker.io/hashicorp/vault:latest", "")),
    ((ServerArgs,), "pod_labels", ({"component": "x"}, {"a b": "c"}, {"a": "b c"})),
    ((ServerArgs,), "account_annotations", ({"a b": "c"},)),
    ((InjectorArgs,), "spared_namespaces", (("*",), ("",), "kube-system")),
    ((InjectorArgs,), "ca_certificate", (KEY,)),
    ((SnapshotArgs,), "keep", (0, 1001)),
    ((SnapshotArgs,), "schedule", ("often", "")),
    ((SnapshotArgs,), "size", ("0", "")),
    ((SnapshotArgs,), "program", ("sh -c x; vault",)),
    ((PkiArgs,), "domains", ([], ["*"], [""], ["a"], "a.org")),
    ((PkiArgs,), "common_name", ("", "x" * 65)),
    ((PkiArgs,), "max_ttl_hours", (0, 9000)),
    ((PkiArgs,), "next_common_name", ("ca",)),
    ((BootstrapArgs,), "recovery_shares", (0, 21)),
    ((BootstrapArgs,), "recovery_threshold", (1, 6)),
    ((BootstrapArgs,), "pgp_keys", (["x"],)),
    ((DatabaseConnectionArgs,), "host", ("169.254.169.254", "", "*")),
    ((DatabaseConnectionArgs,), "port", (0, 15001)),
    ((DatabaseConnectionArgs,), "tls", (False, "no")),
    ((DatabaseConnectionArgs,), "username", ("a b", "")),
    ((DatabaseConnectionArgs,), "database", ("", "a b")),
    ((DatabaseConnectionArgs,), "engine", ("mysql", "")),
    ((DatabaseConnectionArgs,), "max_open_connections", (0, 101)),
    ((DatabaseConnectionArgs,), "roles", (["*"], [""])),
    ((DatabaseConnectionArgs,), "namespaces", (["*"],)),
    ((DatabaseConnectionArgs,), "ca_cert_file", ("x",)),
    ((DatabaseConnectionArgs,), "authority", (KEY,)),
    ((PackageArgs,), "name", ("*", "")),
    ((PackageArgs,), "namespace", ("*", "kube-system", "vault", "default")),
    ((PackageArgs,), "team", ("", "a b")),
    ((PackageArgs,), "grants", ({"ClusterRole x": "never"},)),
    ((CertLogin,), "common_name", ("", "*")),
    ((CertLogin,), "authority", (KEY,)),
    ((JwtLogin,), "issuer", ("http://x", "")),
    ((JwtLogin,), "audience", ("", "*")),
    ((JwtLogin,), "subject", ("", "repo:*")),
    ((KubernetesLogin,), "service_account", ("default", "*")),
    ((KubernetesLogin,), "namespace", ("", "*")),
    ((KubernetesLogin,), "kubernetes_host", ("x", "")),
]
TOGETHER: list[tuple[type, dict[str, Any]]] = [
    *(
        (kind, {"namespace": name, "existing": True})
        for kind in LAYERS
        for name in ("default", "vault", "istio-ingress")
    ),
    *((kind, {"hub": "a.b/c", "existing": True}) for kind in LAYERS),
    (MeshSecurityArgs, {"platform": "gke", "existing": True}),
    (MeshSecurityArgs, {"ambient": True, "tracing": TracingArgs("observability", "otel")}),
    (VaultPlatformArgs, {"audit_paths": ["/var/log/a"], "server": ServerArgs()}),
    (VaultPlatformArgs, {"login_jwt_mount": "jwt", "bootstrap": BootstrapArgs(JWT), "server": ServerArgs()}),
]
REFUSED = [
    *((kind, {field: value}) for kinds, field, found in OF_A_FIELD for kind in kinds for value in found),
    *TOGETHER,
]


@pytest.mark.parametrize(("kind", "values"), REFUSED, ids=[f"{kind.__name__}-{values}" for kind, values in REFUSED])
def test_what_no_stack_file_may_say_is_refused(kind: type, values: dict[str, Any]) -> None:
    with pytest.raises(FieldError):
        BUILT[kind](**values)


def test_lists_and_tuples_are_alike() -> None:
    assert BUILT[KyvernoPolicySetArgs](approved_registries=("registry.example.org",))
    assert BUILT[SecureIngressArgs](hosts=["api.example.org"])


PACKETS = base64.b64encode(b"\x99\x03\x04").decode()
ARMORED = f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{PACKETS}\n-----END PGP PUBLIC KEY BLOCK-----\n"
# A file may have these, and what reads it goes on with another form.
IN_ANOTHER_FORM: list[tuple[type, dict[str, Any], str, str]] = [
    (BootstrapArgs, {"recovery_shares": 1, "recovery_threshold": 1, "pgp_keys": [ARMORED]}, "pgp_keys[0]", PACKETS),
    (VaultIssuer, {"server": "https://vault.vault.svc:8200/"}, "server", "https://vault.vault.svc:8200"),
    (VaultPlatformArgs, {"address": "https://10.0.0.9:8200/"}, "address", "https://10.0.0.9:8200"),
    (KyvernoPolicySetArgs, {"approved_registries": ["a.org/x/"]}, "approved_registries[0]", "a.org/x"),
    (DatabaseConnectionArgs, {"host": "fd00:0:0::9"}, "host", "fd00::9"),
]


@pytest.mark.parametrize(("kind", "values", "key", "form"), IN_ANOTHER_FORM)
def test_the_form_that_the_program_goes_on_with_is_asked_for(
    kind: type, values: dict[str, Any], key: str, form: str
) -> None:
    with pytest.raises(FieldError) as caught:
        BUILT[kind](**values)
    assert (caught.value.key, caught.value.legal) == (key, (repr(form),))


def test_of_a_service_too() -> None:
    """An address is a network to the loader of files, and none to the API server."""
    with pytest.raises(FieldError, match=r"egress\[0\]\.cidrs\[0\]: .*legal: '10\.9\.0\.7/32'"):
        service(egress=(EgressArgs("db.example.org", 5432, "tcp", ("10.9.0.7",)),))
