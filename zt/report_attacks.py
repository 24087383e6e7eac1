"""The result of a `zt attack`, read back from the file that it wrote."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from components.typed_file import ConfigError, Problem
from zt.report_model import Attack, Attempt, Measurement

Result = Literal["blocked", "succeeded", "not measured"]


class _Part(BaseModel):
    # Keys may be added to the format without a new version.
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Control(_Part):
    layer: str
    component: str
    rules: tuple[str, ...]


class _Attempt(_Part):
    name: str
    tried: str
    result: Result
    answer: str
    control: _Control


class _Attack(_Part):
    number: int
    title: str
    result: Result
    attempts: tuple[_Attempt, ...]


class _Replay(_Part):
    version: Literal[1]
    stack: str
    service: str
    cluster: str
    attacks: tuple[_Attack, ...]


def read_attacks(file: Path | None, stack: str) -> tuple[Measurement, tuple[Attack, ...]]:
    """The attacks of a file of `zt attack --format json`, and where they come from.

    Raises `ConfigError` for a file that is not there or no such file, and for one of another stack.
    """
    if file is None:
        return Measurement(measured=False, reason="no result of zt attack given (--attacks FILE)"), ()
    try:
        found = _Replay.model_validate_json(file.read_bytes())
    except OSError as error:
        raise _wrong(f"cannot be read: {error.strerror}", file) from error
    except ValidationError as error:
        raise _wrong(f"is no output of `zt attack --format json`: {_first(error)}", file) from error
    if found.stack != stack:
        raise _wrong(f"holds the attacks on another stack: write one of {stack}", file, found.stack)
    where = f"{file.name}: as {found.service}, {found.cluster}"
    return Measurement(measured=True, source=where), tuple(map(_attack, found.attacks))


def _attack(found: _Attack) -> Attack:
    return Attack(
        number=found.number, title=found.title, result=found.result, attempts=tuple(map(_attempt, found.attempts))
    )


def _attempt(found: _Attempt) -> Attempt:
    control = f"{found.control.layer}: {', '.join(found.control.rules) or found.control.component}"
    return Attempt(name=found.name, tried=found.tried, result=found.result, answer=found.answer, control=control)


def count(attacks: Sequence[Attack], result: Result) -> int:
    """How many attempts had this result."""
    return sum(attempt.result == result for attack in attacks for attempt in attack.attempts)


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    return ": ".join(part for part in (".".join(map(str, problem["loc"])), problem["msg"]) if part)


def _wrong(message: str, file: Path, found: str = "") -> ConfigError:
    return ConfigError([Problem("zt report", "--attacks", f"{file} {message}", repr(found) if found else "")])
