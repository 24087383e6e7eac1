"""Values of the stack file that were taken and then did not work, or let somebody in."""

from collections.abc import Callable
from typing import Any

import pytest

from components.program.stack import read_stack
from components.schema.problem import ConfigError, FieldError
from components.vault.deployer import CertLogin, JwtLogin, KubernetesLogin
from tests.support.stacks import ROOT, settings, values

pytestmark = pytest.mark.unit

TOKEN = {"issuer": "https://ci.example.org", "audience": "vault", "subject": "repo:shop/platform:ref:refs/heads/main"}
KMS = {"region": "eu-central-1", "kmsKeyId": "alias/vault-unseal"}


def vault(**changes: Any) -> dict[str, Any]:
    return {"vault": {**values("production")["vault"], **changes}}


def jwt(**changes: Any) -> dict[str, Any]:
    return vault(login={"method": "jwt"}, bootstrap={"login": {"jwt": {**TOKEN, **changes}}, "plainKeysReason": "none"})


def account(name: str) -> dict[str, Any]:
    login = {"kubernetes": {"namespace": "ci", "serviceAccount": name}}
    return vault(login={"method": "kubernetes"}, bootstrap={"login": login, "plainKeysReason": "none"})


def ingress(**changes: Any) -> dict[str, Any]:
    return {"ingress": {**values("production")["ingress"], **changes}}


def parameters(rule: str, **changes: Any) -> dict[str, Any]:
    return {"kyverno": {"parameters": {rule: changes}}}


REFUSED: list[tuple[dict[str, Any], str]] = [
    # Vault compares nothing with an empty subject, and whoever has a token of the issuer would be the deployer.
    *((jwt(subject=text), "jwt.subject: not one exact value") for text in ("", " ", "*", "repo:*")),
    *((jwt(audience=text), "jwt.audience: not one exact value") for text in ("", "*")),
    *((account(name), "serviceAccount: an account that every pod") for name in ("default", "workload")),
    (jwt(issuer="https://x:99999"), "jwt.issuer: not an https address"),
    (vault(address="https://x:0"), "vault.address: port 0 is none"),
    *((vault(seal={"awskms": {**KMS, "kmsKeyId": text}}), "kmsKeyId: not one word") for text in ("", "a b", "{{ x }}")),
    (vault(podLabels={"component": "web"}), "podLabels.component: the chart sets it"),
    (vault(podLabels={"app.kubernetes.io/name": "web"}), "the chart sets it"),
    (vault(podLabels={"a": "b c"}), "podLabels.a: not the value of a label"),
    (vault(serviceAccountAnnotations={"a b": "c"}), "serviceAccountAnnotations.a b: not the key of a label"),
    (vault(auditPaths=["stdout", "stdout"]), "auditPaths[1]: it stands there twice"),
    (vault(auditPaths=["/var/log/audit", "stdout"]), "auditPaths[0]: not below /vault/audit"),
    (vault(auditPaths=["/vault/audit/../x", "stdout"]), "auditPaths[0]: not stdout and not an absolute path"),
    (vault(snapshots={"offReason": " "}), "offReason: nothing but space"),
    (jwt() | {"posture": {"mtls": {"value": "PERMISSIVE", "reason": " "}}}, "reason: nothing but space"),
    *(
        ({"registries": [name]}, "registries[0]: not a registry")
        for name in ("a.b//x", "a.b:x", "a.b:99999", "..", "-.-", 'a.b/"x', "a.b/{{x}}", "a.b/\u202e", "a.b/X")
    ),
    ({"platformImages": ["a.b:x/y"]}, "platformImages[0]: not a registry"),
    ({"registries": ["a.b/shop/api:v1"]}, "registries[0]: a place of many images, and a tag is that of one"),
    ({"pullSecrets": {"registry.example.org/api:v1": "x"}}, "a place of many images"),
    *(
        (made("a.b/kyverno:v1"), "hub: a place of many images")
        for made in (
            lambda hub: {"kyverno": {"hub": hub}},
            lambda hub: {"mesh": {"hub": hub}},
            lambda hub: ingress(certManager={"hub": hub}),
            lambda hub: vault(hub=hub),
            lambda hub: vault(externalSecrets={"hub": hub}),
        )
    ),
    (vault(hub="docker.io"), "vault.hub: the public Docker Hub"),
    (vault(externalSecrets={"hub": "a.b/x"}), "externalSecrets.hub: vault.delivery is injector"),
    ({"registries": ["DOCKER.IO"]}, "the public Docker Hub is nobody's approved registry"),
    ({"dns": {"labels": {"a b": "c"}}}, "dns.labels.a b: not the key of a label"),
    *(
        (ingress(gatewayNamespace=name), "gatewayNamespace: it is the cluster's own")
        for name in ("kube-system", "vault")
    ),
    (ingress(gatewayNamespace="default"), "gatewayNamespace: it is the cluster's own"),
    (ingress(gatewayNamespace="shop"), "gatewayNamespace: shop/api runs there"),
    (ingress(domain="svc.cluster.local"), "domain: a name of the cluster's own"),
    *(
        (ingress(acmeEmail=text), "acmeEmail: not a mail address")
        for text in ("a@b.", "a@.c", "a@b.c\n", "ä@b.cd", "a@@b.cd")
    ),
    ({"teams": {"x": {"namespaces": ["n"], "hosts": {"n": ["vault.vault.svc"]}}}}, "a name of the cluster's own"),
    ({"apiServerCidrs": ["::ffff:10.0.0.0/104"]}, "apiServerCidrs[0]: an address of IPv4 in another form"),
    ({"databases": {"m": {"host": "169.254.169.254", "database": "x", "adminUser": "a"}}}, "metadata services"),
    ({"databases": {"m": {"host": "10.0.0.9", "port": 15001, "database": "x", "adminUser": "a"}}}, "the mesh proxy's"),
    ({"placement": {"gpu": {"resources": {"nvidia.com/gpu": 10**20}}}}, "more than 1000000"),
    *(
        (parameters("limit-range", cpuMaximum=text), "cpuMaximum: not a Kubernetes quantity")
        for text in ("x", "", "-1", "1e3Mi")
    ),
    *((parameters("resource-quota", pods=text), "pods: not a number of objects") for text in ("many", "-1", "1.5")),
    *((parameters("limit-range", cpuMaximum=value), "like its default") for value in ([], {}, None, 1)),
    *(
        (ingress(kind="ingress", annotations={name: {key: "x"}}), f"annotations.{name}.{key}: not the key of a label")
        for name in ("headers", "rateLimit", "maxRequestBytes", "tls", "waf")
        for key in ("", "a b", "a/b/c")
    ),
    ({"mesh": {"tracing": {"namespace": "o", "service": "otel", "port": 15001}}}, "tracing.port: ports 15000 to 15099"),
    *((vault(pki={"commonName": text, "domains": ["a.b"]}), "commonName: nothing to see") for text in (" ", "a\x1bb")),
    *(({"dns": {"namespace": name}}, "dns.namespace: its tenants could") for name in ("shop", "default")),
    (parameters("limit-range", memoryRequest="32Gi"), "memoryRequest, which is 32Gi, is more than memoryLimit"),
    (parameters("limit-range", cpuMaximum="100m"), "cpuLimit, which is 500m, is more than cpuMaximum, which is 100m"),
    (parameters("default-resources", cpuLimit="50m"), "cpuRequest, which is 100m, is more than cpuLimit"),
]


# Names of objects that have dots, or more than 63 characters: every kind but a few takes them.
PLAIN = {
    "kind": "ingress",
    "controller": {"namespace": "nginx", "serviceAccount": "nginx"},
    **dict.fromkeys(("headers", "rateLimit", "maxRequestBytes"), "none"),
}
NAMES = ("db.example.org", "a" * 253)
OF_OBJECTS: list[Callable[[str], dict[str, Any]]] = [
    lambda name: {"pullSecrets": {"registry.example.org": name}},
    lambda name: ingress(**PLAIN, className=name),
    lambda name: {"placement": {"fast": {"priorityClass": name, "runtimeClass": name}}},
    lambda name: vault(tlsSecret=name),
    lambda name: vault(authorities=name),
    lambda name: vault(storage={"storageClass": name}),
    lambda name: vault(snapshots={"storageClass": name}),
]


@pytest.mark.parametrize("changes", OF_OBJECTS)
def test_the_name_of_an_object_may_have_dots(changes: Callable[[str], dict[str, Any]]) -> None:
    for name in NAMES:
        assert settings("production", **changes(name))
    for wrong in ("a" * 254, "A.b", "a..b", ".a", "a.", "a_b", ""):
        with pytest.raises(ConfigError, match="not a name: lower-case letters, digits, hyphens and dots"):
            settings("production", **changes(wrong))


@pytest.mark.parametrize(("changes", "error"), REFUSED, ids=[ascii(error) for _, error in REFUSED])
def test_a_value_that_would_not_work_is_refused(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_stack(ROOT, "Pulumi.production.yaml", settings("production", **changes))
    assert error in str(caught.value)
    assert all(problem.file and problem.key for problem in caught.value.problems)


@pytest.mark.parametrize(
    "changes",
    [
        # As AWS, Azure and GitLab have them.
        jwt(issuer="https://oidc.eks.eu-central-1.amazonaws.com/id/1A2B"),
        jwt(issuer="https://login.example.org/"),
        vault(address="https://[fd00::1]:8200", cidrs=["fd00::/64"]),
        vault(podLabels={"azure.workload.identity/use": "true"}),
        vault(seal={"awskms": {**KMS, "kmsKeyId": "arn:aws:kms:eu-central-1:123456789012:key/1a-2b"}}),
        {"platformImages": ["docker.io/istio/proxyv2:1.30.0", "docker.io/hashicorp/vault", "r.example.org:5000/x"]},
        {"kyverno": {"hub": "r.example.org:5000"}, "mesh": {"hub": "r.example.org/x/y"}},
        vault(hub="r.example.org:5000/mirror"),
        ingress(gatewayNamespace="edge"),
        ingress(acmeEmail="platform+acme@example.org"),
        parameters("limit-range", cpuMaximum="1500m", cpuLimit="1"),
        parameters("resource-quota", pods="1000", requestsCpu="300"),
    ],
)
def test_a_value_that_works_is_taken(changes: dict[str, Any]) -> None:
    assert read_stack(ROOT, "Pulumi.production.yaml", settings("production", **changes))


@pytest.mark.parametrize(
    "made",
    [
        lambda: JwtLogin(**{**TOKEN, "subject": ""}),
        lambda: JwtLogin(**{**TOKEN, "audience": "*"}),
        lambda: CertLogin("PEM", ""),
        lambda: CertLogin("PEM", "*"),
        lambda: KubernetesLogin("ci", "default", "https://kubernetes.default.svc"),
        lambda: KubernetesLogin("", "deployer", "https://kubernetes.default.svc"),
    ],
)
def test_a_login_that_is_built_in_code_is_checked_as_a_file_is(made: Any) -> None:
    with pytest.raises(FieldError):
        made()


def test_the_issuer_keeps_its_slash() -> None:
    bootstrap = settings("production", **jwt(issuer="https://login.example.org/")).vault.bootstrap
    assert bootstrap
    assert bootstrap.login.jwt
    assert bootstrap.login.jwt.issuer == "https://login.example.org/"
