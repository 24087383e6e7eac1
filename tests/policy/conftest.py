"""The end of a run says how many answers of the Kyverno CLI were there already."""

from typing import Any

import pytest

from tests.policy import answers

_COUNTS = pytest.StashKey[list[answers.Count]]()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker tells its controller; one process alone tells itself."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["answers"] = (answers.COUNT.needed, answers.COUNT.kept)
        return
    session.config.stash.setdefault(_COUNTS, []).append(answers.COUNT)
    answers.forget_old()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker counted; one that crashed has told nothing."""
    if counted := getattr(node, "workeroutput", {}).get("answers"):
        node.config.stash.setdefault(_COUNTS, []).append(answers.Count(*counted))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One line, which `make test` repeats."""
    counts = config.stash.get(_COUNTS, [])
    needed, kept = sum(one.needed for one in counts), sum(one.kept for one in counts)
    if kept:
        terminalreporter.write_line(
            f"kept: {kept} of {needed} answers of the Kyverno CLI, to the same rules and objects; ALL=1 asks again"
        )
