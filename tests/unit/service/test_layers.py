"""A service that differs between stacks: a stack's own file over it, and a stack's domain in its hosts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.program.stack import read_stack
from components.schema.problem import ConfigError
from components.service.file.directory import Admission, read_files, read_services
from components.service.file.layers import Layers, merged
from components.service.file.service import ServiceSpec
from tests.support.stacks import ROOT, settings, values
from tests.unit.service.test_directory import SMALL, write

pytestmark = pytest.mark.unit

BASE = SMALL + "replicas: 3\nenv:\n  LOG: info\n  REGION: eu\nhealth: /healthz\n"


def read(directory: Path, stack: str = "staging", domain: str = "", **texts: str) -> tuple[ServiceSpec, ...]:
    services = write(directory, **texts)
    stacks = ["production", "staging"]
    return read_services(services, Admission((), api_server_reachable=True, stack=stack, stacks=stacks, domain=domain))


def test_the_stacks_file_lies_over_the_services_own(tmp_path: Path) -> None:
    over = "replicas: 1\nenv: {LOG: debug, NEW: x}\nhealth:\nimage: r.example.org/shop/x:v2\n"
    [spec] = read(tmp_path, x=BASE, **{"x.staging": over})
    assert (spec.name, spec.replicas, spec.image, spec.health) == ("x", 1, "r.example.org/shop/x:v2", None)
    assert spec.env == {"LOG": "debug", "REGION": "eu", "NEW": "x"}


def test_another_stack_does_not_see_it(tmp_path: Path) -> None:
    [spec] = read(tmp_path, "production", x=BASE, **{"x.staging": "replicas: 1\n"})
    assert spec.replicas == 3


@pytest.mark.parametrize(
    ("over", "error"),
    [
        ("replicas: 0", r"^services/x\.staging\.yaml:1: replicas: "),
        ("env: {LOG: 1}", r"^services/x\.staging\.yaml:1: env\.LOG: "),
        ("# why\nenv:\n  A: b\n  DB_PASSWORD: x", r"^services/x\.staging\.yaml:4: env\.DB_PASSWORD: "),
        ("calls: [nobody]", r"^services/x\.staging\.yaml:1: calls: no such service"),
        ("team:", r"^services/x\.staging\.yaml:1: team: missing"),
        (
            "name: y",
            r"^services/x\.staging\.yaml:1: name: it is the same on every stack: it stands in",
        ),
        ("namespace: y", r"^services/x\.staging\.yaml:1: namespace: it is the same on every stack"),
        ("a: [", r"^services/x\.staging\.yaml:\d: YAML"),
        ("replica: 1", r"^services/x\.staging\.yaml:1: replica: unknown key"),
    ],
)
def test_a_problem_stands_where_its_value_does(tmp_path: Path, over: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        read(tmp_path, x=BASE, **{"x.staging": over})


def test_what_is_under_both_stands_in_its_own_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^services/x\.yaml:7: env\.LOG"):
        read(tmp_path, x=BASE.replace("info", "1"), **{"x.staging": "env: {A: b}"})


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("y.staging", r"services/y\.staging\.yaml: file name: it lies over no service file .*legal: x\.staging\.yaml"),
        (
            "x.stagng",
            r"services/x\.stagng\.yaml: file name: there is no such stack, found 'stagng'; legal: x",
        ),
        ("x.production", r"services/x\.production\.yaml:1: YAML"),
    ],
)
def test_a_file_of_nothing_is_refused(tmp_path: Path, name: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        read(tmp_path, x=BASE, **{name: "a: ["})


def test_what_is_wrong_with_the_stack_s_own_file_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, x=BASE, **{"x.staging": "# nothing yet\n"})
    assert [problem.file for problem in refused.value.problems] == ["services/x.staging.yaml"]


def test_hosts_have_the_domain_of_their_stack(tmp_path: Path) -> None:
    text = SMALL + 'host: "api.{domain}"\naliases: ["www.{domain}", api.example.net]\n'
    [spec] = read(tmp_path, domain="staging.example.org", x=text)
    assert spec.hosts == ("api.staging.example.org", "www.staging.example.org", "api.example.net")


def test_without_a_domain_the_stack_says_which_key_needs_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml:5: host: the stack has no domain .*set its ingress\.domain$"):
        read(tmp_path, x=SMALL + 'host: "api.{domain}"\n')


def test_the_domain_of_a_stack_file(tmp_path: Path) -> None:
    text = SMALL.replace("r.example.org", "registry.example.org") + 'host: "api.{domain}"\n'
    write(tmp_path, x=text)
    ingress = {**values("production")["ingress"], "domain": "shop.example.org"}
    stack = read_stack(tmp_path, "Pulumi.production.yaml", settings("production", ingress=ingress))
    assert stack.services[0].host == "api.shop.example.org"


def test_every_stack_reads_the_projects_services() -> None:
    for stack in ("production", "staging", "dev", "local"):
        assert len(read_files(ROOT / "services", Admission((), api_server_reachable=True, stack=stack))) == 3


TREES = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(st.sampled_from("abc"), TREES, max_size=3)


@given(own=MAPPINGS, over=MAPPINGS)
def test_nothing_is_lost_that_the_stack_does_not_name(own: dict[str, object], over: dict[str, object]) -> None:
    made = merged(own, over)
    assert {key: made[key] for key in own.keys() - over.keys()} == {key: own[key] for key in own.keys() - over.keys()}
    assert made.keys() == (own.keys() | over.keys()) - {key for key, value in over.items() if value is None}
    assert merged(made, {}) == made


def test_the_place_of_a_key() -> None:
    layers = Layers("s/x.yaml", "a: 1\nb:\n  c: 1\n  d: [1, 2]\n", "s/x.dev.yaml", "b:\n  d:\n    - 3\n")
    places = {key: layers.place_of(key) for key in (("a",), ("b", "c"), ("b", "d"), ("b", "d", 0), ("b",), ())}
    assert places == {
        ("a",): ("s/x.yaml", 1),
        ("b", "c"): ("s/x.yaml", 3),
        ("b", "d"): ("s/x.dev.yaml", 2),
        ("b", "d", 0): ("s/x.dev.yaml", 3),
        ("b",): ("s/x.dev.yaml", 1),
        (): ("s/x.yaml", 1),
    }
