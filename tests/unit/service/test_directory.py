"""The service file: what a team may write, and what only shows across files."""

from pathlib import Path

import pytest

from components.kube.service_ref import ServiceRef
from components.schema.problem import ConfigError
from components.service.file.directory import Admission, parse_service, read_services
from tests.support.stacks import ROOT

OPEN = Admission((), api_server_reachable=True)
SMALL = "namespace: shop\nteam: commerce\nimage: r.example.org/shop/x:v1\nport: 8080\n"

WRONG = [
    ("port: 80\nimage: r.example.org/x:v1\nteam: t", r"x\.yaml:\d+: namespace: missing"),
    (SMALL + "colour: red", r"x\.yaml:5: colour: unknown key, found 'red'; legal: name, namespace"),
    (SMALL + "call: [db]", r"did you mean calls\?"),
    (SMALL.replace("shop\n", "Shop\n"), r"x\.yaml:1: namespace: not a DNS label"),
    (SMALL.replace("namespace: shop", "namespace: kube-system"), "is the platform's"),
    (SMALL.replace("namespace: shop", "namespace: istio-ingress"), "is the platform's"),
    (SMALL.replace(":v1", ""), r"x\.yaml:3: image: no fixed version"),
    (SMALL.replace(":v1", ":latest"), "no fixed version"),
    (SMALL.replace("r.example.org/shop/x:v1", "nginx:1.27"), "no registry"),
    (SMALL.replace("8080", "'8080'"), r"x\.yaml:4: port"),
    (SMALL.replace("8080", "0"), "less than 1"),
    (SMALL.replace("8080", "15001"), "mesh proxy's"),
    (SMALL + "host: '*.example.org'", "wildcard host"),
    (SMALL + "host: api", "host name"),
    (
        SMALL + "host: a.example.org\nprotocol: tcp",
        "host needs another.*legal: http, http2, grpc",
    ),
    (SMALL + "paths: [api]", "absolute path"),
    (SMALL + "paths: []", "fewer than 1"),
    (SMALL + f"secrets: {{{'s' * 42}: {{generate: [x]}}}}", "longer than 41 characters"),
    (SMALL + f"volumes: {{{'v' * 57}: {{path: /data, size: 1Gi}}}}", "longer than 56 characters"),
    (SMALL + "paths: [/a//b]", r"paths\[0\]: // in it, which a server may read as another path"),
    (SMALL + "paths: [/a/../b]", r"paths\[0\]: /../ in it"),
    (SMALL + "paths: [/a/..]", r"paths\[0\]: /.. in it"),
    (SMALL + "paths: [/a%2fb]", r"paths\[0\]: %2f in it"),
    (SMALL + "paths: [/ä]", r"paths\[0\]: not an absolute path such as /orders"),
    (SMALL + "paths: ['/%zz']", r"paths\[0\]: not an absolute path"),
    (SMALL + f"paths: [/{'a' * 1024}]", r"paths\[0\]: longer than 1024 characters"),
    (SMALL + f"paths: [{', '.join(f'/{n}' for n in range(65))}]", "paths: more than 64"),
    (SMALL + f"aliases: [{', '.join(f'h{n}.example.org' for n in range(16))}]", "aliases: more than 15"),
    (SMALL + "calls: ['*']", r"x\.yaml:5: calls\[0\]: .*wildcards are over-broad"),
    (SMALL + "calls: [a/b/c]", "not a service"),
    (SMALL + "protocol: udp", "legal: http, http2, grpc, tcp"),
    (SMALL + "replicas: 0", "less than 1"),
    (SMALL + "runAsUser: 0", "less than 1"),
    (SMALL + "runAsUser: 1337", "mesh proxy's user"),
    (SMALL + "writable: [data]", "absolute path"),
    (SMALL + "resources: {limits: {cpu: lots, memory: 1Gi}}", "not a number of cores"),
    (SMALL + "resources: {limits: {cpu: '0', memory: 1Gi}}", r"limits\.cpu: .*more than 0"),
    (SMALL + "resources: {limits: {cpu: '1', memory: 0.0Gi}}", r"limits\.memory: .*more than 0"),
    (SMALL + "resources: {limits: {cpu: '1', memory: -1Gi}}", r"limits\.memory: not a Kubernetes quantity"),
    (SMALL + "resources: {limits: {cpu: '1', memory: 1K}}", r"limits\.memory: not a Kubernetes quantity"),
    (
        SMALL + "resources: {limits: {cpu: '1', memory: 64Mi}, requests: {cpu: 1m, memory: 65Mi}}",
        r"x\.yaml:5: resources\.requests\.memory: more than limits\.memory, which is 64Mi, found '65Mi'",
    ),
    (SMALL + "resources: {limits: {cpu: 1Gi, memory: 1Gi}}", r"limits\.cpu: not a number of cores"),
    (SMALL + "resources: {limits: {cpu: '0.0001', memory: 1Gi}}", r"limits\.cpu: not a number of cores"),
    (SMALL + "resources: {limits: {cpu: '1', memory: 1500m}}", r"limits\.memory: a part of a byte"),
    (SMALL + "resources: {limits: {cpu: '1', memory: 1Mi}}", r"limits\.memory: less than 6Mi"),
    (SMALL + "volumes: {data: {path: /data, size: 1100m}}", r"volumes\.data\.size: a part of a byte"),
    (SMALL.replace(":v1", "@sha256:aaaa"), "not the name of an image"),
    (SMALL.replace(":v1", ":v1+build"), "not the name of an image"),
    (SMALL.replace(":v1", f":{'v' * 129}"), "not the name of an image"),
    (SMALL.replace("shop/x", "Shop/x"), "not the name of an image"),
    (SMALL.replace("namespace: shop", "namespace: default"), r"x\.yaml:1: namespace: it is the cluster's own"),
    (
        SMALL + f"name: {'n' * 53}\nvolumes: {{data: {{path: /data, size: 1Gi}}}}",
        "name: longer than 52 characters, which a StatefulSet's name may have",
    ),
    (SMALL + "jobs: {b: {schedule: 0 3 * * 7}}", r"jobs\.b\.schedule: not a schedule"),
    (SMALL + "jobs: {b: {schedule: mon 3 * * *}}", r"jobs\.b\.schedule: not a schedule"),
    (SMALL + "jobs: {b: {schedule: 0 3 * * jan}}", r"jobs\.b\.schedule: not a schedule"),
    (SMALL + "config: {files: {..data: x}}", r"config\.files\.\.\.data: not a file name"),
    (SMALL + "resources: {limits: {cpus: 1m}}", r"resources\.limits\.cpus: unknown key"),
    (SMALL + "secrets: {db: {}}", r"x\.yaml:5: secrets\.db: no field"),
    (SMALL + "secrets: {db: {values: {password: hunter2}}}", "looks like a secret in plaintext"),
    (SMALL + "secrets: {db: {values: {a: b}, generate: [a]}}", "under values and generate"),
    (SMALL + "secrets: {'a/b': {generate: [x]}}", "not a DNS label"),
    (SMALL + "secrets: {db: {generate: [X]}}", "not a field name"),
    (SMALL + "secrets: {db: {generate: [x], template: '{{ .Data.data.y }}'}}", r"legal: \{\{ \.Data\.data\.x \}\}"),
    (SMALL + "secrets: {db: {generate: [x], template: '{{ with secret \"secret/data/o\" }}'}}", "the template has"),
    (
        SMALL + "secrets: {a: {generate: [x]}, b: {generate: [x], file: a}}",
        "secrets: two of them write the file a",
    ),
    (SMALL + "secrets: {a: {generate: [x], file: ../etc}}", "not a file name"),
    (SMALL + "kubernetesApi: [{resources: ['*'], verbs: [get]}]", "wildcard is over-broad"),
    (SMALL + "kubernetesApi: [{resources: [pods], verbs: ['*']}]", "wildcard is over-broad"),
    (SMALL + "kubernetesApi: [{apiGroups: ['*'], resources: [pods], verbs: [get]}]", "wildcard is over-broad"),
    (SMALL + "kubernetesApi: [{resources: [secrets], verbs: [get]}]", "would give more"),
    (SMALL + "kubernetesApi: [{resources: [pods/exec], verbs: [create]}]", "would give more"),
    (SMALL + "kubernetesApi: [{resources: [roles], verbs: [bind]}]", "would give more"),
]


@pytest.mark.parametrize(("text", "error"), WRONG)
def test_a_wrong_file_is_refused(text: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        parse_service(text, "services/x.yaml")


@pytest.mark.parametrize("tail", ["secrets: {db: {values: {password: hunter2}}}", "dbPassword: hunter2"])
def test_a_refused_password_is_not_repeated(tail: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_service(SMALL + tail, "x.yaml")
    assert "hunter2" not in str(caught.value)


def test_four_lines_make_a_service() -> None:
    spec = parse_service(SMALL, "services/x.yaml").spec
    assert (spec.name, spec.protocol, spec.host, spec.calls) == ("x", "http", None, ())
    assert spec.run_as_user == 1000


def test_a_digest_is_a_version() -> None:
    text = SMALL.replace(":v1", "@sha256:" + "0" * 64)
    assert parse_service(text, "x.yaml").spec.image.endswith("0" * 64)


def test_the_projects_services_are_legal() -> None:
    admission = Admission(("registry.example.org",), api_server_reachable=False)
    specs = {spec.name: spec for spec in read_services(ROOT / "services", admission)}
    assert set(specs) == {"api", "postgres", "redis"}
    assert specs["api"].callees() == (ServiceRef("shop", "postgres"), ServiceRef("shop", "redis"))
    assert specs["api"].host == "api.example.org"


def write(folder: Path, **texts: str) -> Path:
    services = folder / "services"
    services.mkdir()
    for name, text in texts.items():
        (services / f"{name}.yaml").write_text(text, encoding="utf-8")
    return services


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        ({"a": SMALL + "calls: [b]"}, r"services/a\.yaml:5: calls: no such service, found 'b'"),
        ({"a": SMALL + "calls: [a]"}, "no network policy lets its replicas call each other"),
        ({"a": SMALL + "calls: [pay/b]", "b": SMALL}, r"no such service, found 'pay/b'; legal: b"),
        ({"a": SMALL, "b": SMALL + "name: a"}, r"services/b\.yaml:5: name: services/a\.yaml already holds"),
        (
            {"a": SMALL + "host: x.example.org", "b": SMALL + "host: x.example.org"},
            r"services/b\.yaml:5: host: services/a\.yaml already claims / of the host x\.example\.org: write other",
        ),
    ],
)
def test_files_that_do_not_agree(tmp_path: Path, texts: dict[str, str], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        read_services(write(tmp_path, **texts), OPEN)


def test_what_the_stack_does_not_admit(tmp_path: Path) -> None:
    text = SMALL + "kubernetesApi: [{resources: [pods], verbs: [get]}]"
    with pytest.raises(ConfigError) as caught:
        read_services(write(tmp_path, a=text), Admission(("r.example.org.evil",), api_server_reachable=False))
    assert [problem.key for problem in caught.value.problems] == ["image", "kubernetesApi"]
    assert caught.value.problems[0].legal == ("r.example.org.evil",)


def test_a_registry_is_no_prefix_of_another(tmp_path: Path) -> None:
    folder = write(tmp_path, a=SMALL.replace("r.example.org", "r.example.org.evil"))
    with pytest.raises(ConfigError, match="not from an approved registry"):
        read_services(folder, Admission(("r.example.org",), api_server_reachable=True))


def test_the_problems_of_all_files_come_at_once(tmp_path: Path) -> None:
    folder = write(tmp_path, a=SMALL + "x: 1", b=SMALL + "y: 1")
    with pytest.raises(ConfigError) as caught:
        read_services(folder, OPEN)
    assert {problem.file for problem in caught.value.problems} == {"services/a.yaml", "services/b.yaml"}


def test_a_file_in_another_encoding_is_named_with_the_others(tmp_path: Path) -> None:
    folder = write(tmp_path, a=SMALL + "x: 1", b=SMALL)
    (folder / "b.yaml").write_bytes(SMALL.encode() + "# caf\xe9\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"services/b\.yaml:5: YAML: not text in UTF-8") as caught:
        read_services(folder, OPEN)
    assert len(caught.value.problems) == 2


def test_a_key_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^services/a\.yaml:5: port: it stands in line \d, too: keep one$"):
        read_services(write(tmp_path, a=SMALL + "port: 1"), OPEN)


def test_cycles_are_fine(tmp_path: Path) -> None:
    folder = write(tmp_path, a=SMALL + "callers: [b]\ncalls: [b]", b=SMALL + "callers: [a]\ncalls: [a]")
    assert len(read_services(folder, OPEN)) == 2
