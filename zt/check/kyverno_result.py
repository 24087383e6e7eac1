"""The result of one rule for one object of a plan."""

from dataclasses import dataclass

Identity = tuple[str, str, str, str]


@dataclass(frozen=True)
class Result:
    """The result of one policy for one object: `pass`, `fail`, `skip`, `warn` or `error`."""

    policy: str
    identity: Identity
    result: str
    message: str
    exceptions: tuple[str, ...]
    """The exceptions that let the object pass."""
