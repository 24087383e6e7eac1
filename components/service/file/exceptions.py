"""The section `exceptions` of a service file: exceptions from rules of the library.

An exception has a reason, an owner, a first and a last day. Source: https://kyverno.io/docs/exceptions/
"""

from collections.abc import Iterable, Iterator
from datetime import date

from pydantic import StrictStr

from components.kyverno.library import VALIDATING_TIERS, Library, load_library
from components.schema.problem import Problem
from components.schema.timed_exception import CRITICAL_DAYS, TimedException
from components.service.file.layers import LayeredFile


class ExceptionSpec(TimedException):
    """A rule that does not apply to this service, for a limited time."""

    rule: StrictStr
    """The name of the rule, which is that of its folder under `policies/`."""


def problem_with(spec: ExceptionSpec, library: Library, as_of: date | None) -> tuple[str, str, tuple[str, ...]] | None:
    """The key, the message and what is legal, if an exception is wrong. Without `as_of` it does not expire."""
    legal = tuple(rule.name for tier in VALIDATING_TIERS for rule in library.tier(tier))
    if spec.rule not in legal:
        return "rule", f"no validating rule of policies/ is called {spec.rule!r}", legal
    if library.rule(spec.rule).tier == "critical" and spec.days > CRITICAL_DAYS:
        message = f"{spec.days} days for a critical rule, {CRITICAL_DAYS} at most after granted {spec.granted}"
        return "expires", message, ()
    problem = spec.day_problem(as_of)
    return (*problem, ()) if problem else None


def exceptions_problems(
    file: LayeredFile[object], exceptions: Iterable[ExceptionSpec], as_of: date | None
) -> Iterator[Problem]:
    """The problems of a file's exceptions from rules of the library."""
    for number, exception in enumerate(exceptions):
        if problem := problem_with(exception, load_library(), as_of):
            key, message, legal = problem
            yield file.problem(("exceptions", number, key), message, legal=legal)
