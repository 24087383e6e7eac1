"""What only the arguments of a service know to be wrong is told at the file and the line that it comes from."""

import re
from pathlib import Path

import pytest

from components.program.plan import plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError, FieldError
from components.schema.typed_file import legal_keys
from components.service.args import service as arguments
from components.service.args.team import text_args
from components.service.file.directory import parse_service
from components.service.file.fields import at_keys_of
from components.service.file.service import ServiceSpec
from tests.support import packages, stacks
from tests.unit.service.test_directory import SMALL, write
from tests.unit.service.test_team import SMALL as OF_A_TEAM
from tests.unit.service.test_team import TEAMS

pytestmark = pytest.mark.unit

HEADERS = "securityHeaders:\n" + "".join(f"  X-{number}: a\n" for number in range(13))
MANY = rf":{SMALL.count(chr(10)) + 2}: securityHeaders: 1\d with those of the stack, and a route sets 16 at most$"


def test_a_service_of_the_stack(tmp_path: Path) -> None:
    write(tmp_path, web=f"{SMALL}host: web.example.org\n{HEADERS}", api=SMALL)
    chosen = stacks.settings("production", registries=["r.example.org"])
    with pytest.raises(ConfigError, match=rf"^services/web\.yaml{MANY}"):
        plan(read_stack(tmp_path, "Pulumi.production.yaml", chosen))


def test_a_package(tmp_path: Path) -> None:
    exposed = {"service": "web", "port": 80, "host": "guests.example.org"}
    headers = {f"X-{number}": "a" for number in range(13)}
    file = {**packages.FILE, "expose": [exposed], "securityHeaders": headers}
    packages.write(tmp_path, packages.objects(), file)
    with pytest.raises(ConfigError, match=r"^packages/guestbook\.yaml:\d+: securityHeaders: 1\d with those"):
        plan(packages.stack_of(tmp_path))


def test_a_service_of_a_team() -> None:
    platform = stacks.plan_of("production", teams=TEAMS).platforms["payments"]
    with pytest.raises(ConfigError, match=r"^checkout\.yaml:6: securityHeaders: 1\d with those of the stack"):
        text_args(f"{OF_A_TEAM}host: pay.example.org\n{HEADERS}", "checkout.yaml", platform, lambda: None)  # pyright: ignore[reportArgumentType] - nothing has a last day


@pytest.mark.parametrize(
    "field", sorted(set(re.findall(r'"\{self\.key\}\.(\w+)', Path(arguments.__file__).read_text())))
)
def test_each_field_that_is_refused_has_a_key(field: str) -> None:
    file = parse_service(f"{SMALL}", "services/web.yaml")
    with pytest.raises(ConfigError) as refused, at_keys_of([file]):
        raise FieldError(f"{file.spec.ref.key}.{field}", "wrong", 1, ["2"])
    [problem] = refused.value.problems
    assert problem.key in legal_keys(ServiceSpec, ())
    assert (problem.file, problem.line > 0, problem.message, problem.found, problem.legal) == (
        *("services/web.yaml", True, "wrong", "1"),
        ("2",),
    )


@pytest.mark.parametrize(
    ("written", "told"),
    [("shop.web", "name"), ("shop.web.jobs.night.command", "jobs.night.command"), ("shop.web.calls[0]", "calls[0]")],
)
def test_a_place_in_a_key_is_kept(written: str, told: str) -> None:
    text = f"{SMALL}calls: [api]\njobs:\n  night: {{command: [a]}}\n"
    with (
        pytest.raises(ConfigError, match=re.escape(f": {told}: wrong")),
        at_keys_of([parse_service(text, "services/web.yaml")]),
    ):
        raise FieldError(written, "wrong")


@pytest.mark.parametrize("key", ["mesh.replicas", "databases", "shop.other.port", ""])
def test_what_is_no_service_s_passes(key: str) -> None:
    with pytest.raises(FieldError), at_keys_of([parse_service(f"{SMALL}", "services/web.yaml")]):
        raise FieldError(key, "wrong")
