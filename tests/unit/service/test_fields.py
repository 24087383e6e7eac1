"""The keys of a service file that say how its workload runs: set, left out, and wrong."""

from pathlib import Path
from typing import Any

import pytest

from components.schema.problem import ConfigError
from components.service.file.checks import KnownDatabase
from components.service.file.directory import Admission, parse_service, read_services
from components.service.file.service import ServiceSpec
from tests.unit.service.test_directory import OPEN, SMALL, write

pytestmark = pytest.mark.unit

KEY = "-----BEGIN " + "PRIVATE KEY-----"
SECRET = SMALL + "secrets: {db: {generate: [x]}}\ncalls: [pg]\n"

WRONG = [
    ("secrets: {file-store: {generate: [x]}}", "secrets.file-store: the agent injector reads this name as"),
    ("autoscaling: {min: 2}", "5: autoscaling.max: missing: this key is required"),
    ("autoscaling: {max: 0}", "5: autoscaling.max: less than 1, found 0"),
    ("autoscaling: {min: 3, max: 2}", "5: autoscaling.max: less than min, which is 3, found 2"),
    ("autoscaling: {max: 3, cpu: 101}", "5: autoscaling.cpu: more than 100, found 101"),
    (
        "autoscaling: {max: 3, cpus: 50}",
        "5: autoscaling.cpus: unknown key, found 50; legal: min, max, cpu, memory (did you mean cpu?)",
    ),
    (
        "autoscaling: {max: 3}\nreplicas: 2",
        "6: replicas: autoscaling decides how many there are: keep one of the two, found 2",
    ),
    (
        "probes: {readiness: {path: ready}}",
        "5: probes.readiness.path: not an absolute path such as /healthz, found 'ready'",
    ),
    ("probes: {ready: {path: /ready}}", "legal: readiness, liveness, startup"),
    (
        "probes: {startup: {path: /s, command: [bin/s]}}",
        "5: probes.startup.path: the probe has a command: keep one of the two, found '/s'",
    ),
    ("probes: {liveness: {period: 5}}", "did you mean periodSeconds?"),
    (
        "probes: {liveness: {periodSeconds: 0}}",
        "5: probes.liveness.periodSeconds: less than 1",
    ),
    ("volumes: {data: {path: /data}}", "5: volumes.data.size: missing"),
    ("volumes: {data: {path: data, size: 1Gi}}", "5: volumes.data.path: not a directory such as /var/lib/data"),
    ("volumes: {data: {path: /data/, size: 1Gi}}", "5: volumes.data.path: not a directory"),
    ("volumes: {data: {path: /proc/x, size: 1Gi}}", "5: volumes.data.path: /proc is not the service's to fill"),
    ("volumes: {data: {path: /vault/secrets, size: 1Gi}}", "/vault/secrets is not the service's to fill"),
    ("volumes: {data: {path: /data, size: big}}", "5: volumes.data.size: not a Kubernetes quantity"),
    ("volumes: {data: {path: /data, size: 1Gi, hostPath: /}}", "legal: path, size, storageClass, accessMode"),
    (
        "volumes: {data: {path: /data, size: 1Gi, accessMode: RWX}}",
        "found 'RWX'; legal: ReadWriteOnce, ReadWriteOncePod, ReadWriteMany",
    ),
    (
        "writable: [/data]\nvolumes: {data: {path: /data, size: 1Gi}}",
        "6: volumes.data.path: the directory is that of writable[0] already, found '/data'",
    ),
    (
        "volumes: {tmp: {path: /tmp, size: 1Gi}}",
        "5: volumes.tmp.path: the directory is that of the platform, for every service already",
    ),
    ("config: {files: {}}", "5: config.files: fewer than 1"),
    ("config: {files: {A/b: x}}", "5: config.files.A/b: not a file name"),
    (f"config: {{files: {{a.pem: '{KEY}'}}}}", "5: config.files.a.pem: looks like a private key: move it to secrets"),
    (
        "caBundle: {configMap: ca, path: /etc/config/ca.crt}\nconfig: {files: {a: b}}",
        "5: caBundle.path: the directory is that of config.path already, found '/etc/config'",
    ),
    ("caBundle: {configMap: ca, file: x}", "legal: configMap, key, path"),
    ("caBundle: {configMap: ca, path: /ca.crt}", "5: caBundle.path: a file of a directory is meant"),
    ("env: {log level: info}", "5: env.log level: not the name of a variable such as LOG_LEVEL"),
    *(
        (f"{key}: {{{name}: name}}", f"5: {key}.{name}: not the name of a variable")
        for key in ("env", "podEnv")
        for name in ("1a", "..a", ".", "a/b", "a:b")
    ),
    (
        "config: {files: {a.env: 'URL=amqp://api:${PASSWORD:-hunter2}@queue'}}",
        "5: config.files.a.env: looks like a password in an address",
    ),
    ("env: {URL: 'amqp://api:${PASSWORD}@queue'}", "5: env.URL: looks like a password in an address"),
    ("env: {LEVEL: 3}", "5: env.LEVEL: a text is expected: put it in quotes where YAML reads something else, found 3"),
    ("env: {DB_PASSWORD: hunter2}", "5: env.DB_PASSWORD: is called like a secret"),
    ("env: {X_FILE_TOKEN: /vault/x}", "5: env.X_FILE_TOKEN: is called like a secret"),
    ("env: {DB_PASSWORD: 'file:///vault/secrets/../x'}", "5: env.DB_PASSWORD: is called like a secret"),
    ("env: {DB_PASSWORD: 'file:///vault/secrets/db hunter2'}", "5: env.DB_PASSWORD: is called like a secret"),
    ("env: {TOKEN_FILE: abc}", "5: env.TOKEN_FILE: is called like a secret"),
    ("env: {URL: 'postgres://api:hunter2@db/x'}", "5: env.URL: looks like a password in an address"),
    ("env: {KEY: AKIA" + "ABCDEFGHIJKLMNOP}", "5: env.KEY: looks like an access key of AWS"),
    ("env: {HEAD: hvs.CAESIAAAAAAAAAAAAAAAAAAA}", "5: env.HEAD: looks like a token of Vault"),
    ("command: ['']", "5: command[0]: shorter than 1 character"),
    ("args: 5", "5: args: a list is expected, found 5"),
    ("jobs: {night: {schedule: daily}}", "5: jobs.night.schedule: not a schedule such as '0 3 * * *'"),
    ("jobs: {night: {schedule: 0 25 * * *}}", "5: jobs.night.schedule: not a schedule"),
    ("jobs: {night: {schedule: 5-1 * * * *}}", "5: jobs.night.schedule: not a schedule"),
    ("jobs: {night: {retries: -1}}", "5: jobs.night.retries: less than 0, found -1"),
    ("jobs: {night: {timeout: 1d}}", "5: jobs.night.timeout: not a time such as 1h"),
    ("jobs: {night: {secret: [db]}}", "did you mean secrets?"),
    ("jobs: {night: {secrets: [db]}}", "5: jobs.night.secrets[0]: no secret of this service, found 'db'"),
    ("jobs: {night: {database: true}}", "5: jobs.night.database: this service has no database, found true"),
    (
        "jobs: {night: {egress: [a.example.org]}}",
        "5: jobs.night.egress[0]: no host under egress of this service, found",
    ),
    ("jobs: {night: {calls: [db]}}", "5: jobs.night.calls[0]: the service itself does not call it, found 'db'"),
    (f"jobs: {{{'n' * 51}: {{}}}}", "is longer than 52 characters: shorten the job's name"),
    ("name: workload", "5: name: a service account that every pod of its namespace may have, found 'workload'"),
    ("name: default", "5: name: a service account that every pod"),
]


@pytest.mark.parametrize(("tail", "error"), WRONG, ids=[tail for tail, _ in WRONG])
def test_a_wrong_key_is_one_error_that_says_where_it_is(tail: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_service(SMALL + tail, "services/x.yaml")
    (problem,) = caught.value.problems
    assert error in str(problem)
    assert str(problem).startswith("services/x.yaml:")


@pytest.mark.parametrize(("tail", "nearest"), [("secrets: [dc]", "db"), ("calls: [pq]", "pg")])
def test_a_job_that_wants_more_than_its_service_is_told_what_there_is(tail: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f"; legal: {nearest}$"):
        parse_service(SECRET + f"jobs: {{night: {{{tail}}}}}", "x.yaml")


@pytest.mark.parametrize("tail", [tail for tail, _ in WRONG if "hunter2" in tail or "AKIA" in tail or "hvs." in tail])
def test_what_looks_like_a_secret_is_not_repeated(tail: str) -> None:
    value = tail.rpartition(": ")[2].strip("}'")
    with pytest.raises(ConfigError) as caught:
        parse_service(SMALL + tail, "x.yaml")
    assert value not in str(caught.value)
    assert "a value that is not repeated here" in str(caught.value)


@pytest.mark.parametrize(
    "environment",
    [
        {"LOG_LEVEL": "info"},
        {"DB_PASSWORD_FILE": "/vault/secrets/database"},
        {"DB_PASSWORD": "file:///vault/secrets/db-password", "GF_SMTP_PASSWORD": "$__file{/vault/secrets/smtp}"},
        {"TOKEN_PATH": "/var/run/secrets/token"},
        {"DATABASE_URL": "postgres://postgres.shop.svc:5432/shop"},
        {"TOKEN_ENDPOINT": "https://login.example.org/oauth/token"},
        {"TOKEN_TTL_SECONDS": "3600"},
        {"SESSION_TOKEN_ENABLED": "true", "PASSWORD_HASH_ALGORITHM": "argon2id"},
        {"_x": ""},
        # As Elasticsearch and OpenSearch take their settings.
        {"discovery.seed_hosts": "search-peers.shop.svc", "node.name": "a", ".a": "", "-": "", "truststore.path": "/a"},
    ],
)
def test_plain_values_may_stand_in_the_environment(environment: dict[str, str]) -> None:
    assert spec(env=environment).env == environment


@pytest.mark.parametrize(
    "address",
    [
        "amqp://${USER}:${PASSWORD}@queue",
        "postgresql://{user}:{read('db')}@db/x",
        "postgresql://{db['user']}:{db['password']}@db/x",
        "mysql://%(user)s:%(password)s@db/x",
        "redis://:$REDIS_PASSWORD@cache",
        "redis://:<password>@cache",
        "redis://:{{.password}}@cache",
        "redis://:$(PASSWORD)@cache",
    ],
)
def test_a_file_may_name_what_its_program_puts_in(address: str) -> None:
    assert spec(config={"files": {"a.conf": f"url = {address}\n"}}).config


@pytest.mark.parametrize("schedule", ["0 3 * * *", "*/15 8-18 * * mon-fri", "0 0 1,15 jan,jul *", "5 4 * * 0"])
def test_schedules(schedule: str) -> None:
    assert spec(jobs={"night": {"schedule": schedule}}).jobs["night"].schedule == schedule


def test_what_is_left_out_asks_for_nothing() -> None:
    found = spec()
    assert (found.autoscaling, found.probes, found.config, found.ca_bundle) == (None, None, None, None)
    assert (found.volumes, found.env, found.jobs) == ({}, {}, {})
    assert (found.command, found.args) == ((), ())


def spec(**keys: Any) -> ServiceSpec:
    small = {"name": "x", "namespace": "shop", "team": "t", "image": "r.example.org/shop/x:v1", "port": 8080}
    return ServiceSpec.model_validate({**small, **keys})


JOB = "jobs: {b: {}}\n"
GRANTED = "reason: it makes the tests' own pods, owner: team, granted: 2026-11-01, expires: 2026-12-01"
SHARED = "volumes: {b-c: {path: /data, size: 1Gi, accessMode: ReadWriteMany}}\n"
ACROSS = [
    (
        {"a": SMALL + JOB, "a-b": SMALL},
        r"services/a\.yaml:5: jobs\.b: its workload is called a-b, as the service a-b is in shop, found 'b'",
    ),
    (
        {"a": SMALL + "jobs: {b-c: {}}\n", "a-b": SMALL + "jobs: {c: {}}\n"},
        r"services/a\.yaml:5: jobs\.b-c: its workload is called a-b-c, as the job c of a-b is in shop",
    ),
    (
        {"a": SMALL + SHARED, "a-b": SMALL + SHARED.replace("b-c", "c")},
        r"services/a\.yaml:5: volumes\.b-c: its claim is called a-b-c, as the volume c of a-b is in shop",
    ),
    (
        {"a": SMALL + "kubernetesApi: [{resources: [pods], verbs: [get, create], " + GRANTED + "}]", "b": SMALL},
        r"a\.yaml:5: kubernetesApi\[0\]\.verbs: create on pods would let it run .* such as that of b: .*; legal: get$",
    ),
    (
        {
            "a": SMALL + "kubernetesApi: [{apiGroups: [batch], resources: [jobs], verbs: [patch], " + GRANTED + "}]",
            "b": SMALL,
        },
        "patch on jobs would let it run",
    ),
]


@pytest.mark.parametrize(("texts", "error"), ACROSS)
def test_files_that_do_not_agree(tmp_path: Path, texts: dict[str, str], error: str) -> None:
    with pytest.raises(ConfigError, match=error) as caught:
        read_services(write(tmp_path, **texts), OPEN)
    assert len(caught.value.problems) == 1


def test_names_of_two_namespaces_and_rights_in_one_of_its_own_do_not_clash(tmp_path: Path) -> None:
    other = SMALL.replace("namespace: shop", "namespace: bank")
    api = f"kubernetesApi: [{{resources: [pods], verbs: [create], {GRANTED}}}]\n"
    assert len(read_services(write(tmp_path, a=SMALL + JOB + api, **{"a-b": other}), OPEN)) == 2


def test_a_job_with_database_users_has_to_reach_the_database(tmp_path: Path) -> None:
    grant = "{schema: public, privileges: [SELECT], tables: all}"
    text = SMALL + f"calls: [pg]\ndatabase: {{connection: main, grants: [{grant}]}}\n"
    stack = Admission((), api_server_reachable=True, databases={"main": KnownDatabase("pg.shop.svc")})
    folder = write(tmp_path, a=text + "jobs: {m: {database: true}}\n", pg=SMALL + "callers: [a]\n")
    with pytest.raises(ConfigError, match=r"a\.yaml:7: jobs\.m\.calls: the database is the service pg.*; legal: pg"):
        read_services(folder, stack)
    (folder / "a.yaml").write_text(text + "jobs: {m: {database: true, calls: [pg]}}\n")
    assert len(read_services(folder, stack)) == 2
