"""Variables that stand in other values: Kubernetes puts each in, or the file is refused."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.schema.problem import ConfigError
from components.service.file.directory import parse_service
from components.service.manifests.environment import environment
from tests.unit.service.test_directory import SMALL

pytestmark = pytest.mark.unit

SECRET_ENV = """\
command: [bin/serve]
secrets: {db: {generate: [password]}}
secretEnv:
  variables: {DB_PASSWORD: db/password}
  reason: it reads no file
  owner: commerce
  granted: 2026-11-01
  expires: 2026-12-15
"""
NAMES = ("A", "B", "C")
PIECES = st.sampled_from(["$(A)", "$(B)", "$(C)", "$(date +%u)", "$$", "$", "(", ")", "x", "$(", "A"])
VALUES = st.dictionaries(st.sampled_from(NAMES), st.lists(PIECES, max_size=4).map("".join), min_size=1)


def put_in(text: str, known: Mapping[str, str]) -> str:
    """What a container gets, as the kubelet reads it, from one dollar to the next.

    https://github.com/kubernetes/kubernetes/blob/v1.34.0/third_party/forked/golang/expansion/expand.go
    """
    made, at = "", 0
    while at < len(text):
        following = text[at + 1 : at + 2] if text[at] == "$" else ""
        end = text.find(")", at + 2) if following == "(" else -1
        if following == "$":
            made, at = f"{made}$", at + 2
        elif end >= 0:
            name = text[at + 2 : end]
            made, at = made + known.get(name, f"<{name}>"), end + 1
        else:
            made, at = made + text[at], at + 1
    return made


def kept(tail: str) -> list[str]:
    """Each problem of a file."""
    try:
        parse_service(SMALL + tail, "services/x.yaml")
    except ConfigError as error:
        return [f"{problem.key}: {problem.message}" for problem in error.problems]
    return []


@given(values=VALUES, first=st.booleans())
def test_no_variable_is_left_as_it_is_written(values: dict[str, str], first: bool) -> None:
    pod = {"C": "name"} if first and "C" not in values else {}
    text = f"env: {{{', '.join(f'{name}: {value!r}' for name, value in values.items())}}}\npodEnv: {pod}\n"
    if not kept(text):
        known: dict[str, str] = {}
        for each in environment("x", values, pod):
            known[each["name"]] = put_in(each.get("value", "pod"), known)
        assert not [name for value in known.values() for name in re.findall(r"<([A-Z_][A-Z0-9_]*)>", value)]


def test_a_value_comes_behind_what_is_part_of_it() -> None:
    values = {"ADDRESS": "$(SCHEME)://$(HOST)", "HOST": "$(NAME).shop", "NAME": "api", "SCHEME": "http"}
    assert [each["name"] for each in environment("x", values, {})] == ["NAME", "HOST", "SCHEME", "ADDRESS"]
    assert [each["name"] for each in environment("x", {"B": "1", "A": "2"}, {})] == ["A", "B"]


def test_each_of_many_that_stand_on_two_others_is_looked_at_once() -> None:
    names = [f"V{number:02}" for number in range(80)]
    values = {name: f"$({first})$({second})" for name, first, second in zip(names, names[1:], names[2:], strict=False)}
    values |= dict.fromkeys(names[-2:], "x")
    assert [each["name"] for each in environment("x", values, {})] == [names[-2], names[-1], *reversed(names[:-2])]


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        ("env: {NODE: '$(POD_NAME).shop'}", "env.NODE: no variable under env or podEnv, so it would stay there"),
        ("env: {PATH: '/opt/bin:$(PATH)'}", "env.PATH: it is part of its own value"),
        ("env: {A: '$(B)', B: '$(A)'}", "env.B: it is part of its own value"),
        ("args: ['--name=$(POD_NAME)']", "args[0]: no variable under env or podEnv"),
        ("sidecars: {log: {port: 9187, args: ['$(LEVEL)']}}\nenv: {LEVEL: info}", "sidecars.log.args[0]: no variable"),
        ("init: {get: {env: {A: '$(LEVEL)'}}}\nenv: {LEVEL: info}", "init.get.env.A: no variable under env"),
        ("jobs: {migrate: {command: [bin/migrate, '$(LEVEL)']}}", "jobs.migrate.command[1]: no variable under env"),
        (
            f"{SECRET_ENV}args: ['--password=$(DB_PASSWORD)']",
            "args[0]: a variable of secretEnv is known to the program",
        ),
        (f"{SECRET_ENV}env: {{URL: 'db?$(DB_PASSWORD)'}}", "env.URL: a variable of secretEnv is known to the program"),
    ],
)
def test_a_name_that_nothing_stands_for_is_refused(tail: str, error: str) -> None:
    (problem,) = kept(tail)
    assert problem.startswith(error)


@pytest.mark.parametrize(
    "tail",
    [
        "args: ['--name=$(POD_NAME)', $(LEVEL)]\npodEnv: {POD_NAME: name}\nenv: {LEVEL: info}",
        "jobs: {migrate: {command: [bin/migrate, '$(LEVEL)']}}\nenv: {LEVEL: info}",
        "command: [sh, -c, 'exec bin/serve --day \"$(date +%u)\" --host $(hostname)']",
        "env: {KEPT: '$$(POD_NAME)', PRICE: 5$, ADDRESS: '$(KUBERNETES_SERVICE_HOST)'}",
    ],
)
def test_what_kubernetes_or_a_shell_puts_in_is_not(tail: str) -> None:
    assert kept(tail) == []
