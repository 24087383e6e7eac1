"""For each key of a stack file and a service file: a file, another value, and the class of what becomes of it.

A key is written with its numbers in lists, and with a star before a name that somebody chose. `GONE` takes it away.
Where others have to change with it, the whole section stands before a `#`, and the key behind it.
"""

from dataclasses import dataclass, field
from typing import Any

import certifi

from tests.unit.zt.changes.cases_platform import KEY
from tests.unit.zt.changes.files import posture

Keys = dict[str, Any]
GONE = object()
WEAKER, STRONGER, NEUTRAL = "weaker", "stronger", "neutral"

_DAYS = {"reason": "the nodes need it", "owner": "platform", "granted": "2026-01-01", "expires": "2026-03-01"}
_VAULT: Keys = {
    "mode": "helm",
    "address": "https://vault.example.org:8200",
    "seal": {"awskms": {"region": "eu-central-1", "kmsKeyId": "alias/vault"}},
}
_TLS: Keys = {"tlsSecret": "mine", "caCertFile": certifi.where()}
_CI: Keys = {"issuer": "https://ci.example.org", "audience": "vault", "subject": "repo@main"}
_PLAIN: Keys = {"plainKeysReason": "this is a trial"}
_MAIL: Keys = {"acmeEmail": "platform@example.org"}
_WAF: Keys = {"image": f"registry.example.org/platform/waf@sha256:{'a' * 64}", "cidrs": ["10.1.0.0/16"]}
_ORDERS: Keys = {"host": "10.0.9.9", "database": "shop", "adminUser": "vault", "cidrs": ["10.0.9.0/24"]}
_NEAR: Keys = {**_ORDERS, "host": "127.0.0.1", "tls": False}
_EXCEPTION: Keys = {**_DAYS, "rule": "disallow-host-path", "namespace": "monitoring", "serviceAccount": "exporter"}
_WORKFLOW: Keys = {"name": "ci", "issuer": "https://token.example.org", "subject": "https://git.example.org/ci@main"}
_KV: Keys = {"engine": "redis", "host": "127.0.0.1", "tls": False, "adminUser": "vault", "adminSecret": "cache"}


_SYSCTLS: Keys = {"restrict-sysctls": {"allowedSysctls": ["net.core.somaxconn"]}}
_CLASS: Keys = {
    **_MAIL,
    "kind": "ingress",
    "className": "nginx",
    "headers": "none",
    "maxRequestBytes": "none",
    "controller": {"namespace": "nginx", "serviceAccount": "nginx"},
    "annotations": {"rateLimit": {"example.org/rate": "{requests}"}},
}


@dataclass(frozen=True)
class Group:
    """Changes of one file. `web` are keys of the service that is changed, or that is there while the stack is."""

    stack: Keys
    changes: dict[str, tuple[object, str]]
    web: Keys = field(default_factory=dict[str, Any])


def _seal(kind: str, **keys: str) -> Keys:
    return {"vault": {**_VAULT, **_TLS, "seal": {kind: keys}}}


def _unknown(*keys: str, to: object = "other") -> dict[str, tuple[object, str]]:
    return dict.fromkeys(keys, (to, WEAKER))


def _login(kind: str, **keys: Any) -> Keys:
    return {"vault": {**_VAULT, "login": {"method": kind}, "bootstrap": {"login": {kind: keys}, **_PLAIN}}}


STACK = [
    Group({"ingress": _MAIL}, {"ingress#ingress.kind": (_CLASS, WEAKER)}),
    Group({}, {"kyverno.mode": ("existing", WEAKER), "mesh.mode": ("existing", WEAKER)}),
    Group(
        {"ingress": {**_MAIL, "rateLimit": {"requests": 100}}},
        {
            "ingress.rateLimit": ("none", WEAKER),
            "ingress.rateLimit.per": ("hour", STRONGER),
        },
    ),
    Group(
        {"ingress": _MAIL, "mesh": {"replicas": 2}, "kyverno": {"replicas": 3}},
        {
            "trustDomain": ("other.local", WEAKER),
            "registries": (["registry.example.org", "docker.io/library"], WEAKER),
            "platformImages": (["docker.io/istio/proxyv2", "docker.io/hashicorp/vault", "quay.io/other/agent"], WEAKER),
            "pullSecrets": ({"registry.example.org": "pull"}, NEUTRAL),
            "asOf": ("2026-01-01", WEAKER),
            "phases": ({"require-probes": "warn"}, STRONGER),
            "kyverno.replicas": (1, WEAKER),
            "kyverno.parameters": ({"require-replicas": {"minimum": 1}}, WEAKER),
            "kyverno.promotionThreshold": (10, WEAKER),
            "kyverno.imageSignatures": ([_WORKFLOW], STRONGER),
            "mesh.replicas": (1, WEAKER),
            "mesh.dataPlane": ("ambient", WEAKER),
            "mesh.platform": ("gke", NEUTRAL),
            "mesh.hub": ("registry.example.org/istio", WEAKER),
            "kyverno.hub": ("registry.example.org/kyverno", WEAKER),
            "ingress.certManager.hub": ("registry.example.org/jetstack", WEAKER),
            "mesh.revision": ("1-31", NEUTRAL),
            "charts.repositories": ({"istio": "https://mirror.example.org/istio"}, WEAKER),
            "charts.gatewayApi": ("https://mirror.example.org/x.yaml", WEAKER),
            "charts.directory": ("/srv/charts", WEAKER),
            "ingress.acmeEmail": ("other@example.org", NEUTRAL),
            "ingress.domain": ("example.net", NEUTRAL),
            "ingress.gatewayNamespace": ("gate", WEAKER),
            "ingress.certManager.mode": ("existing", WEAKER),
            "ingress.gatewayApi.mode": ("existing", WEAKER),
            "ingress.replicas": (3, STRONGER),
            "ingress.tls.minVersion": ("1.3", STRONGER),
            "ingress.tls.ciphers": (["ECDHE-ECDSA-AES128-GCM-SHA256"], NEUTRAL),
            "ingress.hsts": ("none", WEAKER),
            "ingress.headers": ("none", WEAKER),
            "ingress.rateLimit.requests": (10, STRONGER),
            "ingress.rateLimit": ({"requests": 100, "per": "hour"}, STRONGER),
            "ingress.maxRequestBytes": ("none", WEAKER),
            "services.replicas": (1, WEAKER),
            "apiServerCidrs": (["10.0.0.1/32"], STRONGER),
            "apiServerPorts": ([443], STRONGER),
            "webhookCidrs": (["10.0.0.0/8"], STRONGER),
            "metadataCidrs": (["10.0.0.7/32"], STRONGER),
            "dns.namespace": ("dns", WEAKER),
            "dns.labels": ({"app": "dns"}, WEAKER),
            "dns.servers": (["169.254.20.10/32"], WEAKER),
            "dns.allow": (["example.net"], WEAKER),
            "imports.namespaces": (["shop"], NEUTRAL),
            "environment": ("staging", WEAKER),
        },
    ),
    Group(
        {"vault": _VAULT},
        {
            **_unknown("vault.address", to="https://other.example.org:8200"),
            **_unknown("vault.login.role", "vault.tlsSecret", "vault.seal.awskms.region", "vault.seal.awskms.kmsKeyId"),
            **_unknown("vault.seal.awskms.endpoint", "vault.kubernetesHost", to="https://other.example.org"),
            "vault.login.method": ("jwt", STRONGER),
            "vault.distribution": ("openbao", NEUTRAL),
            "vault.clientCidrs": (["10.0.0.0/8"], STRONGER),
            "vault.injector": (False, WEAKER),
            "vault.serviceAccountAnnotations": ({"eks.amazonaws.com/role-arn": "arn:other"}, WEAKER),
            "vault.podLabels": ({"azure.workload.identity/use": "true"}, NEUTRAL),
            "vault.storage.data": ("20Gi", NEUTRAL),
            "vault.storage.audit": ("20Gi", NEUTRAL),
            "vault.storage.storageClass": ("fast", NEUTRAL),
            "vault.snapshots.schedule": ("0 0 1 * *", WEAKER),
            "vault.snapshots.keep": (1, WEAKER),
            "vault.snapshots.size": ("1Gi", NEUTRAL),
            "vault.snapshots.storageClass": ("fast", NEUTRAL),
            "vault.snapshots.image": ("registry.example.org/platform/vault:1.21.2", WEAKER),
            "vault.snapshots.offReason": ("the volumes are copied", WEAKER),
            "vault.secrets.keepVersions": (2, NEUTRAL),
            "vault.secrets.checkAndSet": (False, WEAKER),
            "vault.secrets.deleteAfter": ("24h", NEUTRAL),
            "vault.secrets.refresh": ("24h", WEAKER),
            "vault.retainData": (False, WEAKER),
            "vault.auditPaths": (["/vault/audit/other.log", "stdout"], WEAKER),
            "vault.hub": ("registry.example.org/hashicorp", WEAKER),
        },
    ),
    Group({"vault": {**_VAULT, "clientCidrs": ["10.0.0.0/8"]}}, {"vault.clientCidrs": (["10.1.0.0/16"], STRONGER)}),
    Group({"vault": {**_VAULT, "clientCidrs": ["10.0.0.0/8"]}}, {"vault.clientCidrs": ([], WEAKER)}),
    Group(
        {"vault": {**_VAULT, **_TLS, "deliveryReason": "no injector here yet"}},
        {"vault.delivery": ("external-secrets", WEAKER), "vault.caCertFile": (GONE, WEAKER)},
    ),
    Group(
        {"vault": {**_VAULT, **_TLS, "delivery": "external-secrets", "deliveryReason": "no injector here yet"}},
        {
            "vault.externalSecrets.mode": ("existing", WEAKER),
            "vault.externalSecrets.hub": ("registry.example.org/mirror", WEAKER),
        },
    ),
    Group(
        {"vault": {"mode": "external", "address": "https://vault.example.net:8200", "cidrs": ["10.0.8.0/24"]}},
        {"vault.cidrs": (["10.0.0.0/8"], WEAKER), "vault#vault.mode": (_VAULT, WEAKER)},
    ),
    Group(
        {"vault": {"mode": "external", "address": "https://10.0.8.1:8200"}},
        {"vault.address": ("https://10.0.8.2:8200", WEAKER)},
    ),
    Group(
        {"vault": {**_VAULT, "login": {"method": "cert", "certFile": "/c.pem", "keyFile": "/k.pem"}}},
        _unknown("vault.login.certFile", "vault.login.keyFile", to="/other.pem"),
    ),
    Group(
        _login("jwt", **_CI),
        {
            **_unknown("vault.bootstrap.login.jwt.audience", "vault.bootstrap.login.jwt.subject"),
            "vault.bootstrap.login.jwt.issuer": ("https://other.example.org", WEAKER),
            "vault.bootstrap.recoveryShares": (7, WEAKER),
            "vault.bootstrap.recoveryThreshold": (2, WEAKER),
            "vault.bootstrap.plainKeysReason": ("this is another trial", NEUTRAL),
        },
    ),
    Group(
        _login("kubernetes", namespace="ci", serviceAccount="deployer"),
        _unknown("vault.bootstrap.login.kubernetes.namespace", "vault.bootstrap.login.kubernetes.serviceAccount"),
    ),
    Group(
        _seal("gcpckms", project="a", region="a", keyRing="a", cryptoKey="a"),
        _unknown(*(f"vault.seal.gcpckms.{key}" for key in ("project", "region", "keyRing", "cryptoKey"))),
    ),
    Group(
        _seal("azurekeyvault", tenantId="a", vaultName="a", keyName="a"),
        _unknown(*(f"vault.seal.azurekeyvault.{key}" for key in ("tenantId", "vaultName", "keyName", "clientId"))),
    ),
    Group(
        _seal("transit", address="https://a.example.org", keyName="a", tokenSecret="a"),
        {
            **_unknown(*(f"vault.seal.transit.{key}" for key in ("keyName", "mountPath", "tokenSecret"))),
            "vault.seal.transit.address": ("https://b.example.org", WEAKER),
            "vault.seal.transit.tlsCaCert": ("/vault/tls/other.crt", WEAKER),
        },
    ),
    Group(
        {"vault": {**_VAULT, "distribution": "openbao", "seal": {"static": {"currentKeyId": "a", "keySecret": "a"}}}},
        _unknown(*(f"vault.seal.static.{key}" for key in ("currentKeyId", "previousKeyId", "keySecret"))),
    ),
    Group(
        {
            "vault": {**_VAULT, "pki": {"commonName": "one", "domains": ["*.apps.example.org"]}},
            **posture(issuer="vault"),
        },
        {
            **_unknown("vault.pki.commonName", "vault.pki.nextCommonName"),
            "vault.pki.domains": (["*.a.example.org", "*.example.net"], WEAKER),
            "vault.pki.maxTtlHours": (8760, WEAKER),
        },
    ),
    Group({"mesh": {"autoscaling": {}}}, {f"mesh.autoscaling.{key}": (4, STRONGER) for key in ("min",)}),
    Group(
        {"mesh": {"autoscaling": {}}}, {"mesh.autoscaling.max": (6, STRONGER), "mesh.autoscaling.cpu": (70, NEUTRAL)}
    ),
    Group(
        {"mesh": {"scraper": {"namespace": "monitoring", "serviceAccount": "prometheus"}}},
        _unknown("mesh.scraper.namespace", "mesh.scraper.serviceAccount"),
    ),
    Group(
        {"mesh": {"tracing": {"namespace": "monitoring", "service": "collector"}}},
        {
            **_unknown("mesh.tracing.namespace", "mesh.tracing.service"),
            **_unknown("mesh.tracing.port", "mesh.tracing.sampling", to=99),
        },
    ),
    Group(
        {
            "mesh": {"mode": "existing"},
            "ingress": {**_MAIL, "certManager": {"mode": "existing"}, "gatewayApi": {"mode": "existing"}},
        },
        {"mesh.otherNamespaces": (["billing"], NEUTRAL)},
    ),
    Group(
        {"ingress": {**_MAIL, "hsts": {"maxAge": 31_536_000, "preload": True}}},
        {
            "ingress.hsts.maxAge": (63_072_000, STRONGER),
            "ingress.hsts.preload": (False, WEAKER),
            "ingress.hsts": ("none", WEAKER),
        },
    ),
    Group({"ingress": {**_MAIL, "hsts": {"maxAge": 600}}}, {"ingress.hsts.includeSubdomains": (False, WEAKER)}),
    Group(
        {"ingress": {**_MAIL, "acmeServer": {"directory": "https://acme.example.org/a"}}},
        {"ingress.acmeServer.directory": ("https://acme.example.org/b", WEAKER)},
    ),
    Group({"ingress": {"ca": {"keyPair": "a"}}, **posture(issuer="ca")}, _unknown("ingress.ca.keyPair")),
    Group(
        {"ingress": {"vault": {}}, **posture(issuer="vault")},
        {
            **_unknown(*(f"ingress.vault.{key}" for key in ("mount", "role", "authMount", "authRole"))),
            "ingress.vault.server": ("https://other.example.org:8200", WEAKER),
        },
    ),
    Group(
        {"ingress": {**_MAIL, "waf": _WAF}},
        {
            "ingress.waf.image": (f"registry.example.org/platform/waf@sha256:{'b' * 64}", WEAKER),
            "ingress.waf.cidrs": (["10.0.0.0/8"], WEAKER),
            "ingress.waf.directives": (["Include @recommended-conf"], WEAKER),
            "ingress.waf": (GONE, WEAKER),
        },
    ),
    Group(
        {"ingress": _CLASS},
        {
            **_unknown("ingress.className", "ingress.controller.namespace", "ingress.controller.serviceAccount"),
            **_unknown(
                *(f"ingress.annotations.{key}" for key in ("headers", "rateLimit", "tls", "waf")),
                "ingress.annotations.maxRequestBytes",
                to={"example.org/other": "x"},
            ),
        },
    ),
    Group(
        {"ingress": {**_MAIL, "hosts": {"tools": ["a.tools.example.org"]}}},
        {
            "ingress.hosts": ({"tools": ["*.tools.example.org"]}, WEAKER),
        },
    ),
    Group(
        {"ingress": {**_MAIL, "hosts": {"tools": ["*.tools.example.org"]}}},
        {"ingress.hosts": ({"tools": ["a.tools.example.org", "b.tools.example.org"]}, STRONGER)},
    ),
    Group(
        {
            "charts": {
                "repositories": {"istio": "oci://mirror.example.org/istio"},
                "digests": {"istiod": f"sha256:{'a' * 64}"},
            }
        },
        {"charts.digests": ({}, WEAKER)},
    ),
    Group(
        {"teams": {"payments": {"namespaces": ["payments"]}}},
        {
            "teams.*payments.namespaces": (["payments", "pay"], WEAKER),
            "teams.*payments.hosts": ({"payments": ["pay.example.org"]}, WEAKER),
            "teams.*payments.approved.egress": (["a.example.org"], WEAKER),
            "teams.*payments.approved.networks": (["10.0.0.0/8"], WEAKER),
            "teams.*payments.approved.patch": (["checkout"], WEAKER),
            "teams.*payments.deployedBy.users": (["ci:payments"], WEAKER),
            "teams.*payments.deployedBy.groups": (["payments"], WEAKER),
            "databases#databases.*.team": ({"pay": {**_ORDERS, "team": "payments"}}, WEAKER),
        },
    ),
    Group(
        {"placement": {"gpu": {"nodeSelector": {"pool": "gpu"}, "namespaces": ["ml"], "tolerations": [{"key": "a"}]}}},
        {
            **_unknown("placement.*gpu.priorityClass", "placement.*gpu.runtimeClass"),
            **_unknown("placement.*gpu.tolerations.0.key", "placement.*gpu.tolerations.0.value"),
            "placement.*gpu.tolerations.0.effect": ("NoExecute", WEAKER),
            "placement.*gpu.nodeSelector": ({"pool": "other"}, WEAKER),
            "placement.*gpu.resources": ({"nvidia.com/gpu": 1}, WEAKER),
            "placement.*gpu.spread": ("DoNotSchedule", WEAKER),
            "placement.*gpu.namespaces": ([], WEAKER),
        },
    ),
    Group(
        {"databases": {"orders": _ORDERS}},
        {
            **_unknown("databases.*orders.host", to="10.0.9.8"),
            **_unknown("databases.*orders.database", "databases.*orders.adminUser"),
            "databases.*orders.port": (5433, WEAKER),
            "databases.*orders.cidrs": (["10.0.0.0/8"], WEAKER),
            "databases.*orders.adminPasswordVersion": (2, NEUTRAL),
            "databases.*orders.maxOpenConnections": (9, NEUTRAL),
            "databases.*orders.caCertFile": ("/etc/other.pem", WEAKER),
            "databases.*orders.engine": ("mariadb", WEAKER),
            "databases": ({}, STRONGER),
        },
    ),
    Group({"databases": {"kv": _KV}}, {"databases.*kv.adminSecret": ("other", NEUTRAL)}),
    Group(
        {"databases": {"orders": {**_ORDERS, "host": "127.0.0.1", "tls": False}}},
        {"databases.*orders.tls": (True, STRONGER)},
    ),
    Group({}, {"databases": ({"orders": _ORDERS}, WEAKER)}),
    Group(
        {"kyverno": {"exceptions": [_EXCEPTION], "excludedNamespaces": {"calico-system": _DAYS}}},
        {
            **_unknown("kyverno.exceptions.0.namespace", "kyverno.exceptions.0.serviceAccount"),
            "kyverno.exceptions.0.rule": ("disallow-host-ports", WEAKER),
            "kyverno.exceptions.0.expires": ("2026-02-01", STRONGER),
            "kyverno.excludedNamespaces.*calico-system.expires": ("2026-02-01", STRONGER),
        },
    ),
    Group(
        {"kyverno": {"parameters": _SYSCTLS, "widened": {"restrict-sysctls": _DAYS}}},
        {"kyverno.widened.*restrict-sysctls.expires": ("2026-02-01", STRONGER)},
    ),
    Group(
        {"kyverno": {"imageSignatures": [{"name": "a", "publicKey": KEY}]}}, {"kyverno.imageSignatures": ([], WEAKER)}
    ),
    Group(
        {"kyverno": {"imageSignatures": [_WORKFLOW]}},
        {
            "kyverno.imageSignatures.0.issuer": ("https://other.example.org", WEAKER),
            "kyverno.imageSignatures.0.subject": ("https://git.example.org/other@main", WEAKER),
            "kyverno.imageSignatures.0.rekorUrl": ("https://rekor.example.org", WEAKER),
        },
    ),
]

_POSTURES: dict[str, object] = {
    "vault": False,
    "vaultReplicas": 1,
    "auditDevices": 1,
    "injection": False,
    "injectionFailClosed": False,
    "critical": "audit",
    "bestPractice": "off",
    "mutate": False,
    "generate": False,
    "mtls": "PERMISSIVE",
    "authorization": "dry-run",
    "networkPolicies": False,
    "issuer": "ca",
    "important": "off",
}
STACK += [Group({}, {"posture": (posture(**{layer: value})["posture"], WEAKER)}) for layer, value in _POSTURES.items()]
