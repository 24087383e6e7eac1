"""Asks all checks of a stack at the same time: most of them wait for a network."""

from collections.abc import Sequence

from zt.preflight.checks import THEMES
from zt.preflight.cluster import UnreadableError
from zt.preflight.line import Check, Line, Preflight, Row, Theme, not_checked
from zt.preflight.session import Session
from zt.project.pool import Pool
from zt.project.progress import Say

_AT_ONCE = 12


def ask(session: Session, stack: str, say: Say, themes: Sequence[Theme] = THEMES) -> Preflight:
    """The lines of every check that the stack needs, in the order of the themes. Raises `ClusterError`."""
    due = [(theme, check) for theme in themes for check in theme.checks if check.applies(session)]
    waiting = [check.title for _, check in due]

    def lines(pair: tuple[Theme, Check]) -> tuple[Line, ...]:
        _, check = pair
        answer = _lines(check, session)
        waiting.remove(check.title)
        if waiting:
            say(f"checking: {', '.join(waiting[:3])}")
        return answer

    with Pool(_AT_ONCE) as pool:
        answers = list(pool.map(lines, due))
    rows = tuple(
        Row(theme.title, check.name, line) for (theme, check), found in zip(due, answers, strict=True) for line in found
    )
    vault = session.planned.vault
    return Preflight(stack, session.cluster.where, vault.address if vault else "", rows)


def _lines(check: Check, session: Session) -> tuple[Line, ...]:
    try:
        return tuple(check.ask(session))
    except UnreadableError as error:
        return (not_checked(check.title, str(error), "run it as an identity that may read this"),)
