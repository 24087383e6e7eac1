"""The service file: what a team may write, and what only shows across files."""

from pathlib import Path

import pytest

from components.service_files import Admission, parse_service, read_services
from components.typed_file import ConfigError
from tests.unit.stacks import ROOT

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
    (SMALL.replace("8080", "0"), "greater than or equal to 1"),
    (SMALL.replace("8080", "15001"), "mesh proxy's"),
    (SMALL + "host: '*.example.org'", "wildcard host"),
    (SMALL + "host: api", "host name"),
    (SMALL + "host: a.example.org\nprotocol: tcp", "host needs protocol: http"),
    (SMALL + "paths: [api]", "absolute path"),
    (SMALL + "paths: []", "at least 1"),
    (SMALL + "calls: ['*']", r"x\.yaml:5: calls\[0\]: .*wildcards are over-broad"),
    (SMALL + "calls: [a/b/c]", "not a service"),
    (SMALL + "protocol: udp", "legal: http, tcp"),
    (SMALL + "replicas: 0", "greater than or equal"),
    (SMALL + "runAsUser: 0", "greater than or equal"),
    (SMALL + "runAsUser: 1337", "mesh proxy's user"),
    (SMALL + "writable: [data]", "absolute path"),
    (SMALL + "resources: {limits: {cpu: lots, memory: 1Gi}}", "quantity"),
    (SMALL + "resources: {limits: {cpu: 1m}}", r"resources\.limits\.memory: missing"),
    (SMALL + "secrets: {db: {}}", r"x\.yaml:5: secrets\.db: no field"),
    (SMALL + "secrets: {db: {values: {password: hunter2}}}", "looks like a secret in clear text"),
    (SMALL + "secrets: {db: {values: {a: b}, generate: [a]}}", "under values and generate"),
    (SMALL + "secrets: {'a/b': {generate: [x]}}", "not a DNS label"),
    (SMALL + "secrets: {db: {generate: [X]}}", "not a field name"),
    (SMALL + "secrets: {db: {generate: [x], template: '{{ .Data.data.y }}'}}", r"legal: \{\{ \.Data\.data\.x \}\}"),
    (SMALL + "secrets: {db: {generate: [x], template: '{{ with secret \"secret/data/o\" }}'}}", "the template has"),
    (SMALL + "secrets: {a: {generate: [x]}, b: {generate: [x], file: a}}", "two secrets write the file a"),
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
    assert specs["api"].callees() == (("shop", "postgres"), ("shop", "redis"))
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
        ({"a": SMALL + "calls: [a]"}, "no leave to call itself"),
        ({"a": SMALL + "calls: [pay/b]", "b": SMALL}, r"no such service, found 'pay/b'; legal: b"),
        ({"a": SMALL, "b": SMALL + "name: a"}, r"services/b\.yaml:5: name: services/a\.yaml already holds"),
        (
            {"a": SMALL + "host: x.example.org", "b": SMALL + "host: x.example.org"},
            r"services/b\.yaml:5: host: services/a\.yaml already claims this host, found 'x\.example\.org'",
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


def test_cycles_are_fine(tmp_path: Path) -> None:
    folder = write(tmp_path, a=SMALL + "calls: [b]", b=SMALL + "calls: [a]")
    assert len(read_services(folder, OPEN)) == 2
