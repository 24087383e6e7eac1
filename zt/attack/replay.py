"""Every attempt of the six attacks, and a run of them: each in its turn, timed, judged by itself."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from components.typed_file import ConfigError, Problem
from zt.attack import (
    attempts_api,
    attempts_certificate,
    attempts_data,
    attempts_environment,
    attempts_network,
    attempts_pods,
    attempts_vault,
)
from zt.attack.attempt import TITLES, Attempt
from zt.attack.evidence import Evidence, Result, UntriedError, not_measured
from zt.attack.session import Session

ATTEMPTS: tuple[Attempt, ...] = (
    *attempts_network.ATTEMPTS,
    *attempts_certificate.ATTEMPTS,
    *attempts_environment.ATTEMPTS,
    *attempts_vault.ATTEMPTS,
    *attempts_api.ATTEMPTS,
    *attempts_pods.ATTEMPTS,
    *attempts_data.ATTEMPTS,
)


@dataclass(frozen=True)
class Row:
    """One attempt and what it came to."""

    attempt: Attempt
    evidence: Evidence
    tried: str
    seconds: float


@dataclass(frozen=True)
class Replay:
    """A whole run."""

    stack: str
    service: str
    cluster: str
    vault: str
    rows: tuple[Row, ...]

    def count(self, result: Result) -> int:
        """How many attempts had this result."""
        return sum(row.evidence.result is result for row in self.rows)

    @property
    def exit_code(self) -> int:
        """1 when an attempt succeeded, else 0."""
        return int(bool(self.count(Result.SUCCEEDED)))


def chosen(only: Sequence[str], attempts: Sequence[Attempt] = ATTEMPTS) -> tuple[Attempt, ...]:
    """The attempts that are named, each by its name or by the number of its attack; all without a name.

    Raises `ConfigError` for a name that there is not.
    """
    legal = [*map(str, TITLES), *(attempt.name for attempt in attempts)]
    if wrong := [name for name in only if name not in legal]:
        raise ConfigError([Problem("zt attack", "--only", "no such attack", repr(wrong[0]), tuple(legal))])
    return tuple(one for one in attempts if not only or one.name in only or str(one.attack) in only)


def outcome(attack: int, rows: Iterable[Row]) -> Result | None:
    """The result of an attack: succeeded when one attempt did, else blocked when one was; `None` without an attempt."""
    results = {row.evidence.result for row in rows if row.attempt.attack == attack}
    return next((one for one in (Result.SUCCEEDED, Result.BLOCKED, Result.NOT_MEASURED) if one in results), None)


def replay(session: Session, attempts: Sequence[Attempt], say: Callable[[str], None] = lambda _: None) -> Replay:
    """Make the attempts one after the other. Raises `StackError` when the stack stops answering."""
    declared = session.declared
    service = f"{declared.service.namespace}/{declared.service.name}"
    rows: list[Row] = []
    for attempt in attempts:
        tried = attempt.tried.format(service=service)
        say(f"{TITLES[attempt.attack]}: {tried}")
        started = session.clock()
        try:
            evidence = attempt.run(session)
        except UntriedError as error:
            evidence = not_measured(str(error))
        rows.append(Row(attempt, evidence, tried, session.clock() - started))
    vault = session.vault.where if session.vault else ""
    return Replay(declared.stack, service, session.admin.where, vault, tuple(rows))
