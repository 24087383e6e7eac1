"""Writes what each team has to change before a rule is enforced: one Markdown message per team, without a time."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import cast

from components.kyverno.library import Rule
from components.schema.problem import ConfigError, Problem
from zt.cluster.compliance import Compliance, Violation

SERVICE_KEY = "zero-trust.dev/service-key"
"""The annotation of a rule with the key of a service file that controls it."""

ServiceFiles = Mapping[tuple[str, str], str]
"""The service file of each workload, by namespace and name."""

_EFFECTS = {
    "audit": "violations are reported, nothing is refused",
    "warn": "who applies a violating object is warned, nothing is refused",
    "enforce": "a violating object is refused when it is created or changed",
}


@dataclass(frozen=True)
class Notice:
    """The content of the messages about one rule."""

    rule: Rule
    stack: str
    phase: str
    next: str
    threshold: int
    compliance: Compliance


def messages(notice: Notice, service_files: ServiceFiles) -> dict[str, str]:
    """The message for each team with violations, by file name."""
    teams = groupby(notice.compliance.violations, key=lambda violation: violation.team)
    return {f"{team}.md": _message(notice, team, list(violations), service_files) for team, violations in teams}


def write_messages(directory: Path, texts: Mapping[str, str]) -> tuple[Path, ...]:
    """Write the messages into a directory, which is created if needed. Raises `ConfigError` if that fails."""
    written = tuple(directory / name for name in texts)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in zip(written, texts.values(), strict=True):
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        problem = Problem("zt promote", "--notify", f"cannot be written: {error.strerror}", repr(str(directory)))
        raise ConfigError([problem]) from error
    return written


def _message(notice: Notice, team: str, violations: list[Violation], service_files: ServiceFiles) -> str:
    notes = cast("Mapping[str, Mapping[str, str]]", notice.rule.document["metadata"])["annotations"]
    compliance = notice.compliance
    share = f"{compliance.compliant} of {compliance.measured} workloads keep to the rule ({compliance.percent} %)"
    rows = [
        (_cell(violation.object), _cell(violation.message), _place(violation, service_files, notes.get(SERVICE_KEY)))
        for violation in violations
    ]
    return f"""\
# {notice.rule.name}: {len(violations)} {"object" if len(violations) == 1 else "objects"} of team {team} to change

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
    """Escape text from the cluster for Markdown, so that a container's name does not become a link or a column."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", _flow(text))
