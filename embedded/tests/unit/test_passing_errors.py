"""An update that a busy machine ended goes on; one that failed does not."""

import json
from pathlib import Path

import pytest

from embedded.passing_errors import passing_error
from embedded.paths import State
from embedded.pulumi_stack import PulumiStack, StackError

BUSY = "<{%reset%}>Failed to fetch OpenAPI schema from the API server:\n context deadline exceeded<{%reset%}>"
CLOSED = 'calling webhook "v.istio.io": failed to call webhook: Post "https://istiod.istio-system.svc:443/v": EOF'
WRONG = "admission webhook denied the request"


def events(*messages: str, severity: str = "error") -> str:
    found = [{"diagnosticEvent": {"severity": severity, "message": message}} for message in messages]
    return "".join(f"{json.dumps(event)}\n" for event in [{"preludeEvent": {}}, *found])


@pytest.mark.parametrize(
    ("text", "first"),
    [
        (events(BUSY, WRONG), "Failed to fetch OpenAPI schema from the API server: context deadline exceeded"),
        (events(CLOSED), CLOSED),
        (events(WRONG), ""),
        (events(BUSY, severity="warning"), ""),
        (events(BUSY)[:-30], ""),
        ("", ""),
    ],
    ids=["it passes", "a webhook", "it does not", "a warning", "half a line", "nothing"],
)
def test_the_first_error_that_passes(tmp_path: Path, text: str, first: str) -> None:
    (tmp_path / "events.json").write_text(text)
    assert passing_error(tmp_path / "events.json") == first


def test_no_event_log(tmp_path: Path) -> None:
    assert passing_error(tmp_path / "none") == ""


def stack(directory: Path, ends: list[str]) -> PulumiStack:
    """A stack whose CLI ends each time as told: with these events and status 255, or well with none."""
    state, tools = State(directory / "state"), directory / "tools"
    for made in (state.run, tools, directory / "state" / "project"):
        made.mkdir(parents=True)
    for number, text in enumerate(ends):
        (tools / f"end-{number}").write_text(text)
    script = (
        "#!/bin/sh\n"
        f"cd {tools}; n=$(cat tries 2>/dev/null || echo 0); echo $((n + 1)) > tries\n"
        'while [ "$1" != --event-log ]; do shift; done\n'
        '[ -s "end-$n" ] || exit 0\n'
        'cp "end-$n" "$2"; exit 255\n'
    )
    (tools / "pulumi").write_text(script)
    (tools / "pulumi").chmod(0o700)
    return PulumiStack("staging", state, tools)


@pytest.mark.parametrize(
    ("ends", "tries", "fails"),
    [
        ([""], 1, False),
        ([events(BUSY), ""], 2, False),
        ([events(BUSY), events(BUSY), ""], 3, False),
        ([events(BUSY)] * 11, 10, True),
        ([events(WRONG), ""], 1, True),
        ([events(BUSY), events(WRONG), ""], 2, True),
    ],
)
def test_how_often_an_update_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: list[str], tries: int, fails: bool
) -> None:
    monkeypatch.setattr(PulumiStack, "environment", lambda _: {"PATH": "/usr/bin:/bin"})
    lines: list[str] = []
    program = stack(tmp_path, ends)
    if fails:
        with pytest.raises(StackError, match="pulumi up ended with status 255"):
            program.up(lines.append)
    else:
        program.up(lines.append)
    assert (tmp_path / "tools" / "tries").read_text() == f"{tries}\n"
    assert len(lines) == tries - 1
    assert all("staging: the machine was too busy, going on with the update: Failed to fetch" in line for line in lines)
    assert not (tmp_path / "state" / "run" / "events.json").exists()
