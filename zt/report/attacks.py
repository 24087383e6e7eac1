"""Reads the results of `zt attack` from the files that it wrote, one for each attacker."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.schema.problem import ConfigError, Problem
from zt.report.model import Attack, Attempt, Measurement, Packet

Attacker = Literal["pod", "namespace-admin", "namespace-edit"]
Result = Literal["blocked", "succeeded", "not measured"]


class _Part(BaseModel):
    # Keys may be added to the format without a new version.
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Control(_Part):
    layer: str
    component: str
    rules: tuple[str, ...]


class _Packet(_Part):
    sender: str = Field(alias="from")
    target: str = Field(alias="to")
    by: str
    declared: bool
    judged: Literal["open", "blocked", ""]
    rule: str
    sent: Literal["open", "refused", "silent", "not sent"]
    answer: str
    differs: bool


class _Attempt(_Part):
    name: str
    tried: str
    result: Result
    answer: str
    control: _Control
    packets: tuple[_Packet, ...] = ()


class _Attack(_Part):
    number: int
    title: str
    result: Result
    attempts: tuple[_Attempt, ...]


class _Replay(_Part):
    version: Literal[1]
    stack: str
    # Files of an older `zt attack` do not name the attacker, which was a pod.
    attacker: Attacker = Field(default="pod", alias="as")
    service: str
    cluster: str
    attacks: tuple[_Attack, ...]


def read_attacks(files: Sequence[Path], stack: str) -> tuple[Measurement, tuple[Attack, ...]]:
    """The attacks in files of `zt attack --format json`, and where they come from.

    Raises `ConfigError` for a file that cannot be read, has another format, or is of another stack, and for two of one
    attacker.
    """
    if not files:
        return Measurement(measured=False, reason="no result of zt attack given (--attacks FILE)"), ()
    replays: dict[Attacker, _Replay] = {}
    sources: list[str] = []
    for file in files:
        replay = _read(file, stack)
        if replay.attacker in replays:
            raise _wrong("is a second one of this attacker: give one file for each", file, replay.attacker)
        replays[replay.attacker] = replay
        who = replay.service if replay.attacker == "pod" else f"{replay.attacker} of {replay.service}"
        sources.append(f"{file.name}: as {who}, {replay.cluster}")
    attacks = tuple(_attack(attack, replay.attacker) for replay in replays.values() for attack in replay.attacks)
    return Measurement(measured=True, source="; ".join(sources)), attacks


def _read(file: Path, stack: str) -> _Replay:
    try:
        replay = _Replay.model_validate_json(file.read_bytes())
    except OSError as error:
        raise _wrong(f"cannot be read: {error.strerror}", file) from error
    except ValidationError as error:
        raise _wrong(f"is no output of `zt attack --format json`: {_first(error)}", file) from error
    if replay.stack != stack:
        raise _wrong(f"holds the attacks on another stack: write one of {stack}", file, replay.stack)
    return replay


def _attack(attack: _Attack, attacker: Attacker) -> Attack:
    return Attack(
        number=attack.number,
        title=attack.title,
        attacker=attacker,
        result=attack.result,
        attempts=tuple(map(_attempt, attack.attempts)),
    )


def _attempt(attempt: _Attempt) -> Attempt:
    control = f"{attempt.control.layer}: {', '.join(attempt.control.rules) or attempt.control.component}"
    packets = tuple(Packet(**packet.model_dump()) for packet in attempt.packets)
    kept = attempt.model_dump(include={"name", "tried", "result", "answer"})
    return Attempt(**kept, control=control, packets=packets)


def count(attacks: Sequence[Attack], result: Result) -> int:
    """How many attempts had this result."""
    return sum(attempt.result == result for attack in attacks for attempt in attack.attempts)


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    return ": ".join(part for part in (".".join(map(str, problem["loc"])), problem["msg"]) if part)


def _wrong(message: str, file: Path, value: str = "") -> ConfigError:
    return ConfigError([Problem("zt report", "--attacks", f"{file} {message}", repr(value) if value else "")])
