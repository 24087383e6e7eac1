"""Service files with many features at once, each as the reference allows it: longest names, values of any text.

Those of `service_files` are beside the rules at times, and have few keys. In these the keys name each other: jobs with
the service's databases, sidecars with its secrets, calls from jobs, routes with tokens of several issuers.
"""

import string
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from hypothesis import strategies as st

from components.service.file.lifecycle import POD_FIELDS
from tests.support.service_files import NAMESPACE, File
from tests.support.service_values import LOWER, TEXT, Values, mostly, word

DAYS = {"reason": "nothing else does", "owner": "ann", "granted": date(2026, 11, 1), "expires": date(2026, 12, 1)}
IMAGE = "registry.example.org/shop/orders:v1"


def names(longest: int, most: int = 3, least: int = 1) -> Values:
    """Different names of up to that length."""
    label = word(string.ascii_lowercase, LOWER + "-", LOWER, longest).filter(lambda name: not name.startswith("file-"))
    short = st.sampled_from(["data", "work", "a", "config", "setup", "own", "peers", "acme", "x-1"])
    return st.lists(st.one_of(short, label), min_size=least, max_size=most, unique=True)


def of(keys: Values, value: Values) -> Values:
    """A mapping with these keys."""
    return keys.flatmap(lambda drawn: st.fixed_dictionaries(dict.fromkeys(drawn, value)))


PROSE = st.one_of(TEXT, st.just("ä" * 300), st.just("{{ $$(POD) $(pod) }} \\ \" '"))
VARIABLES = st.lists(
    word(string.ascii_letters + "_", string.ascii_letters + string.digits + "_", LOWER, 80).filter(
        lambda name: (
            not any(part in name.lower() for part in ("pass", "pwd", "token", "secret", "key", "cred", "priv", "jwk"))
        )
    ),
    min_size=1,
    max_size=4,
    unique_by=str.lower,
)
FILE_NAMES = st.lists(
    st.one_of(st.sampled_from(["a", "app.yaml"]), word(LOWER, LOWER + "-._", LOWER, 63)),
    min_size=4,
    max_size=4,
    unique=True,
)
CONFIG = st.fixed_dictionaries(
    {
        "path": st.sampled_from(["/etc/config", "/etc/app", "/srv/ä"]),
        "files": of(
            st.lists(word(string.ascii_letters, LOWER + "-._", LOWER, 253), min_size=1, max_size=3, unique=True), PROSE
        ),
    }
)
# At times in the way of what is mounted already, or below what is read-only.
WRITABLE = mostly(
    st.just(["/var/cache", "/srv/a b"]),
    seldom=st.sampled_from(
        [["/etc/ssl/ä"], ["/etc/ssl/ä/x"], ["/etc/config/x"], ["/scratch/0"], ["/data/0"], ["/etc"]]
    ),
)
COPIES = mostly(st.just([]), seldom=st.sampled_from([["/srv/ä"], ["/copy/x", "/srv"], ["/var/cache"]]))
RESOURCES = st.sampled_from(
    [
        {},
        {"limits": {"memory": "64Mi"}},
        {"requests": {"cpu": "600m"}},
        {"limits": {"cpu": "2", "memory": "1Gi", "ephemeralStorage": "1Gi"}},
    ]
)
COMMAND = {"command": ["bin/well"]}
TIMES = st.sampled_from(
    [{}, {"periodSeconds": 600, "timeoutSeconds": 60, "failureThreshold": 240, "initialDelaySeconds": 600}]
)
PROBE = st.one_of(
    st.just(COMMAND),
    st.sampled_from([{"path": "/up?x=1", "port": 9999}, {"grpc": "", "port": 65535}, {"port": 1}]),
).flatmap(lambda probe: TIMES.map(lambda times: {**probe, **times}))
PROBES = st.fixed_dictionaries({"readiness": PROBE, "liveness": PROBE}, optional={"startup": PROBE})
CIDRS = st.lists(
    st.sampled_from(["203.0.113.0/24", "2001:db8::/48", "10.0.0.0/8", "2001:db8:1::7/128", "198.51.100.7/32"]),
    min_size=1,
    max_size=3,
    unique=True,
)
SCHEDULE = st.sampled_from(["*/5 * * * *", "0 3 1,15 jan-jun mon", "15 */6 * * 1-5", "59 23 31 12 *"])
TOKENS = st.lists(
    st.sampled_from(["https://a.example.org", "https://[2001:db8::1]:8443/realms/x", "https://b.example.org/"]),
    min_size=1,
    max_size=3,
    unique=True,
).map(
    lambda issuers: [
        {
            "issuer": issuer,
            "audiences": ["shop", "ä b"],
            "jwksUri": "https://a.example.org/keys",
            "requiredClaims": {"role": ["x"]},
        }
        for issuer in issuers
    ]
)
PATHS = st.lists(
    st.sampled_from(["/", "/v1", "/v1/users", "/a.b~c", "/A%20", "/" + "p" * 1023, "/open", "/files/"]),
    min_size=1,
    max_size=6,
    unique_by=lambda path: path.rstrip("/"),
)
ROUTE = st.fixed_dictionaries(
    {},
    optional={
        "rewrite": st.just("/api"),
        "timeout": st.just("1h"),
        "retries": st.just({"attempts": 10, "codes": [503], "each": "1s", "backoff": "1s"}),
        "cors": st.just(
            {
                "origins": ["https://shop.example.org"],
                "methods": ["PUT"],
                "headers": ["Authorization"],
                "credentials": True,
            }
        ),
    },
)


ALIASES = st.lists(
    st.sampled_from(["10.0.0.9", "2001:db8::7", "2001:0db8::0007"]), min_size=1, max_size=2, unique=True
).map(lambda found: [{"ip": address, "hostnames": ["old", "a.example.org"]} for address in found])


def public(draw: st.DrawFn, file: File) -> None:
    domain = draw(st.sampled_from(["example.org", ".".join(["d" * 60] * 3)]))
    file["host"] = f"orders.{domain}.org"
    file["aliases"] = [f"{name}.{domain}.org" for name in draw(names(20, most=15))]
    file["securityHeaders"] = draw(
        st.sampled_from(["none", {f"X-{n}": "v" * 4096 for n in range(9)}, {"X-Frame-Options": "DENY"}])
    )
    file["maxRequestBytes"] = draw(st.sampled_from(["none", 1, 1 << 30]))
    if file["protocol"] == "grpc":
        file["paths"] = draw(st.sampled_from([["/"], ["/shop.Cart"], ["/shop.Cart/Add", "/shop.Other"]]))
        return
    paths = draw(PATHS)
    file["paths"] = [path if path == "/" or draw(st.booleans()) else {"path": path, **draw(ROUTE)} for path in paths]
    if draw(st.booleans()):
        file["jwt"] = draw(TOKENS)
        file["paths"] = [
            {"path": "/nothing-needed", "token": "none"},
            *(path for path in file["paths"] if path != "/"),
        ]


def connected(draw: st.DrawFn, file: File) -> None:
    file["calls"] = draw(
        st.sampled_from(
            [["backend"], ["backend:admin", "cache"], [{"service": "backend", "methods": ["GET"], "paths": ["/a/*"]}]]
        )
    )
    file["egress"] = [
        {
            "host": f"{name}.example.net",
            "port": port,
            "protocol": protocol,
            **({"cidrs": draw(CIDRS)} if protocol == "tcp" else {}),
        }
        for name, port, protocol in zip(
            draw(names(63, least=3)), (443, 80, 5432), draw(st.permutations(["tls", "http", "tcp"])), strict=True
        )
    ]


def listening(draw: st.DrawFn, file: File) -> None:
    numbers = iter(draw(st.lists(st.integers(1, 14999), min_size=8, max_size=8, unique=True)))
    taken = {file["port"]}
    free = (number for number in numbers if number not in taken)
    file["ports"] = {
        name: next(free) for name in draw(names(15, most=3)) if "--" not in name and name != file["protocol"]
    }
    file["peers"] = [next(free), next(free)]
    file["metrics"] = {
        "port": draw(st.sampled_from([next(free)] + ([file["port"]] if file["protocol"] == "http" else [])))
    }
    file["plaintextPorts"] = [{"port": file["port"], "cidrs": draw(CIDRS), **DAYS}]
    file["callers"] = ["backend"]
    if file["protocol"] != "tcp" and draw(st.booleans()):
        file["sticky"] = draw(st.sampled_from([{"cookie": "seat"}, {"header": "X-Seat"}]))


def secret(draw: st.DrawFn, file: File) -> None:
    files = iter(draw(FILE_NAMES))
    made: dict[str, Any] = {}
    for name in draw(names(41, least=2)):
        made[name] = draw(
            st.sampled_from(
                [
                    {"external": ["api_key"]},
                    {"generate": ["password", "p" * 60], "values": {"host": "ä b", "user": "x" * 200}},
                    {"generate": ["password"], "template": "{{ .Data.data | toJSON }}\n" + "ä" * 4000},
                ]
            )
        )
        if draw(st.booleans()):
            made[name] = {**made[name], "file": next(files)}
    file["secrets"] = made
    if draw(st.booleans()):
        fields = [
            f"{name}/{field}"
            for name, kept in made.items()
            for field in (*kept.get("generate", ()), *kept.get("external", ()))
        ]
        file["secretEnv"] = {"variables": of_first(draw(VARIABLES), fields), **DAYS}
        file["command"] = ["bin/run"]


def of_first(keys: list[str], values: list[str]) -> dict[str, str]:
    return {f"S_{key}": values[number % len(values)] for number, key in enumerate(keys)}


GRANT = {"privileges": ["SELECT"], "tables": "all"}
DATABASE = st.sampled_from(
    [
        {"connection": "main", "grants": [{"schema": "orders", **GRANT}]},
        {
            "connection": "main",
            "grants": [{"schema": "a", **GRANT, "sequences": "all"}, {"schema": "B", **GRANT}],
            "owns": ["B"],
        },
        {"connection": "maria", "grants": [{"schema": "shop2", **GRANT}]},
        {"connection": "cache", "keys": [{"prefix": "a:", "privileges": ["READ"]}], "channels": ["b"], "scripts": True},
    ]
)


def database(draw: st.DrawFn, file: File) -> None:
    file["database"] = {"connection": "main", "grants": [{"schema": "orders", **GRANT}]}
    taken = {"database", *file.get("secrets", {})}
    file["databases"] = {name: draw(DATABASE) for name in draw(names(41)) if name not in taken}
    file["databases"] = {
        name: {k: v for k, v in made.items() if k != "owns"} for name, made in file["databases"].items()
    }


def pod(draw: st.DrawFn, file: File) -> None:
    variables = draw(VARIABLES)
    file["env"] = {name: draw(PROSE) for name in variables}
    file["podEnv"] = {f"P_{name}": draw(st.sampled_from(sorted(POD_FIELDS))) for name in variables}
    file["config"] = draw(CONFIG)
    file["caBundle"] = {"configMap": draw(names(63))[0], "path": "/etc/ssl/ä/ca.crt"}
    file["writable"] = draw(WRITABLE)
    file["writableCopies"] = draw(COPIES)
    file["resources"] = draw(RESOURCES)
    file["runAsUser"] = draw(st.sampled_from([1, 1000, 65535]))


def kept(draw: st.DrawFn, file: File) -> None:
    file["volumes"] = {
        name: {
            "path": f"/data/{number}",
            "size": "1Gi",
            "accessMode": draw(st.sampled_from(["ReadWriteOnce", "ReadWriteMany"])),
        }
        for number, name in enumerate(draw(names(56)))
    }
    file["scratch"] = {
        name: {"path": f"/scratch/{number}", "memory": draw(st.booleans())}
        for number, name in enumerate(draw(names(56)))
    }


def beside(draw: st.DrawFn, file: File) -> None:
    used = iter([name for name in draw(names(55, most=5, least=4)) if name != file["name"]])
    every = {
        "secrets": sorted(file.get("secrets", {})),
        "database": "database" in file,
        "databases": sorted(file.get("databases", {})),
    }
    # Where the agent writes, all or none read.
    reading = [{}, {}] if draw(st.booleans()) else [{key: value for key, value in every.items() if value}] * 2
    shares = {"scratch": sorted(file.get("scratch", {})), "volumes": sorted(file.get("volumes", {}))}

    def one(read: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "config": draw(CONFIG),
            "resources": draw(RESOURCES),
            "podEnv": {"LIMIT": "cpuLimit"},
            "writable": draw(WRITABLE),
            "writableCopies": draw(COPIES),
            **read,
            **shares,
        }

    file["init"] = {name: one(read) for name, read in zip([next(used, "i-1"), next(used, "i-2")], reading, strict=True)}
    file["sidecars"] = {
        next(used, "s-1"): {**one(reading[0]), "port": 9187, "probes": draw(PROBES)},
        next(used, "s-2"): {**one({}), "probes": {"readiness": COMMAND, "liveness": COMMAND}},
    }
    file["patch"] = {
        **DAYS,
        "pod": {
            "hostAliases": draw(ALIASES),
            "dnsConfig": {"searches": ["example.org"], "options": [{"name": "ndots", "value": "2"}]},
        },
        "containers": {file["name"]: {"workingDir": "/srv"}},
        "annotations": {"example.org/parser": draw(PROSE)},
    }


def working(draw: st.DrawFn, file: File) -> None:
    jobs: dict[str, Any] = {}
    longest = 51 - len(file["name"])
    for name in draw(names(longest)) if longest > 1 else ():
        if len(name) > longest:
            continue
        jobs[name] = {
            "command": ["bin/migrate"],
            "timeout": draw(st.sampled_from(["1s", "24h"])),
            "retries": draw(st.sampled_from([0, 10])),
            "resources": draw(RESOURCES),
            **({"schedule": draw(SCHEDULE)} if draw(st.booleans()) else {}),
            **({"calls": ["backend"]} if any("backend" in str(call) for call in file.get("calls", ())) else {}),
            **({"secrets": sorted(file["secrets"])} if "secrets" in file else {}),
            **({"database": draw(st.sampled_from([True, "owner"]))} if "database" in file else {}),
            **({"databases": dict.fromkeys(file["databases"], True)} if "databases" in file else {}),
            **({"egress": [outside["host"] for outside in file["egress"]]} if "egress" in file else {}),
            "volumes": {
                volume: draw(st.sampled_from(["read", "write"]))
                for volume, spec in file.get("volumes", {}).items()
                if spec["accessMode"] == "ReadWriteMany"
            },
            "ownVolumes": draw(st.sampled_from([{}, {"dump": {"path": "/dump", "size": "1Gi"}}])),
        }
    file["jobs"] = jobs


def scaled(draw: st.DrawFn, file: File) -> None:
    file |= draw(
        st.sampled_from(
            [{"autoscaling": {"min": 1, "max": 4, "cpu": 100, "memory": 1}}, {"replicas": 1}, {"replicas": 3}]
        )
    )
    file["stop"] = draw(
        st.sampled_from([{"delay": "59m", "within": "1h"}, {"delay": "1s", "within": "2s"}, {"within": "1s"}])
    )
    file["placement"] = {"class": "gpu"}
    file["leaderElection"] = draw(st.booleans())
    file["kubernetesApi"] = [
        {"resources": ["configmaps"], "verbs": ["get"]},
        {"resources": ["pods"], "verbs": ["list"], "clusterWide": True, **DAYS},
    ]


Feature = Callable[[st.DrawFn, File], None]
EVERYWHERE: tuple[Feature, ...] = (connected, secret, database, pod, kept)
LISTENING: tuple[Feature, ...] = (public, listening)
STAYING: tuple[Feature, ...] = (beside, working, scaled)


@st.composite
def combined_files(draw: st.DrawFn, without: Sequence[Feature] = ()) -> tuple[str, File]:
    """The name of a service and its file, with several features of these, but for those in `without`."""
    longest = draw(st.sampled_from([12, 52, 57, 63]))
    name = draw(
        word(string.ascii_lowercase, LOWER + "-", LOWER, longest).filter(lambda name: name not in ("backend", "cache"))
    )
    file: File = {"name": name, "namespace": NAMESPACE, "team": "commerce", "image": IMAGE}
    kind = draw(st.sampled_from(["service", "service", "service", "worker", "run"]))
    features = [feature for feature in EVERYWHERE if draw(st.booleans())]
    if kind == "service":
        file |= {
            "port": draw(st.sampled_from([1, 8080, 65535])),
            "protocol": draw(st.sampled_from(["http", "http2", "grpc", "tcp"])),
        }
        features += [
            feature
            for feature in LISTENING
            if draw(st.booleans()) and (feature is not public or file["protocol"] != "tcp")
        ]
    if kind == "run":
        file["run"] = draw(st.sampled_from([{}, {"schedule": "0 3 * * *"}]))
    else:
        file |= {"probes": draw(PROBES)} if kind == "worker" or draw(st.booleans()) else {}
        features += [feature for feature in STAYING if draw(st.booleans())]
    for feature in features:
        if feature not in without:
            feature(draw, file)
    if kind == "run":
        for volume in file.get("volumes", {}).values():
            volume["accessMode"] = "ReadWriteMany"
    own = any(volume["accessMode"] == "ReadWriteOnce" for volume in file.get("volumes", {}).values())
    if own and "peers" in file:
        file["startInOrder"] = draw(st.booleans())
    return name, {key: value for key, value in file.items() if key != "name"}
