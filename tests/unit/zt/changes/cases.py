"""The cases of `zt diff` that change a service, and those that only the program can make."""

from typing import Any

from tests.unit.zt.changes.files import GONE, SMALL, Case, Files, posture

_DATABASE: dict[str, Any] = {"host": "10.0.9.9", "database": "shop", "adminUser": "vault"}
_GRANT = {"schema": "public", "privileges": ["SELECT"], "tables": ["orders"]}
_EXCEPTION = {
    "rule": "require-read-only-root-filesystem",
    "reason": "The vendor's image writes to its own directory.",
    "owner": "ann@example.org",
    "granted": "2026-01-01",
    "expires": "2026-03-01",
}
_ROOT_FILESYSTEM = "critical rule require-read-only-root-filesystem"

_PATCH_SERVICES = "the right of api to patch services, which may lead to more,"


def _service(name: str, **keys: Any) -> Files:
    return Files({name: keys})


def _database(grants: list[dict[str, Any]], connection: dict[str, Any] | None = None, **keys: Any) -> Files:
    wanted = {"connection": "orders", "grants": grants, **keys}
    return Files({"api": {"database": wanted}}, {"databases": {"orders": {**_DATABASE, **(connection or {})}}})


def _cache(keys: list[dict[str, Any]], **more: Any) -> Files:
    server = {"engine": "redis", "host": "127.0.0.1", "tls": False, "adminUser": "vault", "adminSecret": "cache"}
    wanted = {"connection": "kv", "keys": keys, **more}
    return Files({"api": {"database": wanted}}, {"databases": {"kv": server}})


def _patching_services(expires: str) -> Files:
    days = {"owner": "commerce", "granted": "2026-01-01", "expires": expires}
    right = {"resources": ["services"], "verbs": ["patch"], "reason": "it moves its own Service", **days}
    return Files({"api": {"kubernetesApi": [right]}}, {"apiServerCidrs": ["10.0.0.1/32"]})


def _reading_services(kind: str, verbs: list[str]) -> Files:
    days = {"owner": "commerce", "granted": "2026-01-01", "expires": "2026-02-01"}
    right = {
        "resources": [kind],
        "verbs": verbs,
        "clusterWide": True,
        "reason": "it spreads its work over them",
        **days,
    }
    return Files({"api": {"kubernetesApi": [right]}}, {"apiServerCidrs": ["10.0.0.1/32"]})


SERVICE_CASES = [
    Case("a call", ["weaker: web may now reach redis:6379"], _service("web", calls=["redis"])),
    Case("a consent", ["weaker: redis now agrees that web may call it"], _service("redis", callers=["web"])),
    Case(
        "fewer keys of Redis",
        [
            "weaker: api may now PUBLISH on every channel that begins with orders. of database kv",
            "weaker: api may now SUBSCRIBE on every channel that begins with orders. of database kv",
            "stronger: api may no longer EVAL on scripts of database kv",
            "stronger: api may no longer READ on every key that begins with orders: of database kv, except orders:eu:",
        ],
        _cache([{"prefix": "orders:eu:", "privileges": ["READ"]}], channels=["orders."]),
        _cache([{"prefix": "orders:", "privileges": ["READ"]}], scripts=True),
    ),
    Case(
        "a consent less",
        ["stronger: redis no longer agrees that web may call it"],
        SMALL,
        _service("redis", callers=["web"]),
    ),
    Case(
        "a path that another one may have",
        ["weaker: api now agrees that bank/ledger may have /accounts of its public hosts"],
        _service("api", hostUsers={"bank/ledger": ["/accounts"]}),
    ),
    Case(
        "more paths that another one may have",
        ["weaker: api now agrees that bank/ledger may have / of its public hosts, and not only /accounts"],
        _service("api", hostUsers={"bank/ledger": ["/"]}),
        _service("api", hostUsers={"bank/ledger": ["/accounts"]}),
    ),
    Case(
        "a secret that another one may read",
        [
            "weaker: api now agrees that web may read its secret smtp",
            "weaker: web can now read secret/data/shop/api/smtp",
            "stronger: web can no longer read secret/data/shop/web/own",
        ],
        Files(
            {
                "api": {"secrets": {"smtp": {"generate": ["password"], "readers": ["web"]}}},
                "web": {"secrets": {"mail": {"from": "api/smtp"}}},
            }
        ),
        _service("web", secrets={"own": {"generate": ["key"]}}),
    ),
    Case("a call less", ["stronger: api may no longer reach redis:6379"], _service("api", calls=[])),
    Case(
        "another port",
        ["weaker: api may now reach redis:6380", "stronger: api may no longer reach redis:6379"],
        _service("redis", port=6380),
    ),
    Case(
        "nothing between services",
        [
            "weaker: anything in the cluster may now reach api:8080",
            "weaker: anything in the cluster may now reach redis:6379, and not only api",
            "weaker: anything in the cluster may now reach web:9000",
            "weaker: authorization by identity goes from enforce to dry-run",
            "weaker: the network policy of every service goes from on to off",
            "weaker: what the proxy of a service knows goes from what the service declares to the whole mesh",
        ],
        Files(stack=posture(networkPolicies=False, authorization="dry-run")),
    ),
    Case(
        "network policies again",
        [
            "stronger: anything in the cluster may no longer reach api:8080",
            "stronger: anything in the cluster may no longer reach redis:6379, except api",
            "stronger: anything in the cluster may no longer reach web:9000",
            "stronger: the network policy of every service goes from off to on",
            "stronger: what the proxy of a service knows goes from the whole mesh to what the service declares",
        ],
        Files(stack=posture(authorization="off")),
        Files(stack=posture(networkPolicies=False, authorization="off")),
    ),
    Case(
        "a new service",
        [
            "weaker: job may now reach redis:6379",
            "weaker: job may now write to /data",
            "neutral: job is a new service of team ops",
        ],
        _service(
            "job",
            namespace="shop",
            team="ops",
            image="registry.example.org/shop/job:v1",
            port=80,
            calls=["redis"],
            writable=["/data"],
        ),
    ),
    Case("a service less", ["neutral: web is gone, a service of team commerce"], Files({"web": GONE})),
    Case(
        "a public host",
        ["weaker: port 9000 of web is now public at www.example.org"],
        _service("web", host="www.example.org"),
    ),
    Case(
        "a host less", ["stronger: port 8080 of api is no longer public at api.example.org"], _service("api", host=None)
    ),
    Case(
        "a path of a host",
        ["stronger: port 8080 of api is no longer public at api.example.org, except /v1"],
        _service("api", paths=["/v1"]),
    ),
    Case(
        "a path more",
        ["weaker: port 8080 of api is now public at api.example.org/v10"],
        _service("api", paths=["/v1", "/v10"]),
        _service("api", paths=["/v1"]),
    ),
    Case(
        "the whole host",
        ["weaker: port 8080 of api is now public at api.example.org, and not only /v1"],
        _service("api", paths=["/"]),
        _service("api", paths=["/v1"]),
    ),
    Case(
        "a secret",
        [
            "weaker: api can now read secret/data/shop/api/payments",
            "stronger: api can no longer read secret/data/shop/api/smtp",
        ],
        _service("api", secrets={"payments": {"generate": ["key"]}}),
    ),
    Case(
        "rights on the cluster",
        [
            "weaker: api may now get configmaps of the Kubernetes API in shop",
            "weaker: api may now list configmaps of the Kubernetes API in shop",
            "weaker: the pods of api now hold a token of the Kubernetes API",
            "weaker: api may now reach 10.0.0.1/32:443",
            "weaker: api may now reach 10.0.0.1/32:6443",
        ],
        Files(
            {"api": {"kubernetesApi": [{"resources": ["configmaps"], "verbs": ["get", "list"]}]}},
            {"apiServerCidrs": ["10.0.0.1/32"]},
        ),
    ),
    Case(
        "a right in every namespace",
        [
            "weaker: the right of api to list nodes, which may lead to more, lasts until 2026-02-01",
            "weaker: api may now list nodes of the Kubernetes API in every namespace",
        ],
        _reading_services("nodes", ["get", "list"]),
        _reading_services("nodes", ["get"]),
    ),
    Case(
        "a right of a group",
        [
            "stronger: the right of api to delete deployments.apps, which may lead to more, has ended",
            "stronger: api may no longer delete deployments.apps of the Kubernetes API in shop",
        ],
        Files(
            {"api": {"kubernetesApi": [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}]}},
            {"apiServerCidrs": ["10.0.0.1/32"]},
        ),
        Files(
            {
                "api": {
                    "kubernetesApi": [
                        {
                            "apiGroups": ["apps"],
                            "resources": ["deployments"],
                            "verbs": ["get", "delete"],
                            "reason": "it removes what it made in 1.0",
                            "owner": "commerce",
                            "granted": "2026-01-01",
                            "expires": "2026-02-01",
                        }
                    ]
                }
            },
            {"apiServerCidrs": ["10.0.0.1/32"]},
        ),
    ),
    Case(
        "a right that may lead to more for longer",
        [f"weaker: {_PATCH_SERVICES} lasts until 2026-03-01, and not 2026-02-01"],
        _patching_services("2026-03-01"),
        _patching_services("2026-02-01"),
    ),
    Case(
        "a right that may lead to more",
        [
            f"weaker: {_PATCH_SERVICES} lasts until 2026-02-01",
            "weaker: api may now patch services of the Kubernetes API in shop",
            "weaker: the pods of api now hold a token of the Kubernetes API",
            "weaker: api may now reach 10.0.0.1/32:443",
            "weaker: api may now reach 10.0.0.1/32:6443",
        ],
        _patching_services("2026-02-01"),
    ),
    Case("a directory", ["stronger: redis may no longer write to /data"], SMALL, _service("redis", writable=["/data"])),
    Case(
        "a tag",
        [
            "neutral: the image of web goes from registry.example.org/shop/web:v1 to registry.example.org/shop/web:v2",
        ],
        _service("web", image="registry.example.org/shop/web:v2"),
    ),
    Case(
        "another repository",
        [
            "weaker: the image of web goes from registry.example.org/shop/web:v1 to registry.example.org/other/web:v1",
        ],
        _service("web", image="registry.example.org/other/web:v1"),
    ),
    Case(
        "who runs it and what it speaks",
        [
            "neutral: the protocol of web goes from http to tcp",
            "neutral: the team of web goes from commerce to ops",
            "neutral: the user id of web goes from 1000 to 999",
        ],
        _service("web", protocol="tcp", team="ops", runAsUser=999),
    ),
    Case(
        "an exception",
        [f"weaker: web is now excepted from {_ROOT_FILESYSTEM}, until 2026-03-01"],
        _service("web", exceptions=[_EXCEPTION]),
    ),
    Case(
        "a longer exception",
        [f"weaker: the exception of web from {_ROOT_FILESYSTEM} ends on 2026-03-20, and no longer on 2026-03-01"],
        _service("web", exceptions=[{**_EXCEPTION, "expires": "2026-03-20"}]),
        _service("web", exceptions=[_EXCEPTION]),
    ),
    Case(
        "an exception less",
        [f"stronger: web is no longer excepted from {_ROOT_FILESYSTEM}"],
        SMALL,
        _service("web", exceptions=[_EXCEPTION]),
    ),
    Case(
        "a right in a database",
        ["weaker: api may now DELETE on table public.orders of database orders"],
        _database([{**_GRANT, "privileges": ["SELECT", "DELETE"]}]),
        _database([_GRANT]),
    ),
    Case(
        "every table",
        [
            "weaker: api may now SELECT on every table in schema public of database orders, and not only public.orders",
            "weaker: api may now USAGE on sequence public.ids of database orders",
        ],
        _database([{**_GRANT, "tables": "all", "sequences": ["ids"]}]),
        _database([_GRANT]),
    ),
    Case(
        "a database",
        [
            "weaker: the place of database orders is 10.0.9.9:5432/shop",
            "weaker: api may now SELECT on table public.orders of database orders",
            "weaker: api may now reach 10.0.9.9/32:5432",
            "weaker: the proxy of api now lets it reach orders.invalid:5432 (TCP) outside the cluster",
            "weaker: api can now read database/creds/shop.api",
        ],
        _database([_GRANT]),
    ),
    Case(
        "another database",
        [
            "weaker: the administrator of database orders goes from vault to root",
            "weaker: the authority behind the certificate of database orders goes from public to /vault/tls/ca.crt",
            "weaker: the place of database orders goes from 10.0.9.9:5432/shop to 10.0.9.8:5432/shop",
            "weaker: the life in seconds without renewal of a database user of api goes from 1800 to 3600",
            "weaker: the longest life in seconds of a database user of api goes from 43200 to 86400",
            "weaker: api may now reach 10.0.9.8/32:5432",
            "stronger: api may no longer reach 10.0.9.9/32:5432",
        ],
        _database([_GRANT], {"host": "10.0.9.8", "adminUser": "root", "caCertFile": "/vault/tls/ca.crt"}),
        _database([_GRANT], ttl="30m", maxTtl="12h"),
    ),
]
