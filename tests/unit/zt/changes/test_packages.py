"""What a change of a package means, from its file and from the objects that it brings."""

import copy
from pathlib import Path
from typing import Any

import pytest

from components.kyverno.library import load_library
from components.program.plan import plan
from tests.support.packages import DAYS, FILE, objects, stack_of, write
from zt.changes.compare import changes
from zt.facts.model import Side
from zt.facts.read import facts_of

PUBLIC = {**FILE, "expose": [{"service": "web", "port": 80, "host": "guests.example.org"}]}

EXCEPTED = {**FILE, "exceptions": [{"rule": "disallow-host-namespaces", "workload": "web", **DAYS}]}


def side(root: Path, made: list[dict[str, Any]], file: dict[str, Any]) -> Side:
    stack = stack_of(write(root, made, file))
    return Side("production", frozenset(facts_of(stack, plan(stack), load_library())))


def said(before: Side, after: Side) -> list[tuple[str, str]]:
    return [(change.means.value, change.sentence) for change in changes(before, after)]


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"rateLimit": "none"}, "the number of requests in an hour of guests/web goes from 360000 to unlimited"),
        ({"maxRequestBytes": "none"}, "the largest request in bytes of guests/web goes from 1048576 to unlimited"),
        ({"securityHeaders": {"X-Frame-Options": "SAMEORIGIN"}}, "the headers at the gateway of guests/web goes from"),
        ({"without": [{"kind": "ServiceAccount", "name": "spare"}]}, "without[spare].kind of the file of guests/guest"),
    ],
)
def test_its_file(tmp_path: Path, keys: dict[str, Any], line: str) -> None:
    spare = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "spare"}}
    made = [*objects(), spare]
    before, after = side(tmp_path / "a", made, PUBLIC), side(tmp_path / "b", made, {**PUBLIC, **keys})
    weaker = [sentence for means, sentence in said(before, after) if means == "weaker"]
    assert any(sentence.replace("of web ", "of guests/web ").startswith(line) for sentence in weaker), weaker


def _pod(made: list[dict[str, Any]]) -> dict[str, Any]:
    return next(each for each in made if each["kind"] == "Deployment")["spec"]["template"]["spec"]


def _in_host(made: list[dict[str, Any]]) -> None:
    _pod(made)["hostNetwork"] = True


def _escalating(made: list[dict[str, Any]]) -> None:
    _pod(made)["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True


def _privileged(made: list[dict[str, Any]]) -> None:
    _pod(made)["containers"][0]["securityContext"]["privileged"] = True


def _other_command(made: list[dict[str, Any]]) -> None:
    _pod(made)["containers"][0]["command"] = ["other"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (_in_host, ("weaker", "what the pods share with their node of guests/web goes from none to hostNetwork")),
        (_escalating, ("weaker", "allowPrivilegeEscalation of guests/web.web goes from false to true")),
        (_privileged, ("weaker", "privileged of guests/web.web goes from false to true")),
        (_other_command, ("neutral", "what the chart brings of guests/guestbook goes from digest")),
    ],
)
def test_what_it_brings(tmp_path: Path, change: Any, line: tuple[str, str]) -> None:
    made = copy.deepcopy(objects())
    change(made)
    before, after = side(tmp_path / "a", objects(), EXCEPTED), side(tmp_path / "b", made, EXCEPTED)
    found = [(means, sentence.replace("of web ", "of guests/web ")) for means, sentence in said(before, after)]
    assert any(means == line[0] and sentence.startswith(line[1]) for means, sentence in found), found
    back = [means for means, sentence in said(after, before) if "what the chart" not in sentence]
    assert "weaker" not in back
