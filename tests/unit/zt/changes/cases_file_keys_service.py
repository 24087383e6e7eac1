"""For each key of a service file: a file, another value, and the class of what becomes of it."""

from typing import Any

from tests.unit.zt.changes.cases_file_keys import GONE, NEUTRAL, STRONGER, WEAKER, Group, Keys

_DAYS = {"reason": "the nodes need it", "owner": "platform", "granted": "2026-01-01", "expires": "2026-03-01"}
_STACK: Keys = {
    "mesh": {"replicas": 2, "scraper": {"namespace": "monitoring", "serviceAccount": "prometheus"}},
    "placement": {"gpu": {"nodeSelector": {"pool": "gpu"}}, "small": {"nodeSelector": {"pool": "small"}}},
    "apiServerCidrs": ["10.0.0.1/32"],
    "databases": {
        "orders": {"host": "10.0.9.9", "database": "shop", "adminUser": "vault"},
        "other": {"host": "10.0.9.8", "database": "shop", "adminUser": "vault"},
        "kv": {"engine": "redis", "host": "127.0.0.1", "tls": False, "adminUser": "vault", "adminSecret": "cache"},
    },
}
_JWT: Keys = {
    "issuer": "https://login.example.org",
    "jwksUri": "https://login.example.org/keys",
    "audiences": ["shop"],
    "requiredClaims": {"role": ["a"]},
    "forwardToken": False,
}
_ROUTE: Keys = {
    "path": "/a",
    "rewrite": "/b",
    "timeout": "5s",
    "retries": {"attempts": 2, "codes": [503], "each": "1s", "backoff": "1s"},
    "cors": {"origins": ["https://a.example.org"], "methods": ["GET"], "headers": ["X-A"], "exposeHeaders": ["X-B"]},
}
_GRANT: Keys = {"schema": "public", "privileges": ["SELECT"], "tables": ["t"], "sequences": ["s"]}
_PROBE: Keys = {"path": "/r", "port": 9000, "initialDelaySeconds": 1, "periodSeconds": 5, "failureThreshold": 3}
_SECRETS: Keys = {"a": {"generate": ["x"]}, "b": {"generate": ["x"]}}
_WORK: Keys = {"secrets": _SECRETS, "scratch": {"s": {"path": "/s", "size": "1Gi"}}}
_WORK |= {"volumes": {"d": {"path": "/d", "size": "1Gi"}}}
_CONTAINER: Keys = {"image": "registry.example.org/shop/c:v1", "command": ["c"], "config": {"files": {"a": "b"}}}
_SCHEMA = {"grants": [_GRANT]}
_CLEAR: Keys = {"port": 9000, "cidrs": ["10.7.0.0/16"], **_DAYS}
_PODS: Keys = {"resources": ["pods"], "verbs": ["get"]}
_RIGHT: Keys = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"], "clusterWide": True, **_DAYS}
_PATCH: Keys = {**_DAYS, "containers": {"web": {"tty": True}}}


def _to(value: object, means: str, *keys: str) -> dict[str, tuple[object, str]]:
    return dict.fromkeys(keys, (value, means))


def _container(section: str, **more: Any) -> Group:
    of = f"{section}.*c"
    return Group(
        _STACK,
        {
            f"{of}.image": ("registry.example.org/shop/d:v1", WEAKER),
            **_to(["other"], NEUTRAL, f"{of}.command", f"{of}.args"),
            f"{of}.env": ({"A": "b"}, NEUTRAL),
            f"{of}.podEnv": ({"N": "name"}, NEUTRAL),
            f"{of}.config.path": ("/conf2", NEUTRAL),
            f"{of}.config.files": ({"a": "c"}, NEUTRAL),
            f"{of}.secrets": (["a"], WEAKER),
            f"{of}.database": (True, WEAKER),
            f"{of}.databases": (["reports"], WEAKER),
            f"{of}.writable": (["/y"], WEAKER),
            f"{of}.writableCopies": (["/y"], WEAKER),
            f"{of}.scratch": (["s"], WEAKER),
            f"{of}.volumes": (["d"], WEAKER),
            f"{of}.runAsUser": (1600, NEUTRAL),
            f"{of}.resources": ({"limits": {"cpu": "300m"}}, NEUTRAL),
        },
        {
            **_WORK,
            "database": {"connection": "orders", **_SCHEMA},
            "databases": {"reports": {"connection": "other", **_SCHEMA}},
            section: {"c": {**_CONTAINER, **more}},
        },
    )


SERVICE = [
    Group(
        _STACK,
        {
            **_to("other", NEUTRAL, "team", "component", "costCenter"),
            **_to("other", WEAKER, "name", "namespace"),
            "image": ("registry.example.org/shop/other:v1", WEAKER),
            "port": (9003, WEAKER),
            "protocol": ("http2", NEUTRAL),
            "host": ("other.example.org", WEAKER),
            "aliases": (["w2.example.org"], WEAKER),
            "hostUsers": ({"bank/x": ["/y"]}, WEAKER),
            "securityHeaders": ("none", WEAKER),
            "rateLimit": ({"requests": 9999}, WEAKER),
            "maxRequestBytes": ("none", WEAKER),
            "callers": (["api"], WEAKER),
            "calls": (["redis"], WEAKER),
            "peers": ([9100], WEAKER),
            "metrics": ({"port": 9400}, WEAKER),
            "replicas": (3, STRONGER),
            "autoscaling": ({"min": 2, "max": 4, "cpu": 50}, NEUTRAL),
            "placement": ({"class": "gpu"}, WEAKER),
            **_to(["other"], NEUTRAL, "command", "args"),
            "env": ({"A": "b"}, NEUTRAL),
            "podEnv": ({"N": "name"}, NEUTRAL),
            "health": ("/health", NEUTRAL),
            "stop": ({"delay": "2s", "within": "40s"}, NEUTRAL),
            "stop.delay": ("1s", NEUTRAL),
            "stop.within": ("60s", NEUTRAL),
            "runAsUser": (1500, NEUTRAL),
            "writable": (["/y"], WEAKER),
            "writableCopies": (["/y"], WEAKER),
            "ports": ({"admin": {"port": 9001, "host": "admin.example.org"}}, WEAKER),
            "leaderElection": (True, WEAKER),
            "exceptions": ([{**_DAYS, "rule": "require-read-only-root-filesystem"}], WEAKER),
        },
        {"host": "web.example.org", "namespace": "shop", "name": "web"},
    ),
    Group(
        _STACK,
        {
            "paths.0.path": ("/c", WEAKER),
            "paths.0.rewrite": ("/z", WEAKER),
            "paths.0.timeout": ("9s", NEUTRAL),
            "paths.0.retries.attempts": (3, NEUTRAL),
            "paths.0.retries.codes": ([504], NEUTRAL),
            "paths.0.retries.each": ("2s", NEUTRAL),
            "paths.0.retries.backoff": ("2s", NEUTRAL),
            "paths.0.cors.origins": (["https://a.example.org", "https://b.example.org"], WEAKER),
            "paths.0.cors.credentials": (True, WEAKER),
            "paths.0.cors.methods": (["GET", "DELETE"], WEAKER),
            "paths.0.cors.headers": (["X-A", "Authorization"], WEAKER),
            "paths.0.cors.exposeHeaders": ([], STRONGER),
            "paths.0.cors.maxAge": ("900s", NEUTRAL),
            "paths.0.token": ("none", WEAKER),
            "jwt.issuer": ("https://id.example.org", WEAKER),
            "jwt.jwksUri": ("https://login.example.org/other", WEAKER),
            "jwt.audiences": (["shop", "x"], WEAKER),
            "jwt.requiredClaims": ({}, WEAKER),
            "jwt.forwardToken": (True, WEAKER),
            "jwt": (GONE, WEAKER),
        },
        {"host": "web.example.org", "paths": [_ROUTE, {"path": "/d"}], "jwt": _JWT},
    ),
    Group(
        _STACK,
        {
            "ports.*admin.host": ("console.example.org", WEAKER),
            "ports.*admin.paths.0.path": ("/c", WEAKER),
            "ports.*admin.paths.0.rewrite": ("/z", WEAKER),
            "ports.*admin.paths.0.timeout": ("9s", NEUTRAL),
            "ports.*admin.paths.0.retries.attempts": (3, NEUTRAL),
            "ports.*admin.paths.0.retries.codes": ([504], NEUTRAL),
            "ports.*admin.paths.0.retries.each": ("2s", NEUTRAL),
            "ports.*admin.paths.0.retries.backoff": ("2s", NEUTRAL),
            "ports.*admin.paths.0.cors.origins": (["https://a.example.org", "https://b.example.org"], WEAKER),
            "ports.*admin.paths.0.cors.credentials": (True, WEAKER),
            "ports.*admin.paths.0.cors.methods": (["GET", "DELETE"], WEAKER),
            "ports.*admin.paths.0.cors.headers": (["X-A", "Authorization"], WEAKER),
            "ports.*admin.paths.0.cors.exposeHeaders": ([], STRONGER),
            "ports.*admin.paths.0.cors.maxAge": ("900s", NEUTRAL),
            "ports.*admin.paths.0.token": ("none", WEAKER),
        },
        {
            "ports": {"admin": {"port": 9001, "host": "admin.example.org", "paths": [_ROUTE, {"path": "/d"}]}},
            "jwt": _JWT,
        },
    ),
    Group(
        _STACK,
        {
            "sticky": ({"header": "X-Seat"}, NEUTRAL),
            "sticky.cookie": ("other", NEUTRAL),
            "ports.*admin.sticky": ({"cookie": "seat"}, NEUTRAL),
            "ports.*admin.sticky.header": ("X-Other", NEUTRAL),
        },
        {"sticky": {"cookie": "seat"}, "ports": {"admin": {"port": 9001, "sticky": {"header": "X-Seat"}}}},
    ),
    Group(
        _STACK,
        {
            "rateLimit.requests": (1, STRONGER),
            "rateLimit.per": ("hour", STRONGER),
            "maxRequestBytes": (1000, STRONGER),
        },
        {"host": "web.example.org", "rateLimit": {"requests": 10}, "maxRequestBytes": 2000},
    ),
    Group(
        _STACK,
        {
            "calls.0.service": ("api", WEAKER),
            "calls.0.port": ("admin", WEAKER),
            "calls.0.methods": (["GET", "PUT"], WEAKER),
            "calls.0.paths": (["/a", "/b"], WEAKER),
        },
        {"calls": [{"service": "other", "methods": ["GET"], "paths": ["/a"]}]},
    ),
    Group(
        _STACK,
        {
            "egress.0.host": ("other.example.org", WEAKER),
            "egress.0.port": (8443, WEAKER),
            "egress.0.protocol": ("https", WEAKER),
            "egress.0.cidrs": (["203.0.113.0/25"], STRONGER),
        },
        {"egress": [{"host": "pay.example.org", "port": 443, "cidrs": ["203.0.113.0/24"]}]},
    ),
    Group(
        _STACK,
        {
            "plaintextPorts.0.cidrs": (["10.0.0.0/8"], WEAKER),
            "plaintextPorts.0.expires": ("2026-02-01", STRONGER),
            "plaintextPorts.0.port": (9001, WEAKER),
        },
        {"plaintextPorts": [_CLEAR], "ports": {"admin": 9001}},
    ),
    Group(_STACK, {"plaintextPorts.0.cidrs": (["10.7.1.0/24"], STRONGER)}, {"plaintextPorts": [_CLEAR]}),
    Group(
        _STACK,
        {"metrics.port": (9401, WEAKER), "metrics.path": ("/m", WEAKER), "metrics": (GONE, STRONGER)},
        {"metrics": {"port": 9400, "path": "/metrics"}},
    ),
    Group(
        _STACK,
        {
            "ports.*admin.port": (9002, NEUTRAL),
            "ports.*admin.protocol": ("grpc", NEUTRAL),
            "secrets.*a.readers": (["api"], WEAKER),
            "secrets.*a.generate": (["x", "y"], NEUTRAL),
            "secrets.*a.file": ("other.txt", NEUTRAL),
            "secretEnv.expires": ("2026-02-01", STRONGER),
            "secretEnv.variables": ({"P": "a/x", "Q": "b/x"}, WEAKER),
            "secretEnv.shell": ("/bin/bash", NEUTRAL),
            "config.path": ("/other", NEUTRAL),
            "config.files": ({"a": "c"}, NEUTRAL),
            "caBundle.configMap": ("other", WEAKER),
            "caBundle.key": ("other.crt", WEAKER),
            "caBundle.path": ("/ca/other.crt", NEUTRAL),
            "scratch.*s.path": ("/t", WEAKER),
            "scratch.*s.size": ("2Gi", NEUTRAL),
            "scratch.*s.memory": (True, NEUTRAL),
            "startInOrder": (True, NEUTRAL),
            "volumes.*d.path": ("/e", WEAKER),
            "volumes.*d.size": ("2Gi", NEUTRAL),
            "volumes.*d.storageClass": ("fast", NEUTRAL),
            "volumes.*d.accessMode": ("ReadWriteMany", NEUTRAL),
            **_to("2Gi", NEUTRAL, "resources.limits.memory", "resources.limits.ephemeralStorage"),
            **_to("10m", NEUTRAL, "resources.requests.cpu"),
            **_to("1Gi", NEUTRAL, "resources.requests.ephemeralStorage"),
            "resources.limits.cpu": ("2", NEUTRAL),
            "resources.requests.memory": ("64Mi", NEUTRAL),
        },
        {
            **_WORK,
            "peers": [9200],
            "ports": {"admin": {"port": 9001}},
            "callers": ["api:admin"],
            "command": ["serve"],
            "secretEnv": {**_DAYS, "variables": {"P": "a/x"}},
            "config": {"path": "/conf", "files": {"a": "b"}},
            "caBundle": {"configMap": "ca", "key": "ca.crt", "path": "/ca/ca.crt"},
        },
    ),
    Group(
        _STACK,
        {
            **{f"autoscaling.{key}": (9, NEUTRAL) for key in ("max",)},
            "autoscaling.min": (3, STRONGER),
            "autoscaling.cpu": (60, NEUTRAL),
            "autoscaling.memory": (60, NEUTRAL),
        },
        {"autoscaling": {"min": 2, "max": 4, "cpu": 50}},
    ),
    Group(
        _STACK,
        {
            f"probes.readiness.{key}": (value, NEUTRAL)
            for key, value in {
                "path": "/z",
                "port": 9300,
                "initialDelaySeconds": 2,
                "periodSeconds": 9,
                "failureThreshold": 5,
                "timeoutSeconds": 3,
            }.items()
        },
        {"probes": {"readiness": _PROBE}, "ports": {"probe": 9300}},
    ),
    Group(_STACK, _to(["other"], NEUTRAL, "probes.readiness.command"), {"probes": {"readiness": {"command": ["a"]}}}),
    Group(
        _STACK,
        _to("other", NEUTRAL, "probes.readiness.grpc"),
        {"probes": {"readiness": {"grpc": "a"}}, "protocol": "grpc"},
    ),
    Group(
        _STACK,
        {
            "database.connection": ("other", WEAKER),
            "database.grants.0.schema": ("private", WEAKER),
            "database.grants.0.privileges": (["SELECT", "DELETE"], WEAKER),
            "database.grants.0.tables": ("all", WEAKER),
            "database.grants.0.sequences": ("all", WEAKER),
            "database.ttl": ("2h", WEAKER),
            "database.maxTtl": ("1h", STRONGER),
            "database.file": ("other", NEUTRAL),
            "database.files": ({"user": "{{ .Data.username }}"}, NEUTRAL),
            "database.owns": (["public", "more"], WEAKER),
        },
        {
            "database": {"connection": "orders", "grants": [_GRANT], "ttl": "1h", "maxTtl": "2h", "owns": ["public"]},
            "jobs": {"j": {"database": "owner"}},
        },
    ),
    Group(
        _STACK,
        {
            "database.keys.0.prefix": ("b:", WEAKER),
            "database.keys.0.privileges": (["READ", "WRITE"], WEAKER),
            "database.channels": (["c."], WEAKER),
            "database.scripts": (True, WEAKER),
        },
        {"database": {"connection": "kv", "keys": [{"prefix": "a:", "privileges": ["READ"]}]}},
    ),
    _container("init"),
    _container("sidecars", port=9500),
    Group(
        _STACK,
        {"sidecars.*c.health": ("/z", NEUTRAL), "sidecars.*c.port": (9501, NEUTRAL)},
        {"sidecars": {"c": {**_CONTAINER, "port": 9500, "health": "/h"}}},
    ),
    Group(
        _STACK,
        {
            **_to(["other"], NEUTRAL, "jobs.*j.command", "jobs.*j.args"),
            "jobs.*j.schedule": ("0 3 * * *", NEUTRAL),
            "jobs.*j.retries": (3, NEUTRAL),
            "jobs.*j.timeout": ("2m", NEUTRAL),
            "jobs.*j.secrets": (["a"], WEAKER),
            "jobs.*j.database": (True, WEAKER),
            "jobs.*j.databases": ({"reports": True}, WEAKER),
            "jobs.*j.calls": (["redis"], WEAKER),
            "jobs.*j.egress": (["pay.example.org"], WEAKER),
            "jobs.*j.placement": ({"class": "gpu"}, WEAKER),
            "jobs.*j.resources": ({"limits": {"cpu": "300m"}}, NEUTRAL),
            "jobs.*j.volumes": ({"shared": "write"}, WEAKER),
            "jobs.*j.ownVolumes": ({"dump": {"path": "/dump", "size": "1Gi"}}, WEAKER),
        },
        {
            "secrets": _SECRETS,
            "calls": ["redis"],
            "egress": [{"host": "pay.example.org", "port": 443}],
            "database": {"connection": "orders", **_SCHEMA},
            "databases": {"reports": {"connection": "other", **_SCHEMA}},
            "volumes": {"shared": {"path": "/shared", "size": "1Gi", "accessMode": "ReadWriteMany"}},
            "jobs": {"j": {"command": ["m"], "volumes": {"shared": "read"}}},
        },
    ),
    Group(
        _STACK,
        {
            "kubernetesApi.0.apiGroups": (["metrics.k8s.io"], WEAKER),
            "kubernetesApi.0.resources": (["configmaps"], WEAKER),
            "kubernetesApi.0.verbs": (["get", "list"], WEAKER),
            "kubernetesApi.0.expires": ("2026-02-01", STRONGER),
        },
        {"kubernetesApi": [_RIGHT]},
    ),
    Group(
        _STACK,
        {"kubernetesApi.0#kubernetesApi[].clusterWide": ({**_PODS, **_DAYS, "clusterWide": True}, WEAKER)},
        {"kubernetesApi": [_PODS]},
    ),
    Group(
        _STACK,
        {
            "patch.expires": ("2026-02-01", STRONGER),
            "patch.annotations": ({"example.org/x": "y"}, WEAKER),
            "patch.containers.*web.tty": (False, WEAKER),
            "patch.containers.*web.stdin": (True, WEAKER),
            "patch.containers.*web.imagePullPolicy": ("Always", WEAKER),
            "patch.containers.*web.workingDir": ("/w", WEAKER),
            "patch.containers.*web.terminationMessagePath": ("/w", WEAKER),
            "patch.containers.*web.terminationMessagePolicy": ("File", WEAKER),
            "patch.containers.*web.lifecycle": ({"postStart": {"exec": {"command": ["warm"]}}}, WEAKER),
            "patch.pod": ({"setHostnameAsFQDN": True}, WEAKER),
            "patch.pod.hostAliases": ([{"ip": "10.0.0.9", "hostnames": ["a.example.org"]}], WEAKER),
            "patch.pod.dnsConfig": ({"options": [{"name": "ndots", "value": "2"}]}, WEAKER),
            "patch.pod.dnsConfig.searches": (["a.example.org"], WEAKER),
        },
        {"patch": _PATCH},
    ),
    Group(
        _STACK,
        {"exceptions.0.expires": ("2026-02-01", STRONGER), "exceptions.0.rule": ("disallow-host-path", WEAKER)},
        {"exceptions": [{**_DAYS, "rule": "require-read-only-root-filesystem"}]},
    ),
]
