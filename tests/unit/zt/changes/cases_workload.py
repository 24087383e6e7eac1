"""The cases of `zt diff` that change how a service's workload runs, what it keeps and which jobs it has."""

from typing import Any

from tests.unit.zt.changes.files import SMALL, Case, Files

_DATABASE = {"host": "10.0.9.9", "database": "shop", "adminUser": "vault"}
_GRANT = {"schema": "public", "privileges": ["SELECT"], "tables": ["orders"]}
_PROBES = "readiness a connection in 0+3x5 s; liveness a connection in 10+6x10 s"
_END = "SIGTERM after 0 s, SIGKILL after 30 s"
_USUAL, _MORE = "cpu 100m, memory 128Mi", "cpu 500m, memory 0.2Gi"
_LIMITS = "limits cpu 500m, memory 256Mi"
_JOB = {"calls": ["redis"], "secrets": ["smtp"]}

_IMAGE = "registry.example.org/shop/web:v1"
_SECRETS = {"a": {"generate": ["x"]}, "b": {"generate": ["x"]}}
_WORK = {"work": {"path": "/work"}}
_EXPORTER = {"port": 9187, "secrets": ["a"], "scratch": ["work"]}
_WITH_DEVICE = f"requests {_USUAL}, nvidia.com/gpu 1; {_LIMITS}, nvidia.com/gpu 1"
_PATCH = {
    "reason": "nothing else says it",
    "owner": "ann",
    "granted": "2026-11-01",
    "expires": "2026-12-01",
    "containers": {"web": {"tty": True}},
}
_PATCHED = 'the patch of the pods of web, {"containers": {"web": {"tty": true}}},'
_SCALED = "2 to 6 pods at 80 % of the CPU request"
_GPU = (
    "gpu (nodes with pool=gpu; tolerates pool=gpu:NoSchedule; priority high; runtime nvidia; devices 1 nvidia.com/gpu; "
    "spread DoNotSchedule)"
)
_CLASSES: dict[str, Any] = {
    "placement": {
        "gpu": {
            "nodeSelector": {"pool": "gpu"},
            "tolerations": [{"key": "pool", "value": "gpu", "effect": "NoSchedule"}],
            "priorityClass": "high",
            "runtimeClass": "nvidia",
            "resources": {"nvidia.com/gpu": 1},
            "spread": "DoNotSchedule",
        },
        "small": {"nodeSelector": {"pool": "small"}},
    }
}
_DATA = {"data": {"path": "/data", "size": "1Gi"}}


def _secret_env(expires: str, **variables: str) -> Files:
    days = {key: _PATCH[key] for key in ("reason", "owner", "granted")}
    section = {"variables": variables, **days, "expires": expires}
    return _service("web", secrets=_SECRETS, command=["serve"], secretEnv=section)


def _service(name: str, **keys: Any) -> Files:
    return Files({name: keys})


def _with_job(**keys: Any) -> Files:
    wanted = {"connection": "orders", "grants": [_GRANT]}
    return Files({"api": {"database": wanted, "jobs": {"m": keys}}}, {"databases": {"orders": _DATABASE}})


def _served(place: dict[str, Any], callers: list[str]) -> Files:
    database = {"database": "shop", "adminUser": "vault", **place}
    users = {"connection": "orders", "grants": [_GRANT]}
    return Files({"api": {"database": users}, "redis": {"callers": callers}}, {"databases": {"orders": database}})


def _with_databases(of_job: dict[str, Any], **databases: Any) -> Files:
    wanted = {"connection": "orders", "grants": [_GRANT]}
    known = {"orders": _DATABASE, "audit": {**_DATABASE, "host": "10.0.9.8"}}
    jobs = {"m": {"databases": of_job}}
    return Files({"api": {"database": wanted, "databases": databases, "jobs": jobs}}, {"databases": known})


def _with_dump(**own: Any) -> Files:
    return _service("api", jobs={"m": {"ownVolumes": own}})


WORKLOAD_CASES = [
    Case(
        "more pods by their load",
        [
            "stronger: the least number of pods of web goes from 2 to 3",
            "neutral: the autoscaling of web goes from off to 3 to 6 pods at 80 % of the CPU request",
        ],
        _service("web", autoscaling={"min": 3, "max": 6}),
    ),
    Case(
        "more pods by their memory",
        [
            f"neutral: the autoscaling of web goes from {_SCALED} to {_SCALED} and 70 % of the memory request",
        ],
        _service("web", autoscaling={"max": 6, "memory": 70}),
        _service("web", autoscaling={"max": 6}),
    ),
    Case(
        "one pod alone",
        ["weaker: the least number of pods of web goes from 2 to 1"],
        _service("web", replicas=1),
    ),
    Case(
        "a probe",
        [f"neutral: the probes of web goes from {_PROBES} to {_PROBES}; startup GET /up at port 9001 in 0+60x5 s"],
        _service("web", probes={"startup": {"path": "/up", "port": 9001}}),
    ),
    Case(
        "a probe by a command",
        [
            f"neutral: the probes of web goes from {_PROBES} to "
            + _PROBES.replace("readiness a connection", "readiness bin/ready -q")
        ],
        _service("web", probes={"readiness": {"command": ["bin/ready", "-q"]}}),
    ),
    Case(
        "a probe of gRPC's own",
        [
            f"neutral: the probes of web goes from {_PROBES} to "
            + _PROBES.replace("readiness a connection", "readiness the gRPC health of shop.Cart")
        ],
        _service("web", probes={"readiness": {"grpc": "shop.Cart"}}),
    ),
    Case(
        "the end of a pod, and what it knows of itself",
        [
            f"neutral: the end of the pods of web goes from {_END} to SIGTERM after 5 s, SIGKILL after 60 s",
            "neutral: the environment of web goes from none to POD_NAME=the pod's name",
        ],
        _service("web", stop={"delay": "5s", "within": "1m"}, podEnv={"POD_NAME": "name"}),
    ),
    Case(
        "resources",
        [
            f"neutral: the resources of web goes from requests {_USUAL}; {_LIMITS} to requests {_MORE}; {_LIMITS}",
        ],
        _service("web", resources={"requests": {"cpu": "500m", "memory": "0.2Gi"}}),
    ),
    Case(
        "a class of nodes",
        [
            f"weaker: the placement of web goes from any node to {_GPU}",
            f"neutral: the resources of web goes from requests {_USUAL}; {_LIMITS} to {_WITH_DEVICE}",
        ],
        Files({"web": {"placement": {"class": "gpu"}}}, _CLASSES),
        Files({}, _CLASSES),
    ),
    Case(
        "a class of nodes for a job",
        ["weaker: the placement of api-m goes from any node to small (nodes with pool=small)"],
        Files({"api": {"jobs": {"m": {"placement": {"class": "small"}}}}}, _CLASSES),
        Files({"api": {"jobs": {"m": {}}}}, _CLASSES),
    ),
    Case(
        "credentials of a registry",
        [
            f"neutral: the Secret that images are pulled with of {name} goes from none to pull"
            for name in ("api", "redis", "web")
        ],
        Files({}, {"pullSecrets": {"registry.example.org": "pull"}}),
    ),
    Case(
        "a patch of the pods",
        [f"weaker: {_PATCHED} lasts until 2026-12-01"],
        _service("web", patch=_PATCH),
    ),
    Case(
        "a patch that lasts longer",
        [f"weaker: {_PATCHED} lasts until 2026-12-24, and not 2026-12-01"],
        _service("web", patch={**_PATCH, "expires": "2026-12-24"}),
        _service("web", patch=_PATCH),
    ),
    Case(
        "a patch less",
        [f"stronger: {_PATCHED} has ended"],
        SMALL,
        _service("web", patch=_PATCH),
    ),
    Case(
        "a secret in the environment",
        [
            "weaker: the variable A_KEY of web with the secret a/x lasts until 2026-12-24, and not 2026-12-01",
            "weaker: the variable B_KEY of web with the secret b/x lasts until 2026-12-24",
        ],
        _secret_env("2026-12-24", A_KEY="a/x", B_KEY="b/x"),
        _secret_env("2026-12-01", A_KEY="a/x"),
    ),
    Case(
        "a secret in the environment less",
        ["stronger: the variable A_KEY of web with the secret a/x has ended"],
        _service("web", secrets=_SECRETS, command=["serve"]),
        _secret_env("2026-12-01", A_KEY="a/x"),
    ),
    Case(
        "volumes",
        [
            "weaker: web now keeps what is written to /data, each of its pods by itself",
            "weaker: web now keeps what is written to /media, all of its pods together",
            "neutral: the storage of web goes from none to data 1Gi of class default, media 2Gi of class nfs",
        ],
        _service(
            "web",
            volumes={
                "data": {"path": "/data", "size": "1Gi"},
                "media": {"path": "/media", "size": "2Gi", "storageClass": "nfs", "accessMode": "ReadWriteMany"},
            },
        ),
    ),
    Case(
        "directories of the image that it may write to",
        [
            "weaker: web may now write to /etc/nginx",
            "neutral: the list of directories that are copied from the image of web goes from none to /etc/nginx",
        ],
        _service("web", writableCopies=["/etc/nginx"]),
    ),
    Case(
        "a job with a volume of its own",
        [
            "weaker: api-m now keeps what is written to /dump, one of its pods after the other",
        ],
        _with_dump(dump={"path": "/dump", "size": "1Gi"}),
        _with_dump(),
    ),
    Case(
        "a volume less",
        [
            "stronger: web no longer keeps what is written to /data, each of its pods by itself",
            "neutral: the storage of web goes from data 1Gi of class default to none",
        ],
        SMALL,
        _service("web", volumes={"data": {"path": "/data", "size": "1Gi"}}),
    ),
    Case(
        "what the program is given",
        [
            "neutral: the command of web goes from the image's own to bin/web -v",
            "neutral: the configuration of web goes from none to digest 8fb20ef63ced4145 at /etc/config",
            "neutral: the environment of web goes from none to LOG_LEVEL=info",
        ],
        _service("web", command=["bin/web"], args=["-v"], env={"LOG_LEVEL": "info"}, config={"files": {"a": "b"}}),
    ),
    Case(
        "other authorities",
        ["weaker: the source of the authorities that count of web goes from the image to ConfigMap org-ca (ca.crt)"],
        _service("web", caBundle={"configMap": "org-ca"}),
    ),
    Case(
        "a container beside it",
        [
            "weaker: web.exporter can now read secret/data/shop/web/a",
            "weaker: the pods of web now run web.exporter beside it",
            "weaker: web may now write to /work",
            "weaker: web.exporter may now write to /work",
        ],
        _service("web", secrets=_SECRETS, scratch=_WORK, sidecars={"exporter": _EXPORTER}),
        _service("web", secrets=_SECRETS),
    ),
    Case(
        "a container that is another one",
        [
            f"weaker: the image of web.exporter goes from {_IMAGE} to registry.example.org/shop/other:v1",
            "stronger: web.exporter can no longer read secret/data/shop/web/a",
            "neutral: the shared scratch space of web goes from /work of 256Mi to /work of 1Gi",
        ],
        _service(
            "web",
            secrets=_SECRETS,
            scratch={"work": {"path": "/work", "size": "1Gi"}},
            sidecars={"exporter": {"port": 9187, "scratch": ["work"], "image": "registry.example.org/shop/other:v1"}},
        ),
        _service("web", secrets=_SECRETS, scratch=_WORK, sidecars={"exporter": _EXPORTER}),
    ),
    Case(
        "a container before it",
        [
            "weaker: the pods of web now run web.fetch before it starts",
            "weaker: web.fetch now keeps what is written to /data, each of its pods by itself",
        ],
        _service("web", volumes=_DATA, init={"fetch": {"volumes": ["data"]}}),
        _service("web", volumes=_DATA),
    ),
    Case(
        "a job",
        [
            "weaker: api-night may now reach redis:6379",
            "weaker: api-night can now read secret/data/shop/api/smtp",
            "neutral: api-night is a new job of api",
            "neutral: the schedule of the jobs of api goes from none to night at 0 3 * * *",
        ],
        _service("api", jobs={"night": {**_JOB, "schedule": "0 3 * * *"}}),
    ),
    Case(
        "a job that may do less",
        [
            "stronger: api-night may no longer reach redis:6379",
            "stronger: api-night can no longer read secret/data/shop/api/smtp",
        ],
        _service("api", jobs={"night": {}}),
        _service("api", jobs={"night": _JOB}),
    ),
    Case(
        "a job with users of the database",
        [
            "weaker: api-m may now SELECT on table public.orders of database orders",
            "weaker: api-m may now reach 10.0.9.9/32:5432",
            "weaker: the proxy of api-m now lets it reach orders.invalid:5432 (TCP) outside the cluster",
            "weaker: api-m can now read database/creds/shop.api",
        ],
        _with_job(database=True),
        _with_job(),
    ),
    Case(
        "a job that owns the schema",
        [
            "weaker: api-m may now create, change and drop what is in schema public of database orders, as its owner",
            "weaker: api-m can now read database/creds/shop.api.database.owner",
            "stronger: api-m may no longer SELECT on table public.orders of database orders",
            "stronger: api-m can no longer read database/creds/shop.api",
        ],
        _with_job(database="owner"),
        _with_job(database=True),
    ),
    Case(
        "a second database, and a job with users there alone",
        [
            "weaker: api may now INSERT on table public.orders of database audit",
            "weaker: api-m may now INSERT on table public.orders of database audit",
            "weaker: api may now reach 10.0.9.8/32:5432",
            "weaker: the proxy of api now lets it reach audit.invalid:5432 (TCP) outside the cluster",
            "weaker: api-m may now reach 10.0.9.8/32:5432",
            "weaker: the proxy of api-m now lets it reach audit.invalid:5432 (TCP) outside the cluster",
            "weaker: api can now read database/creds/shop.api.log",
            "weaker: api-m can now read database/creds/shop.api.log",
        ],
        _with_databases({"log": True}, log={"connection": "audit", "grants": [{**_GRANT, "privileges": ["INSERT"]}]}),
        _with_databases({}),
    ),
    Case(
        "a database that is a service of the stack",
        [
            "weaker: the place of database orders goes from 10.0.9.9:5432/shop to redis.shop.svc:18200/shop",
            "weaker: redis now agrees that vault/vault may call it",
            "weaker: vault/app.kubernetes.io/name=vault,component=server may now reach redis:18200",
            "stronger: api may no longer reach 10.0.9.9/32:5432",
            "stronger: the proxy of api no longer lets it reach orders.invalid:5432 (TCP) outside the cluster",
        ],
        _served({"service": "shop/redis"}, ["api", "vault/vault"]),
        _served({"host": "10.0.9.9"}, ["api"]),
    ),
    Case(
        "users of a second database that live longer",
        ["weaker: the life in seconds without renewal of a database user log of api goes from 1800 to 3600"],
        _with_databases({}, log={"connection": "audit", "grants": [_GRANT]}),
        _with_databases({}, log={"connection": "audit", "grants": [_GRANT], "ttl": "30m"}),
    ),
]
