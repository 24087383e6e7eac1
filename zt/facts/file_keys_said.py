"""The keys of a file that other facts tell of, and those that change nothing somebody has to look at."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

_REVIEWED = "who asked for it, and why: it changes nothing of what holds, and a reviewer reads it in the file"
_POSTURE = (
    *("vault", "vaultReplicas", "auditDevices", "injection", "injectionFailClosed", "critical", "important"),
    *("bestPractice", "mutate", "generate", "mtls", "authorization", "networkPolicies", "issuer"),
)
_AMOUNTS = ("cpu", "memory", "ephemeralStorage")
_TIMED = ("reason", "owner", "granted")


def _under(section: str, *keys: str) -> Iterator[str]:
    return (f"{section}.{key}" for key in keys)


def _resources(section: str) -> Iterator[str]:
    return (f"{section}.{kind}.{amount}" for kind in ("requests", "limits") for amount in _AMOUNTS)


def _probes(section: str) -> Iterator[str]:
    keys = ("path", "command", "grpc", "port", "initialDelaySeconds", "periodSeconds", "failureThreshold")
    return (f"{section}.{kind}.{key}" for kind in ("readiness", "liveness", "startup") for key in keys)


def _container(section: str) -> Iterator[str]:
    yield from _under(section, "image", "command", "args", "env", "podEnv", "config.path", "config.files")
    yield from _under(section, "secrets", "database", "databases", "runAsUser", "writable", "scratch", "volumes")
    yield f"{section}.writableCopies"
    yield from _resources(f"{section}.resources")


def _paths(section: str) -> Iterator[str]:
    yield from _under(section, "path", "rewrite", "timeout", "retries.attempts", "retries.codes", "retries.each")
    yield from _under(section, "cors.origins", "cors.credentials", "token")


def _database(section: str) -> Iterator[str]:
    yield from _under(section, "connection", "channels", "scripts", "owns", "ttl", "maxTtl")
    yield from _under(f"{section}.grants[]", "schema", "privileges", "tables", "sequences")
    yield from _under(f"{section}.keys[]", "prefix", "privileges")


_STACK = (
    *("environment", "trustDomain", "registries", "platformImages", "pullSecrets", "asOf", "phases"),
    *(f"posture.{layer}.value" for layer in _POSTURE),
    *_under("vault", "mode", "distribution", "caCertFile", "login.method", "login.role", "kubernetesHost", "cidrs"),
    *_under("vault", "auditPaths", "delivery", "externalSecrets.mode", "externalSecrets.hub", "retainData", "hub"),
    *_under("vault.secrets", "keepVersions", "checkAndSet", "deleteAfter"),
    *_under("vault.seal.awskms", "region", "kmsKeyId", "endpoint"),
    *_under("vault.seal.gcpckms", "project", "region", "keyRing", "cryptoKey"),
    *_under("vault.seal.azurekeyvault", "tenantId", "vaultName", "keyName", "clientId"),
    *_under("vault.seal.transit", "address", "keyName", "mountPath", "tlsCaCert"),
    *_under("vault.seal.static", "currentKeyId", "previousKeyId"),
    *_under("databases.*", "engine", "team", "host", "port", "database", "adminUser", "tls"),
    "databases.*.caCertFile",
    *_under("kyverno", "mode", "replicas", "hub", "parameters", "excludedNamespaces.*.expires"),
    *_under("kyverno.imageSignatures[]", "publicKey", "issuer", "subject", "rekorUrl"),
    *_under("kyverno.exceptions[]", "expires", "rule", "namespace", "serviceAccount"),
    *_under("mesh", "mode", "dataPlane", "replicas", "autoscaling.min", "autoscaling.max", "hub", "revision"),
    *_under("mesh", "otherNamespaces", *_under("tracing", "namespace", "service", "port", "sampling")),
    *_under("ingress", "kind", "acmeServer.directory", "vault.mount", "vault.role", "vault.server", "replicas"),
    *_under("ingress", "gatewayNamespace", "certManager.mode", "certManager.hub", "gatewayApi.mode"),
    *_under("ingress.tls", "minVersion", "ciphers"),
    *_under("ingress", "controller.namespace", "controller.serviceAccount", "waf.image", "waf.directives"),
    *_under("teams.*", "namespaces", "hosts", "approved.egress", "approved.networks", "approved.patch"),
    *_under("teams.*.deployedBy", "users", "groups"),
    *_under("dns", "namespace", "labels", "servers"),
    "imports.namespaces",
)
_SERVICE = (
    *("name", "namespace", "team", "image", "port", "protocol", "host", "aliases"),
    *("hostUsers", "securityHeaders", "rateLimit", "rateLimit.requests", "rateLimit.per", "maxRequestBytes"),
    *_paths("paths[]"),
    *_paths("ports.*.paths[]"),
    *_under("calls[]", "service", "port", "methods", "paths", "rpc"),
    *("callers", "peers", "metrics.port", "metrics.path", "ports.*.host"),
    *_under("egress[]", "host", "port", "protocol", "cidrs"),
    *_under("jwt", "issuer", "jwksUri", "audiences", "requiredClaims"),
    *_under("jwt[]", "issuer", "jwksUri", "audiences", "requiredClaims"),
    *_under("plaintextPorts[]", "expires", "port", "cidrs"),
    "secrets.*.readers",
    *_database("database"),
    *_database("databases.*"),
    *("replicas", "autoscaling.min", "autoscaling.max", "autoscaling.cpu", "autoscaling.memory", "placement.class"),
    *_resources("resources"),
    *("command", "args", "env", "podEnv", "secretEnv.expires", "secretEnv.variables", "config.path", "config.files"),
    "health",
    *_probes("probes"),
    *("stop.delay", "stop.within", "runAsUser", "writable", "writableCopies"),
    *_under("scratch.*", "path", "size"),
    *_under("volumes.*", "path", "size", "storageClass"),
    *_under("caBundle", "configMap", "key"),
    *_container("init.*"),
    *_container("sidecars.*"),
    "sidecars.*.health",
    *_probes("sidecars.*.probes"),
    *_under("jobs.*", "schedule", "secrets", "database", "databases", "calls", "egress", "placement.class"),
    *_under("jobs.*.ownVolumes.*", "path", "size", "storageClass"),
    *_under("kubernetesApi[]", "apiGroups", "resources", "verbs", "clusterWide", "expires"),
    "leaderElection",
    *_under("patch", "expires", "annotations", "pod.setHostnameAsFQDN", "pod.dnsConfig.searches"),
    *_under("patch.pod.dnsConfig.options[]", "name", "value"),
    *_under("patch.pod.hostAliases[]", "ip", "hostnames"),
    *_under("patch.containers.*", "imagePullPolicy", "lifecycle.postStart.exec.command", "stdin", "tty", "workingDir"),
    *_under("patch.containers.*", "terminationMessagePath", "terminationMessagePolicy"),
    *_under("exceptions[]", "expires", "rule"),
)
_PACKAGE = (
    *("name", "namespace", "team", "callers", "kubernetesApi", "securityHeaders", "maxRequestBytes", "manifests"),
    *("rateLimit", "rateLimit.requests", "rateLimit.per", "values", "chart.folder"),
    *_under("expose[]", "service", "port", "host"),
    "secrets.*.workload",
    *_under("calls[]", "service", "port", "methods", "paths", "rpc", "workloads"),
    *_under("between[]", "workloads", "service", "port"),
    *_under("egress[]", "host", "port", "protocol", "cidrs", "workloads"),
    *_under("plaintextPorts[]", "expires", "port", "cidrs", "workload"),
    *_under("metrics[]", "port", "path", "workload"),
    *_under("exceptions[]", "expires", "rule", "workload"),
    *_under("grants[]", "expires", "kind", "names", "namespace"),
)

SAID: Mapping[str, frozenset[str]] = MappingProxyType(
    {"stack": frozenset(_STACK), "service": frozenset(_SERVICE), "package": frozenset(_PACKAGE)}
)
"""The keys of which other facts tell what they do, by the kind of file."""


def _unsaid(*timed: str, **others: str) -> dict[str, str]:
    return {f"{section}.{key}": _REVIEWED for section in timed for key in _TIMED} | others


UNSAID: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "stack": {
            **{f"posture.{layer}.reason": _REVIEWED for layer in _POSTURE},
            **_unsaid("kyverno.excludedNamespaces.*", "kyverno.exceptions[]", "kyverno.widened.*"),
            "vault.deliveryReason": _REVIEWED,
            "kyverno.imageSignatures[].name": "what the stack file calls a signer: the key or the identity matters",
        },
        "service": _unsaid("plaintextPorts[]", "secretEnv", "kubernetesApi[]", "patch", "exceptions[]"),
        "package": {
            **_unsaid("plaintextPorts[]", "exceptions[]", "grants[]"),
            "secrets.*.from": "a package shares no secret: the file is refused with it",
            "secrets.*.readers": "a package shares no secret: the file is refused with it",
        },
    }
)
"""The keys that are no fact, each with the reason for that, by the kind of file."""
