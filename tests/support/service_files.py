"""Service files over the whole schema: what a team may write, and what is nearly that.

Each value is mostly one that the reference allows, up to its longest, and at times one that is beside it. What the
program makes of a file is its own business: it refuses it, or what it makes must be admitted.
"""

import string
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from components.config.database import DatabaseSettings
from components.config.settings import Settings
from components.program.plan import plan
from components.program.stack import read_stack
from components.service.args.service import SecureServiceArgs
from components.service.file.lifecycle import POD_FIELDS
from components.service.file.storage import SHARED_MEMORY
from tests.support.service_values import (
    CPU,
    DURATIONS,
    FILES,
    HOSTS,
    IMAGES,
    LINES,
    LOWER,
    MEMORY,
    PATCH,
    PATHS,
    PLACES,
    PORTS,
    SCHEDULES,
    SECRET_ENV,
    SHARED_HOST,
    SIZES,
    TEXT,
    WORDS,
    Values,
    labels,
    mostly,
    word,
)

File = dict[str, Any]

NAMESPACE = "files"
BESIDE = {
    name: {
        "namespace": NAMESPACE,
        "team": "commerce",
        "image": "registry.example.org/shop/beside:v1",
        "port": 8080,
        "protocol": protocol,
        "ports": {"admin": 9001},
    }
    for name, protocol in (("backend", "http"), ("cache", "tcp"))
}
"""The services that a file may call, and that agree to it."""
OWNER = "front/site"
SITE = {**BESIDE["backend"], "namespace": "front", "host": SHARED_HOST, "paths": ["/site"]}
"""The service of another namespace whose host a file may share, and that agrees to it."""

_SERVERS = {
    "main": {"host": "10.0.0.9", "database": "shop"},
    "maria": {"engine": "mariadb", "host": "10.0.0.8", "database": "shop"},
    "cache": {"engine": "redis", "host": "127.0.0.1", "tls": False, "adminSecret": "cache"},
}
DATABASES_OF_THE_STACK = {
    name: DatabaseSettings.model_validate({**server, "adminUser": "vault"}) for name, server in _SERVERS.items()
}
PLACEMENT = {
    "gpu": {
        "nodeSelector": {"node-pool": "gpu"},
        "tolerations": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}, {"key": "pool", "value": "gpu"}],
        "priorityClass": "files-high",
        "runtimeClass": "files-gpu",
        "resources": {"nvidia.com/gpu": 2},
        "spread": "DoNotSchedule",
    },
    "closed": {"nodeSelector": {"node-pool": "closed"}, "namespaces": ["elsewhere"]},
}
"""The classes of nodes of a stack that these files are read for."""

AMOUNTS = st.fixed_dictionaries({}, optional={"cpu": CPU, "memory": MEMORY, "ephemeralStorage": SIZES})
RESOURCES = st.fixed_dictionaries({}, optional={"requests": AMOUNTS, "limits": AMOUNTS})
VOLUMES = st.fixed_dictionaries(
    {"path": PLACES, "size": SIZES},
    optional={
        "storageClass": labels(),
        "accessMode": st.sampled_from(["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]),
    },
)
PROBE = st.one_of(
    st.fixed_dictionaries({"path": PATHS}, optional={"port": PORTS}),
    st.fixed_dictionaries({"command": WORDS}),
    st.fixed_dictionaries({"grpc": mostly(st.just(""), st.just("shop.Orders"), seldom=TEXT)}),
    st.fixed_dictionaries(
        {},
        optional={
            "initialDelaySeconds": st.integers(-1, 700),
            "periodSeconds": st.integers(0, 700),
            "timeoutSeconds": st.integers(0, 70),
            "failureThreshold": st.integers(0, 300),
        },
    ),
)
FIELDS = mostly(
    st.sampled_from(["password", "api_key", "user"]), word(string.ascii_lowercase, LOWER + "_", LOWER, 60), seldom=TEXT
)
SECRETS = st.fixed_dictionaries(
    {"generate": st.lists(FIELDS, min_size=1, max_size=3, unique=True)},
    optional={"values": st.dictionaries(st.sampled_from(["host", "username"]), TEXT, max_size=2), "file": FILES},
)
SCHEMAS = mostly(st.sampled_from(["orders", "public"]), seldom=st.one_of(st.just("pg_catalog"), TEXT))
GRANTS = st.fixed_dictionaries(
    {
        "schema": SCHEMAS,
        "privileges": st.lists(st.sampled_from(["SELECT", "INSERT", "UPDATE", "DELETE"]), min_size=1, max_size=3),
        "tables": mostly(st.just("all"), st.just(["items"]), seldom=st.lists(TEXT, max_size=2)),
    },
    optional={"sequences": st.just("all")},
)
PREFIXES = mostly(st.sampled_from(["orders:", "a"]), seldom=TEXT)
RIGHTS_ON_KEYS = st.lists(st.sampled_from(["READ", "WRITE"]), max_size=2)
KEY_GRANTS = st.fixed_dictionaries({"prefix": PREFIXES, "privileges": RIGHTS_ON_KEYS})
CACHES = st.fixed_dictionaries(
    {"connection": mostly(st.just("cache"), seldom=st.just("main")), "keys": st.lists(KEY_GRANTS, max_size=2)},
    optional={"channels": st.lists(PREFIXES, max_size=2), "scripts": st.booleans()},
)
TABLES = st.fixed_dictionaries(
    {
        "connection": mostly(st.sampled_from(["main", "maria"]), seldom=labels()),
        "grants": st.lists(GRANTS, min_size=1, max_size=2),
    },
    optional={
        "owns": st.lists(SCHEMAS, max_size=2),
        "ttl": DURATIONS,
        "maxTtl": DURATIONS,
        "file": FILES,
        "files": st.dictionaries(FILES, mostly(st.just("{{ .Data.username }}"), seldom=TEXT), max_size=2),
    },
)
DATABASES = st.one_of(TABLES, CACHES)
JOBS = st.fixed_dictionaries(
    {"command": st.just(["bin/migrate"])},
    optional={
        "schedule": SCHEDULES,
        "args": WORDS,
        "calls": st.just(["backend"]),
        "database": st.sampled_from([True, False, "owner", "admin"]),
        "resources": RESOURCES,
        "retries": st.integers(-1, 11),
        "timeout": DURATIONS,
        "volumes": st.dictionaries(labels(), st.sampled_from(["read", "write", "own"]), max_size=1),
        "ownVolumes": st.dictionaries(labels(), VOLUMES, max_size=2),
    },
)
# What the service has is under these names in many files, and not in others.
SHARED_NAMES = st.lists(st.sampled_from(["work", "orders"]), max_size=2)
CONTAINER: dict[str, Values] = {
    "image": IMAGES,
    "command": WORDS,
    "env": st.dictionaries(st.sampled_from(["LOG_LEVEL", "_x", "node.name"]), LINES, max_size=2),
    "podEnv": st.dictionaries(st.sampled_from(["POD_NAME", "_x"]), st.sampled_from(sorted(POD_FIELDS)), max_size=2),
    "config": st.fixed_dictionaries({"files": st.dictionaries(FILES, LINES, min_size=1, max_size=2)}),
    "secrets": SHARED_NAMES,
    "resources": RESOURCES,
    "runAsUser": mostly(st.just(1500), seldom=st.sampled_from([0, 1337])),
    "writable": st.lists(PLACES, max_size=2),
    "writableCopies": st.lists(PLACES, max_size=2),
    "scratch": SHARED_NAMES,
    "volumes": SHARED_NAMES,
}
INIT = st.fixed_dictionaries({}, optional=CONTAINER)
SIDECARS = st.fixed_dictionaries({"port": PORTS}, optional={**CONTAINER, "health": PATHS})
CONTAINER_NAMES = mostly(st.just("setup"), labels(), seldom=st.sampled_from(["istio-proxy", "vault-agent-init"]))
SCRATCH = st.dictionaries(
    mostly(st.just("work"), seldom=labels()),
    st.fixed_dictionaries(
        {"path": mostly(st.sampled_from(["/work", SHARED_MEMORY]), seldom=PLACES)},
        optional={"size": SIZES, "memory": st.booleans()},
    ),
    max_size=2,
)
RPC = st.sampled_from(["shop.Cart/AddItem", "shop.Cart/*", "Cart/Add"])
CALLS = st.one_of(
    st.just("backend"),
    st.just("cache"),
    st.sampled_from(["backend:admin", "cache:admin"]),
    st.fixed_dictionaries(
        {"service": st.just("backend")},
        optional={
            "port": mostly(st.just("admin"), seldom=st.sampled_from(["http", "", "x" * 16])),
            "methods": st.lists(st.sampled_from(["GET", "POST", "PUT"]), max_size=3),
            "paths": st.lists(PATHS, max_size=2),
        },
    ),
)
EGRESS = st.fixed_dictionaries(
    {"host": HOSTS, "port": PORTS},
    optional={
        "protocol": st.sampled_from(["tls", "https", "http", "tcp"]),
        "cidrs": st.lists(
            st.sampled_from(["203.0.113.0/24", "198.51.100.7/32", "2001:db8::/48", "10.0.0.0/8"]), max_size=2
        ),
    },
)
JWT = st.fixed_dictionaries(
    {
        "issuer": st.sampled_from(
            ["https://login.example.org", "https://id.example.org", "https://login.example.org/a b"]
        ),
        "audiences": mostly(
            st.sampled_from([["shop"], ["shop", "app"]]), seldom=st.lists(TEXT, min_size=1, max_size=2)
        ),
        "jwksUri": st.sampled_from(["https://login.example.org/keys", "https://login.example.org:8443/keys"]),
    },
    optional={
        "requiredClaims": st.dictionaries(mostly(st.just("role"), seldom=TEXT), st.lists(TEXT, max_size=2), max_size=2),
        "forwardToken": st.booleans(),
    },
)
RIGHTS = st.fixed_dictionaries(
    {
        "resources": st.lists(
            st.sampled_from(["configmaps", "pods", "services", "leases", "secrets"]), min_size=1, max_size=2
        ),
        "verbs": st.lists(st.sampled_from(["get", "list", "watch", "create", "*"]), min_size=1, max_size=2),
    },
    optional={"clusterWide": st.booleans()},
)
RUN = st.fixed_dictionaries({}, optional={"schedule": SCHEDULES, "retries": st.integers(-1, 11), "timeout": DURATIONS})
HEADER_NAMES = mostly(st.sampled_from(["Authorization", "X-Page", "*"]), seldom=TEXT)
STICKY = st.fixed_dictionaries({}, optional={"cookie": HEADER_NAMES, "header": HEADER_NAMES})
ORIGINS = mostly(
    st.sampled_from(["https://shop.example.org", "https://a.example.org:8443", "http://localhost:3000", "*"]),
    seldom=st.one_of(
        st.sampled_from(["https://shop.example.org/", "https://*.example.org", "http://shop.example.org", "null"]), TEXT
    ),
)
CORS = st.fixed_dictionaries(
    {"origins": st.lists(ORIGINS, min_size=1, max_size=2)},
    optional={
        "methods": st.lists(st.sampled_from(["GET", "PUT", "DELETE", "PATCH"]), max_size=3),
        "headers": st.lists(HEADER_NAMES, max_size=2),
        "exposeHeaders": st.lists(HEADER_NAMES, max_size=2),
        "credentials": st.booleans(),
        "maxAge": DURATIONS,
    },
)
RETRIES = st.fixed_dictionaries(
    {"attempts": st.integers(0, 11)},
    optional={"codes": st.lists(st.integers(499, 600), max_size=2), "each": DURATIONS, "backoff": DURATIONS},
)
ROUTES = st.fixed_dictionaries(
    {"path": PATHS},
    optional={
        "rewrite": PATHS,
        "timeout": DURATIONS,
        "retries": RETRIES,
        "cors": CORS,
        "token": mostly(st.just("none"), seldom=TEXT),
    },
)
FURTHER_PORTS = st.dictionaries(
    mostly(
        st.sampled_from(["admin", "grpc", "tcp", "a", "0a"]),
        st.text(LOWER + "-", min_size=1, max_size=15),
        seldom=st.sampled_from(["http-metrics", "a--b", "8080", "Admin", "a" * 16, "-a", "a_b"]),
    ),
    st.one_of(
        PORTS,
        st.fixed_dictionaries(
            {"port": PORTS},
            optional={
                "protocol": st.sampled_from(["http", "http2", "grpc", "tcp", "udp"]),
                "sticky": STICKY,
                "host": HOSTS,
                "paths": st.lists(st.one_of(PATHS, ROUTES), max_size=2),
            },
        ),
    ),
    max_size=3,
)
HEADERS = st.one_of(
    st.just("none"),
    st.dictionaries(
        mostly(st.sampled_from(["X-Frame-Options", "Cache-Control"]), seldom=TEXT),
        mostly(st.just("DENY"), seldom=TEXT),
        max_size=2,
    ),
)
OPTIONAL: dict[str, Values] = {
    "sticky": STICKY,
    "protocol": st.sampled_from(["http", "http2", "grpc", "tcp"]),
    "ports": FURTHER_PORTS,
    "host": HOSTS,
    "aliases": st.lists(HOSTS, max_size=2),
    "paths": st.lists(st.one_of(PATHS, ROUTES), min_size=1, max_size=3),
    "hostOwner": mostly(st.just(OWNER), seldom=TEXT),
    "hostUsers": st.dictionaries(
        mostly(st.just(OWNER), seldom=TEXT), st.lists(PATHS, min_size=1, max_size=2), max_size=1
    ),
    "securityHeaders": HEADERS,
    "maxRequestBytes": mostly(st.just("none"), st.integers(1, 2**31), seldom=st.integers(-1, 2**64)),
    "calls": st.lists(CALLS, max_size=2),
    "peers": st.lists(PORTS, max_size=2),
    "startInOrder": st.booleans(),
    "callers": st.lists(mostly(st.sampled_from(["backend", "cache"]), seldom=TEXT), max_size=2),
    "egress": st.lists(EGRESS, max_size=2),
    "jwt": st.one_of(JWT, st.lists(JWT, min_size=1, max_size=2)),
    "metrics": st.fixed_dictionaries({"port": PORTS}, optional={"path": PATHS}),
    "secrets": st.dictionaries(mostly(st.just("work"), labels(), seldom=st.just("file-x")), SECRETS, max_size=2),
    "database": DATABASES,
    "databases": st.dictionaries(labels(), DATABASES, max_size=2),
    "replicas": st.one_of(st.integers(-1, 11), st.integers(90, 110)),
    "autoscaling": st.fixed_dictionaries(
        {"max": st.integers(0, 10)},
        optional={"min": st.integers(0, 10), "cpu": st.integers(0, 101), "memory": st.integers(0, 101)},
    ),
    "resources": RESOURCES,
    "placement": st.fixed_dictionaries({"class": mostly(st.just("gpu"), seldom=st.sampled_from(["closed", "x", ""]))}),
    "command": WORDS,
    "args": WORDS,
    "env": st.dictionaries(
        mostly(st.sampled_from(["LOG_LEVEL", "_x", "a1", "node.name", "-a"]), seldom=TEXT), LINES, max_size=2
    ),
    "podEnv": st.dictionaries(
        mostly(st.sampled_from(["POD_NAME", "_x", "LOG_LEVEL"]), seldom=TEXT),
        mostly(st.sampled_from(sorted(POD_FIELDS)), seldom=st.sampled_from(["labels", "metadata.name", ""])),
        max_size=3,
    ),
    "stop": st.fixed_dictionaries({}, optional={"delay": DURATIONS, "within": DURATIONS}),
    "secretEnv": SECRET_ENV,
    "leaderElection": st.booleans(),
    "config": st.fixed_dictionaries(
        {"files": st.dictionaries(FILES, LINES, min_size=1, max_size=2)}, optional={"path": PLACES}
    ),
    "health": PATHS,
    "probes": st.fixed_dictionaries({}, optional={"readiness": PROBE, "liveness": PROBE, "startup": PROBE}),
    "runAsUser": mostly(st.integers(1, 65535), seldom=st.sampled_from([0, 1337, 65536, -1])),
    "writable": st.lists(PLACES, max_size=2),
    "writableCopies": st.lists(PLACES, max_size=2),
    "volumes": st.dictionaries(mostly(st.just("work"), labels(), seldom=st.just("a.b")), VOLUMES, max_size=2),
    "caBundle": st.fixed_dictionaries({"configMap": labels()}, optional={"key": FILES, "path": PLACES}),
    "init": st.dictionaries(CONTAINER_NAMES, INIT, max_size=2),
    "sidecars": st.dictionaries(CONTAINER_NAMES, SIDECARS, max_size=2),
    "scratch": SCRATCH,
    "jobs": st.dictionaries(labels(), JOBS, max_size=2),
    "kubernetesApi": st.lists(RIGHTS, max_size=1),
    "patch": PATCH,
    "component": labels(),
    "costCenter": labels(),
}


@st.composite
def service_files(draw: st.DrawFn) -> tuple[str, File]:
    """The name of a service and its file: the keys that it must have, and up to five of the others.

    Most are services with a port, some are workers, and some are programs that end.
    """
    keys = draw(st.lists(st.sampled_from(sorted(OPTIONAL)), max_size=5, unique=True))
    probe = {"command": ["bin/well"]}
    kind = draw(
        mostly(
            st.fixed_dictionaries({"port": PORTS}),
            st.fixed_dictionaries({"port": PORTS}),
            st.just({"probes": {"readiness": probe, "liveness": probe}}),
            st.fixed_dictionaries({"run": RUN}),
            seldom=st.just({}),
        )
    )
    file = {
        "namespace": NAMESPACE,
        "team": "commerce",
        "image": draw(IMAGES),
        **kind,
        **{key: draw(OPTIONAL[key]) for key in keys},
    }
    return draw(labels()), file


def planned(
    root: Path, name: str, file: File, settings: Settings, environment: str = "production"
) -> SecureServiceArgs:
    """The arguments of the service, as `pulumi up` plans them from its file below `root`. Raises `ConfigError`."""
    folder = root / "services"
    folder.mkdir(exist_ok=True)
    beside = {each: {**content, "callers": [name, f"{name}:admin"]} for each, content in BESIDE.items()}
    site = {"site": {**SITE, "hostUsers": {f"{NAMESPACE}/{name}": ["/"]}} if "hostOwner" in file else SITE}
    for each, content in {**beside, **site, "file": {"name": name, **file}}.items():
        (folder / f"{each}.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    known = settings.model_copy(update={"databases": DATABASES_OF_THE_STACK})
    services = plan(read_stack(root, f"Pulumi.{environment}.yaml", known)).services
    return next(args for args in services if args.name == name)
