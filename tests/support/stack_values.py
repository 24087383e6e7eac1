"""Stack files in which nearly every key is written, and what else somebody may write in the place of each value."""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support.stacks import values

Stack = dict[str, Any]
Path_ = tuple[str | int, ...]

DAYS = {"reason": "nothing else does", "owner": "ann", "granted": "2026-11-01", "expires": "2026-12-01"}
_ALL: Stack = {
    "trustDomain": "example.org",
    "kyverno": {
        "parameters": {"limit-range": {"cpuMaximum": "3"}},
        "imageSignatures": [{"name": "ci", "issuer": "https://issuer.example.org", "subject": "repo:shop/api"}],
        "excludedNamespaces": {"calico-system": DAYS},
        "exceptions": [{**DAYS, "rule": "require-probes", "namespace": "legacy", "serviceAccount": "old"}],
    },
    "services": {"replicas": 3},
    "placement": {
        "gpu": {
            "nodeSelector": {"a": "b"},
            "tolerations": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}],
            "priorityClass": "high",
            "runtimeClass": "gvisor",
            "resources": {"nvidia.com/gpu": 1},
            "namespaces": ["shop"],
        }
    },
    "pullSecrets": {"registry.example.org": "pull"},
    "apiServerCidrs": ["10.0.0.0/24"],
    "apiServerPorts": [443, 6443],
    "webhookCidrs": ["10.1.0.0/16"],
    "metadataCidrs": ["10.0.0.77/32"],
    "dns": {
        "namespace": "kube-system",
        "labels": {"k8s-app": "dns"},
        "servers": ["169.254.20.10/32"],
        "allow": ["a.b"],
    },
    "imports": {"namespaces": ["shop"]},
    "asOf": "2026-11-15",
    "phases": {"require-probes": "warn"},
}
_INSTALLED: Stack = {
    "vault": {
        "hub": "r.example.org/mirror",
        "kubernetesHost": "https://10.0.0.1:6443",
        "clientCidrs": ["10.9.0.0/16"],
        "tlsSecret": "own",
        "authorities": "more",
        "serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"},
        "podLabels": {"azure.workload.identity/use": "true"},
        "storage": {"storageClass": "fast"},
        "snapshots": {"schedule": "0 3 * * *", "keep": 3, "image": "registry.example.org/vault:1.2"},
        "secrets": {"keepVersions": 5, "deleteAfter": "720h", "refresh": "1m"},
        "bootstrap": {
            "login": {"kubernetes": {"namespace": "ci", "serviceAccount": "deployer"}},
            "recoveryShares": 5,
            "plainKeysReason": "none",
        },
        "login": {"method": "kubernetes"},
        "seal": {"awskms": {"region": "eu-central-1", "kmsKeyId": "alias/vault-unseal"}},
    },
    "databases": {
        "main": {
            "host": "db.example.org",
            "port": 5433,
            "database": "shop",
            "adminUser": "vault",
            "cidrs": ["10.3.0.0/24"],
        }
    },
    "kyverno": {"hub": "r.example.org/k"},
    "mesh": {
        "hub": "r.example.org/m",
        "platform": "gke",
        "revision": "1-31-0",
        "scraper": {"namespace": "monitoring", "serviceAccount": "prometheus"},
        "tracing": {"namespace": "observability", "service": "otel", "port": 4317, "sampling": 5},
    },
    "ingress": {
        "domain": "apps.example.org",
        "gatewayNamespace": "edge",
        "certManager": {"hub": "r.example.org/c"},
        "tls": {"minVersion": "1.2", "ciphers": ["ECDHE-RSA-AES256-GCM-SHA384"]},
        "hsts": {"maxAge": 31536000, "preload": True},
        "headers": {"X-Content-Type-Options": "nosniff"},
        "rateLimit": {"requests": 10, "per": "minute"},
        "maxRequestBytes": 1024,
        "waf": {"image": f"registry.example.org/waf/coraza@sha256:{'a' * 64}", "cidrs": ["10.8.0.0/16"]},
        "hosts": {"legacy": ["www.example.org", "*.team.example.org"]},
        "acmeEmail": "platform@example.org",
    },
    "teams": {
        "blue": {
            "namespaces": ["blue-a", "blue-b"],
            "hosts": {"blue-a": ["blue.example.org"]},
            "approved": {"egress": ["api.example.net"], "networks": ["203.0.113.0/24"], "patch": ["web"]},
        }
    },
    "charts": {"repositories": {"istio": "oci://r.example.org/charts"}, "digests": {"base": f"sha256:{'b' * 64}"}},
}
_ELSEWHERE: Stack = {
    "vault": {
        "mode": "external",
        "cidrs": ["10.2.0.0/16"],
        "login": {"method": "cert", "certFile": "/a/c.pem", "keyFile": "/a/k.pem"},
        "pki": {"commonName": "inner", "domains": ["*.example.org"], "maxTtlHours": 100},
        "seal": None,
    },
    "mesh": {"dataPlane": "ambient", "autoscaling": {"min": 2, "max": 4, "cpu": 50}, "replicas": None},
    "ingress": {"vault": {"server": "https://v.example.org:8200"}},
    "posture": {"issuer": {"value": "vault", "reason": "inner"}, "networkPolicies": {"value": True}},
}
_OF_OTHERS: Stack = {
    "kyverno": {"mode": "existing", "namespace": "policy", "replicas": None},
    "mesh": {
        "mode": "existing",
        "namespace": "mesh",
        "rootNamespace": "mesh-root",
        "otherNamespaces": ["others"],
        "replicas": None,
    },
    "vault": {
        "delivery": "external-secrets",
        "deliveryReason": "old",
        "externalSecrets": {"mode": "existing", "namespace": "eso"},
        "tlsSecret": "own",
        "seal": {"awskms": {"region": "eu-central-1", "kmsKeyId": "alias/vault-unseal"}},
    },
    "ingress": {
        "kind": "ingress",
        "className": "nginx",
        "controller": {"namespace": "ing", "serviceAccount": "nginx"},
        "certManager": {"mode": "existing", "namespace": "cm"},
        "gatewayApi": {"mode": "existing"},
        "annotations": {
            key: {f"nginx.example.org/{key}": "x"} for key in ("headers", "rateLimit", "maxRequestBytes", "tls", "waf")
        },
        "acmeEmail": "platform@example.org",
        "replicas": None,
    },
}
KINDS: Mapping[str, Stack] = {"installed": _INSTALLED, "elsewhere": _ELSEWHERE, "of others": _OF_OTHERS}


def full(environment: str, kind: str, authority: Path) -> Stack:
    """A stack file with nearly every key that such a stack can have."""
    made = _merged(_merged(values(environment), _ALL), KINDS[kind])
    if kind == "installed":
        made["mesh"].pop("replicas", None)
    if kind != "elsewhere":
        made["ingress"]["acmeServer"] = {"directory": "https://acme.example.org/d", "caBundleFile": str(authority)}
    return made


def _merged(under: Stack, over: Stack) -> Stack:
    made = {key: value for key, value in under.items() if over.get(key, "") is not None}
    for key, value in over.items():
        if isinstance(value, dict):
            made[key] = _merged(made.get(key, {}), value)
        elif value is not None:
            made[key] = value
    return made


_TEXTS = (
    *("", " ", "UPPER", "a.example.org.", "-a", "a" * 63, "a" * 64, ".".join(["a" * 63] * 4), "a" * 300, "ä", "a\nb"),
    *("\x1b[31mred", "{{ x }}", "${x}", "'\"", "*", "*.example.org", "../x", "/etc/none", "db.example.org:443", "::1"),
    *(
        "10.0.0.1",
        "10.0.0.1/8",
        "0.0.0.0/0",
        "fd00::/8",
        "fd00:ec2::254/128",
        "169.254.169.254/32",
    ),
    *(
        "0s",
        "-1",
        "1h",
        "2026-02-30",
        "2030-01-01",
        "default",
        "kube-system",
        "vault",
        "shop",
        "platform-teams",
        "edge",
    ),
    *("http://x", "https://x:0", "https://[::1]:8200", "shop/none", "no", "true"),
)
_NUMBERS = (0, -1, 1, 9, 10, 15001, 65535, 65536, 2**31, 2**63, 1.5, "1")
_OTHERS: tuple[Any, ...] = (None, [], {}, [None], {"a": None}, [[]], False, True, {"": ""}, [""], 7, "text")


def wrong(stack: Stack) -> Iterator[tuple[Path_, object, Stack]]:
    """Each place of a stack file with other values in it: the place, the value, and the file; or without it."""
    for path, old in _places(stack):
        yield path, "left out", _with(stack, path, _GONE)
        pool: list[Any] = [*_OTHERS]
        if isinstance(old, str):
            pool += _TEXTS
        elif isinstance(old, int):
            pool += _NUMBERS
        elif isinstance(old, list):
            pool += [old + old[:1], old[::-1], [*old, "x"], old[:1] * 100]
        else:
            pool += [{**dict(list(old.items())[1:]), key: next(iter(old.values()))} for key in _TEXTS if old]
        for new in pool:
            yield path, new, _with(stack, path, new)


_GONE = object()


def _places(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    if path:
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*path, key))


def _with(stack: Stack, path: Path_, new: object) -> Stack:
    made: Any = copy.deepcopy(stack)
    here = made
    for part in path[:-1]:
        here = here[part]
    if new is _GONE:
        del here[path[-1]]
    else:
        here[path[-1]] = new
    return made
