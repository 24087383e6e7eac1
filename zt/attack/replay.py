"""Every attempt of each attacker, and a run that makes and times them one after the other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from components.schema.problem import ConfigError, Problem
from zt.attack import (
    attempts_api,
    attempts_certificate,
    attempts_data,
    attempts_environment,
    attempts_network,
    attempts_pods,
    attempts_shell,
    attempts_vault,
)
from zt.attack.attacker import Attacker
from zt.attack.attempt import TITLES, Attempt
from zt.attack.evidence import Evidence, Result, UntriedError, not_measured
from zt.attack.namespace import attempts as attempts_namespace
from zt.attack.packets import attempts as attempts_packets
from zt.attack.session import Session
from zt.project.progress import Say

ATTEMPTS: tuple[Attempt, ...] = (
    *attempts_network.ATTEMPTS,
    *attempts_packets.ATTEMPTS,
    *attempts_certificate.ATTEMPTS,
    *attempts_environment.ATTEMPTS,
    *attempts_vault.ATTEMPTS,
    *attempts_api.ATTEMPTS,
    *attempts_pods.ATTEMPTS,
    *attempts_data.ATTEMPTS,
    *attempts_shell.ATTEMPTS,
)
"""The attempts of a compromised pod."""


def attempts_of(attacker: Attacker) -> tuple[Attempt, ...]:
    """Every attempt of an attacker. The two roles try the same: what `edit` has no right to is refused by that."""
    return attempts_namespace.ATTEMPTS if attacker.role else ATTEMPTS


@dataclass(frozen=True)
class Row:
    """One attempt and its result."""

    attempt: Attempt
    evidence: Evidence
    tried: str
    seconds: float


@dataclass(frozen=True)
class Replay:
    """A whole run."""

    stack: str
    attacker: Attacker
    service: str
    cluster: str
    vault: str
    rows: tuple[Row, ...]

    def count(self, result: Result) -> int:
        """How many attempts had this result."""
        return sum(row.evidence.result is result for row in self.rows)

    @property
    def differing(self) -> int:
        """How many packets went otherwise than the live rules say."""
        return sum(row.evidence.differs for row in self.rows)

    @property
    def exit_code(self) -> int:
        """1 when an attempt succeeded, or a packet went otherwise than the live rules say; else 0."""
        return int(bool(self.count(Result.SUCCEEDED) or self.differing))


def chosen(only: Sequence[str], attacker: Attacker = Attacker.POD) -> tuple[Attempt, ...]:
    """The attempts of an attacker with the given names or numbers of attacks, or all without any.

    Raises `ConfigError` for an unknown name, and for one of the other attacker.
    """
    attempts = attempts_of(attacker)
    legal = _names(attempts)
    if wrong := [name for name in only if name not in legal]:
        other = next((one for one in Attacker if wrong[0] in _names(attempts_of(one))), None)
        message = f"an attack of --as {other}, not of --as {attacker}" if other else "no such attack"
        raise ConfigError([Problem("zt attack", "--only", message, repr(wrong[0]), legal)])
    return tuple(attempt for attempt in attempts if not only or attempt.name in only or str(attempt.attack) in only)


def _names(attempts: Sequence[Attempt]) -> tuple[str, ...]:
    numbers = dict.fromkeys(str(attempt.attack) for attempt in attempts)
    return (*numbers, *(attempt.name for attempt in attempts))


def outcome(attack: int, rows: Iterable[Row]) -> Result | None:
    """The result of an attack: succeeded if any attempt did, or else blocked if any was. `None` without attempts."""
    results = {row.evidence.result for row in rows if row.attempt.attack == attack}
    return next(
        (result for result in (Result.SUCCEEDED, Result.BLOCKED, Result.NOT_MEASURED) if result in results), None
    )


def replay(session: Session, attempts: Sequence[Attempt], say: Say = lambda _: None) -> Replay:
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
    return Replay(declared.stack, session.attacker_kind, service, session.admin.where, vault, tuple(rows))
