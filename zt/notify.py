"""Tells each team what to change before a rule is enforced: one Markdown message per team, with no clock in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import cast

from components.policy_library import Rule
from components.typed_file import ConfigError, Problem
from zt.compliance import Compliance, Violation

SERVICE_KEY = "zero-trust.dev/service-key"
"""The annotation of a rule that names the key of a service file which decides about it."""

ServiceFiles = Mapping[tuple[str, str], str]
"""The service file that makes a workload, by namespace and name."""

_EFFECTS = {
    "audit": "violations are reported, nothing is refused",
    "warn": "who applies a violating object is warned, nothing is refused",
    "enforce": "a violating object is refused when it is created or changed",
}


@dataclass(frozen=True)
class Notice:
    """What the messages of one rule say."""

    rule: Rule
    stack: str
    phase: str
    next: str
    threshold: int
    compliance: Compliance


def messages(notice: Notice, service_files: ServiceFiles) -> dict[str, str]:
    """The text for each team that has violations, by file name."""
    teams = groupby(notice.compliance.violations, key=lambda violation: violation.team)
    return {f"{team}.md": _message(notice, team, list(own), service_files) for team, own in teams}


def write_messages(directory: Path, texts: Mapping[str, str]) -> tuple[Path, ...]:
    """Write the messages into a directory, made when absent. Raises `ConfigError` when it cannot be written."""
    written = tuple(directory / name for name in texts)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in zip(written, texts.values(), strict=True):
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        problem = Problem("zt promote", "--notify", f"cannot be written: {error.strerror}", repr(str(directory)))
        raise ConfigError([problem]) from error
    return written


def _message(notice: Notice, team: str, own: list[Violation], service_files: ServiceFiles) -> str:
    notes = cast("Mapping[str, Mapping[str, str]]", notice.rule.document["metadata"])["annotations"]
    found = notice.compliance
    share = f"{found.compliant} of {found.measured} workloads keep to the rule ({found.percent} %)"
    rows = [
        (_cell(violation.object), _cell(violation.message), _place(violation, service_files, notes.get(SERVICE_KEY)))
        for violation in own
    ]
    return f"""\
# {notice.rule.name}: {len(own)} {"object" if len(own) == 1 else "objects"} of team {team} to change

{notes["policies.kyverno.io/title"]}. {_flow(notes["policies.kyverno.io/description"])}

- Stack: `{notice.stack}`
- Severity: {notes["policies.kyverno.io/severity"]}
- Phase now: `{notice.phase}` ({_EFFECTS[notice.phase]})
- Phase next: `{notice.next}` ({_EFFECTS[notice.next]})
- All teams together: {share}; the next phase needs {notice.threshold} %

## What to change

{_remedy(notice.rule)}

| object | what is wrong | where to change it |
| --- | --- | --- |
{"".join(f"| {' | '.join(row)} |{chr(10)}" for row in rows)}"""


def _remedy(rule: Rule) -> str:
    spec = cast("Mapping[str, object]", rule.document["spec"])
    validations = cast("list[Mapping[str, str]]", spec.get("validations", []))
    return "\n\n".join(_flow(validation["message"]) for validation in validations if validation.get("message"))


def _place(violation: Violation, service_files: ServiceFiles, key: str | None) -> str:
    file = service_files.get((violation.namespace, violation.name))
    if file is None:
        return "its own manifest: no service file makes it"
    return f"key `{key}` of `{file}`" if key else f"`{file}`"


def _flow(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    """Text from the cluster as Markdown shows it: what a container is called must not become a link or a column."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", _flow(text))
