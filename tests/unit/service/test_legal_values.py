"""Values beside what the API server, the runtime, the proxies or an issuer take, and those that are just right."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from components.ingress.terms import PublicLimits
from components.kube.names import NAMESPACE_POLICIES, ROOT_AUTHORITY
from components.kyverno.library import load_library
from components.schema.fields import http_path, normal_path
from components.schema.problem import ConfigError, FieldError
from components.schema.schedule import Schedule
from components.service.file.directory import parse_service, read_services
from components.service.file.reserved import not_a_service, reserved_name
from tests.support.stacks import service
from tests.unit.service.test_directory import OPEN, SMALL, write

pytestmark = pytest.mark.unit

RULE = "exceptions: [{rule: require-probes, reason: %s, owner: %s, granted: %s, expires: 2026-12-01}]"
WHY = "the probes are to come"
SHARED = "accessMode: ReadWriteMany"
LONG_HOST = f"{'.'.join(['a' * 61] * 4)}.org"
WRITTEN = f"reason: {WHY}, owner: team, granted: 2026-11-01, expires: 2026-12-01"
SEARCHES = ", ".join(f"s{number}.{LONG_HOST[6:]}" for number in range(9))
FULL = f"volumes: {{data: {{path: /data, size: 1Gi}}}}\npatch: {{{WRITTEN}, pod: {{setHostnameAsFQDN: true}}}}"
HALF, MANY = (", ".join(["x" * 100_000] * number) for number in (5, 11))
VARIABLES = ", ".join(f"A{number}: {'x' * 100_000}" for number in range(11))
CONFIG, BUNDLE = "config: {path: /etc/app, files: {a: b}}", "caBundle: {configMap: ca}"


def _alias(address: str, name: str) -> str:
    return f"{{ip: '{address}', hostnames: [{name}]}}"


REFUSED = [
    # A label of a name in DNS has 63 characters.
    (f"host: api.{'a' * 64}", "host: not a host name"),
    (f"egress: [{{host: api.{'a' * 64}, port: 443}}]", "egress[0].host: not a host name"),
    ("host: vault.vault.svc", "host: a name of the cluster's own"),
    ("host: a.example.org\naliases: [api.shop.svc.cluster.local]", "aliases[0]: a name of the cluster's own"),
    # Digits of another script are none to Kubernetes.
    ("stop: {within: 1٣s}", "stop.within: not a time"),
    ("jobs: {night: {timeout: 1٣s}}", "jobs.night.timeout: not a time"),
    ("jobs: {night: {schedule: ٣ 3 * * *}}", "jobs.night.schedule: not a schedule"),
    # The kubelet and the runtime fill these, or cannot mount them.
    *(
        (f"writable: ['{path}']", "writable[0]: ")
        for path in ("/", "/proc", "/sys/x", "/dev/shm", "/data/", "/a//b", "/a/../b", "/vault/secrets")  # noqa: S108
    ),
    *(
        (f"volumes: {{data: {{path: '{path}', size: 1Gi}}}}", "volumes.data.path: ")
        for path in ("//x", "//proc", "/a:b", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname")
    ),
    ('writable: ["/a\\nb"]', "writable[0]: not a directory"),
    ("config: {path: /etc, files: {a: b}}", "config.path: /etc/hosts is in it"),
    ("caBundle: {configMap: ca, path: /etc/ca.crt}", "caBundle.path: the bundle takes the directory /etc: /etc/hosts"),
    # The mesh's agent answers each probe of these with an error.
    *((f"health: '{path}'", "health: not an absolute path") for path in ("/%zz", "/a%", "/a%2")),
    ('health: "/a\\x07"', "health: not an absolute path"),
    # No request has them when the proxies compare.
    *(
        (f"calls: [{{service: b, paths: ['{path}']}}]", "calls[0].paths[0]: ")
        for path in ("/%41", "/a//b", "/a/../b", "/a%2Fb", "/a%5cb", "/é", "/a|b", "/a%7Eb/*", "/%zz")
    ),
    *((f"host: a.example.org\npaths: ['{path}']", "paths[0]: ") for path in ("/%41", "/a%5Cb", "/%7e")),
    ("probes: {readiness: {port: 15021}}", "probes.readiness.port: ports 15000 to 15099"),
    ("ports: {tcp-vault: 9000}", "ports.tcp-vault: the name of a port that the platform adds"),
    # What is wrong is said once, at the key that the file has.
    ("resources: {limits: {memory: 1e3}}", "resources.limits.memory: less than 6Mi"),
    ("resources: {requests: {cpu: 1Gi}}", "resources.requests.cpu: not a number of cores"),
    *(
        (f"volumes: {{data: {{path: /data, size: '{size}'}}}}", "volumes.data.size: not 1 byte at least")
        for size in ("0.5", "1e-3", "9223372036854775808", "8Ei", "10E", "1e19")
    ),
    # A day is a day.
    *(
        (RULE % (WHY, "team", day), "exceptions[0].granted: a day is expected")
        for day in ("1793491200", "'1793491200'", "2026-11-01T00:00:00", "'2026-11-01T00:00:00'", "'1 Nov 2026'")
    ),
    ("name: 1st", "name: not the name of a Service"),
    *((f"name: {name}", "name: a network policy that the platform makes") for name in NAMESPACE_POLICIES),
    ("name: team-deployer", "name: the binding of a team's deployer has this name"),
    ("name: allow\njobs: {platform: {}}", "jobs.platform: it is called allow-platform: a network policy"),
    (
        "name: kube-root-ca\ninit: {crt: {config: {files: {a: b}}}}",
        f"init.crt: its ConfigMap would be {ROOT_AUTHORITY}",
    ),
    # Who reads it must see it.
    (RULE % ("'          '", "team", "2026-11-01"), "exceptions[0].reason: nothing but space"),
    (RULE % ("'    a     '", "team", "2026-11-01"), "exceptions[0].reason: shorter than 10 characters"),
    (RULE % (WHY, "' '", "2026-11-01"), "exceptions[0].owner: nothing but space"),
    *(
        (RULE % (f'"{WHY}{hidden}"', "team", "2026-11-01"), "exceptions[0].reason: it has the character U+")
        for hidden in ("\\u202e", "\\u200b", "\\e[2K", "\\x08", "\\u2066", "\\u00ad\\u2028")
    ),
    # What an object, a program or a node holds.
    (f"host: {LONG_HOST}", "host: longer than 247 characters, which its listener's name leaves"),
    (f"env: {{A: {'x' * 131_070}}}", "env.A: more than 131071 bytes with its name"),
    (f"command: [{'x' * 131_072}]", "command[0]: more than 131071 bytes"),
    (f"secrets: {{a: {{generate: [b], template: {'x' * 260_000}}}}}", "secrets.a.template: the templates and annot"),
    (
        "secrets: {%s}" % ", ".join(f"k{n}: {{generate: [b], template: {'x' * 60_000}}}" for n in range(5)),  # noqa: UP031
        "bytes together, and a pod holds 262144",
    ),
    (f"patch: {{{WRITTEN}, annotations: {{example.org/a: {'x' * 260_000}}}}}", "patch.annotations.example.org/a: the"),
    (
        f"{FULL}\nname: {'a' * 30}",
        "patch.pod.setHostnameAsFQDN: ",
    ),
    (
        f"patch: {{{WRITTEN}, pod: {{hostAliases: [{{ip: 'fe80::1%eth0', hostnames: [a]}}]}}}}",
        "hostAliases[0].ip: not an address",
    ),
    *(
        (f"host: a.example.org\nsecurityHeaders: {{{name}: x}}", f"securityHeaders.{name}: it says how the answer is")
        for name in ("Content-Length", "Transfer-Encoding", "connection", "Host")
    ),
    (
        "host: a.example.org\npaths: [{path: /a, cors: {origins: ['*'], maxAge: 999999h}}]",
        "paths[0].cors.maxAge: more than 2147483647 seconds",
    ),
    (
        f"patch: {{{WRITTEN}, pod: {{dnsConfig: {{searches: [{SEARCHES}]}}}}}}",
        "patch.pod.dnsConfig.searches: more than 2048 characters together",
    ),
    # The words of a pod's programs together, in one object: those of its containers, and those of a job with its own.
    *((f"{key}: [{MANY}]", f"{key}: the arguments and variables of its pod have") for key in ("command", "args")),
    (f"env: {{{VARIABLES}}}", "env: the arguments and variables of its pod have"),
    (f"args: [{HALF}]\nsidecars: {{b: {{port: 1, command: [{MANY}]}}}}", "sidecars.b.command: the arguments and varia"),
    (f"args: [{HALF}]\ninit: {{b: {{env: {{{VARIABLES}}}}}}}", "init.b.env: the arguments and variables of its pod"),
    (f"env: {{{VARIABLES[: len(VARIABLES) // 2]}}}\njobs: {{b: {{args: [{MANY}]}}}}", "jobs.b.args: the arguments and"),
    # The runtime cannot make a directory in one that it has mounted read-only, nor two in one place.
    (f"{CONFIG}\nwritable: [/etc/app/cache]", "writable[0]: it is below /etc/app of config.path, which is read-only"),
    (f"{CONFIG}\nvolumes: {{a: {{path: /etc/app/a/b, size: 1Gi}}}}", "volumes.a.path: it is below /etc/app of"),
    (f"{CONFIG}\ncaBundle: {{configMap: ca, path: /etc/app/ca/ca.crt}}", "caBundle.path: it is below /etc/app of"),
    (f"{BUNDLE}\nscratch: {{a: {{path: /etc/ssl/certs/a}}}}", "scratch.a.path: it is below /etc/ssl/certs of caBundle"),
    *(
        (f"config: {{path: {path}, files: {{a: b}}}}", "config.path: /")
        for path in ("/vault", "/var/run", "/run", "/var")
    ),
    *(
        (f"{BUNDLE}\n{kind}: {{a: {{{port}writable: [/etc/ssl/certs{below}]}}}}", f"{kind}.a.writable[0]: {error}")
        for kind, port in (("init", ""), ("sidecars", "port: 1, "))
        for below, error in (("", "the directory is that of caBundle.path"), ("/a", "it is below /etc/ssl/certs of"))
    ),
    (
        f"{BUNDLE}\nsidecars: {{a: {{port: 1, config: {{path: /etc/ssl/certs, files: {{a: b}}}}}}}}",
        "sidecars.a.config.path: the directory is that of caBundle.path already",
    ),
    (
        "scratch: {a: {path: /etc/b/c}}\ninit: {a: {scratch: [a], config: {path: /etc/b, files: {a: b}}}}",
        "init.a.scratch[0]: it is below /etc/b of init.a.config.path, which is read-only",
    ),
    # What shares memory finds none on a disk.
    ("scratch: {shm: {path: /dev/shm}}", "scratch.shm.memory: required at /dev/shm, found false; legal: true"),
    ("scratch: {shm: {path: /dev/shm/a, memory: true}}", "scratch.shm.path: /dev is not the service's to fill"),
    # Server-side apply knows the entries of this list by their address, whatever its form.
    *(
        (
            f"patch: {{{WRITTEN}, pod: {{hostAliases: [{_alias(one, 'a')}, {_alias(other, 'b')}]}}}}",
            "hostAliases: an address stands",
        )
        for one, other in (("10.0.0.1", "10.0.0.1"), ("2001:db8::1", "2001:0db8:0::1"))
    ),
    # The way in which a list of Kubernetes writes variables.
    ("env: [{name: DB_PASSWORD, value: hunter2}]", "env: a mapping of keys is expected, found [{name, value: ...}]"),
]


@pytest.mark.parametrize(("tail", "error"), REFUSED, ids=[ascii(tail) for tail, _ in REFUSED])
def test_a_value_that_would_not_work_is_one_error(tail: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_service(SMALL + tail, "services/x.yaml")
    (problem,) = caught.value.problems
    assert error in str(problem)
    assert problem.line
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize(
    "tail",
    [
        f"host: api.{'a' * 63}",
        "writable: [/var/run, /tmp/x, /etc, '/a b', /var/lib/postgresql/data]",
        "config: {path: /etc/app, files: {a: b}}",
        "caBundle: {configMap: ca, path: /etc/pki/ca.crt}",
        "caBundle: {configMap: ca.example.org}",
        "volumes: {data: {path: /data, size: 1Gi, storageClass: csi.example.org}}",
        "health: /a%20b?ready=1",
        "host: a.example.org\npaths: ['/a%20b', /a;b, /.well-known]",
        "calls: [{service: b, paths: ['/a%20b', /.well-known/*, /]}]",
        "peers: [8080]",
        "ports: {sync: {port: 9000, protocol: tcp}}\npeers: [9000]",
        "metrics: {port: 9000}\npeers: [9000]",
        "ports: {a: 18200}",
        "resources: {limits: {memory: 1e8}}",
        RULE % (f'"{WHY}\\nfrom the next release on, caf\\u00e9 \\U0001F600"', "team", "'2026-11-01'"),
        f"name: {'a' * 63}",
        f"env: {{A: {'x' * 131_069}}}",
        f"config: {{files: {{a: {'x' * 900_000}}}}}",
        f"host: {LONG_HOST[6:]}",
        FULL,
        f"args: [{HALF}]\njobs: {{a: {{args: [{HALF}]}}, b: {{args: [{HALF}]}}}}",
        # A directory that the program writes to takes others in it, and one beside another is not in it.
        "writable: [/etc/app]\nvolumes: {a: {path: /etc/app/a, size: 1Gi}}\nconfig: {path: /etc/app/b, files: {a: b}}",
        f"{CONFIG}\nwritable: [/etc/application]",
        f"{CONFIG}\nsidecars: {{a: {{port: 1, writable: [/etc/app/a]}}}}",
        f"patch: {{{WRITTEN}, pod: {{hostAliases: [{_alias('10.0.0.1', 'a')}, {_alias('10.0.0.2', 'a')}]}}}}",
        "scratch: {shm: {path: /dev/shm, memory: true, size: 1Gi}, fast: {path: /fast, memory: true}, a: {path: /a}}",
        *(f"jobs: {{a: {{schedule: '{word}'}}}}" for word in ("@hourly", "@daily", "@weekly", "@monthly", "@yearly")),
        "volumes: {data: {path: /data, size: '1'}, more: {path: /more, size: '9223372036854775807'}}",
    ],
)
def test_a_value_that_works_is_taken(tail: str) -> None:
    assert parse_service(SMALL + tail, "services/x.yaml")


def test_the_headers_of_a_service_and_of_its_stack_are_those_of_one_route() -> None:
    headers = {f"X-{number}": "a" for number in range(16)}
    assert service(host="a.example.org", limits=PublicLimits(headers=headers))
    with pytest.raises(FieldError, match=r"securityHeaders: 17 with those of the stack, and a route sets 16"):
        service(host="a.example.org", limits=PublicLimits(headers={**headers, "X-16": "a"}))


CLAIMS = [
    (
        # volume-a-b-c-0 both times: the volume a of b-c, and a-b of c.
        {"b-c": "volumes: {a: {path: /d, size: 1Gi}}", "c": "volumes: {a-b: {path: /d, size: 1Gi}}"},
        r"volumes\.a-b: its claim is called volume-a-b-c-, as the volume a of b-c is in shop",
    ),
    (
        {
            "a": "volumes: {data: {path: /d, size: 1Gi}}",
            "volume": f"volumes: {{data-a-0: {{path: /d, size: 1Gi, {SHARED}}}}}",
        },
        r"volumes\.data-a-0: its claim is called volume-data-a-0, as that of a replica with the volume data of a is",
    ),
    (
        {
            "volume": f"volumes: {{data-x-12: {{path: /d, size: 1Gi, {SHARED}}}}}",
            "x": "volumes: {data: {path: /d, size: 1Gi}}",
        },
        r"volumes\.data-x-12: its claim is called volume-data-x-12, as that of a replica",
    ),
]


@pytest.mark.parametrize(("files", "error"), CLAIMS)
def test_no_two_services_have_one_claim(tmp_path: Path, files: dict[str, str], error: str) -> None:
    with pytest.raises(ConfigError, match=error) as caught:
        read_services(write(tmp_path, **{name: f"{SMALL}{tail}\n" for name, tail in files.items()}), OPEN)
    assert len(caught.value.problems) == 1


def test_claims_of_two_namespaces_are_two(tmp_path: Path) -> None:
    (files, _), *_ = CLAIMS
    texts = {name: f"{SMALL}{tail}\n" for name, tail in files.items()}
    texts["c"] = texts["c"].replace("namespace: shop", "namespace: bank")
    assert len(read_services(write(tmp_path, **texts), OPEN)) == 2


def test_the_policies_that_every_namespace_has_are_those_that_the_rules_make() -> None:
    made = [rule for rule in load_library().tier("generate") if "NetworkPolicy" in rule.path.read_text()]
    assert sorted(rule.name for rule in made) == sorted(NAMESPACE_POLICIES)
    for rule in made:
        assert f'"{rule.name}"' in rule.path.read_text()
        assert reserved_name(rule.name)


@pytest.mark.parametrize("name", ["0", "1st", "a.b", "A", "a_b", "-a", "a-", "a" * 64, ""])
def test_the_name_of_a_service_is_that_of_a_service_in_kubernetes(name: str) -> None:
    assert not_a_service(name)
    assert not not_a_service(f"a{'b' * 62}")


SCHEDULE = TypeAdapter[str](Schedule)
NEVER = ["0 3 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 feb *", "0 0 30-31 2 */2"]
SOMETIMES = ["0 0 29 2 *", "0 0 31 2 1", "0 0 30,1 2 *", "0 0 31 */2 *", "0 0 31 4-5 *", "5/15 1-3/2 1/2 * *"]


@pytest.mark.parametrize("schedule", NEVER)
def test_a_schedule_that_no_day_has_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match="it would never run"):
        SCHEDULE.validate_python(schedule)


@pytest.mark.parametrize("schedule", SOMETIMES)
def test_a_schedule_that_some_day_has_is_taken(schedule: str) -> None:
    assert SCHEDULE.validate_python(schedule) == schedule


def test_the_longest_months_are_those_of_the_calendar() -> None:
    first = datetime(2028, 1, 1, tzinfo=UTC)
    for day in (first + timedelta(days=number) for number in range(366)):
        assert SCHEDULE.validate_python(f"0 0 {day.day} {day.month} *")


@pytest.mark.parametrize("path", ["/", "/a", "/a%20b", "/%C3%A9"])
def test_a_path_that_everybody_reads_alike_is_taken(path: str) -> None:
    assert http_path(path) == normal_path(path) == path
