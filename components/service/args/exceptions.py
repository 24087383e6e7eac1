"""The arguments of an exception from a rule."""

from dataclasses import dataclass

from components.service.file.exceptions import ExceptionSpec


@dataclass(frozen=True)
class ExceptionArgs:
    """An exception from a rule; `expires` is an ISO date."""

    rule: str
    reason: str
    owner: str
    expires: str


def exception_args(spec: ExceptionSpec) -> ExceptionArgs:
    """The arguments of an exception in a service file."""
    return ExceptionArgs(spec.rule, spec.reason, spec.owner, spec.expires.isoformat())
