"""Every exception that a service file declares, in one list with its reason, its owner and its last day."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.policy_exceptions import TimedException
from components.policy_library import PolicyLibraryError, Rule
from components.service_files import Admission, read_services
from components.typed_file import ConfigError
from zt.stack_file import StackFile, project_library

MESH = "mesh"
"""The tier of an exception that no rule of the library is concerned with."""
_FILE_WIDTH = 200


@dataclass(frozen=True)
class Row:
    """One exception on a day: from a rule, or from the mesh's mTLS at one port (`mtls:<port>`).

    `action` is what its rule does on the stack that was asked for.
    """

    service: str
    rule: str
    tier: str
    reason: str
    owner: str
    granted: date
    expires: date
    days_left: int
    expired: bool
    action: str = ""

    @property
    def state(self) -> str:
        """`active` or `expired`."""
        return "expired" if self.expired else "active"


def exceptions(project: Path, as_of: date, stack: str | None = None) -> tuple[Row, ...]:
    """The exceptions of all service files, the first to end first. Raises `ConfigError` for a wrong file or stack."""
    library = project_library(project)
    services = read_services(project / "services", Admission(registries=(), api_server_reachable=True))
    action = _actions(project, stack)
    rows: list[Row] = []
    for service in services:
        name = f"{service.namespace}/{service.name}"
        for spec in service.exceptions:
            rule = library.rule(spec.rule)
            rows.append(_row(name, rule.name, rule.tier, spec, as_of, action(rule)))
        rows += (
            _row(name, f"mtls:{clear.port}", MESH, clear, as_of, action(None)) for clear in service.plaintext_ports
        )
    return tuple(sorted(rows, key=lambda row: (row.expires, row.service, row.rule)))


def _row(service: str, rule: str, tier: str, spec: TimedException, as_of: date, action: str) -> Row:
    reason, left = " ".join(spec.reason.split()), (spec.expires - as_of).days
    return Row(service, rule, tier, reason, spec.owner, spec.granted, spec.expires, left, spec.expired(as_of), action)


def _actions(project: Path, stack: str | None) -> Callable[[Rule | None], str]:
    """What a rule does on the stack, and what the mesh does with clear text when there is no rule."""
    if stack is None:
        return lambda rule: ""  # noqa: ARG005 - the rule does not matter without a stack
    file = StackFile.read(project, stack)
    from components.kyverno_policy_set import action_of
    from components.plan import policy_args
    from components.stack import Stack

    # Which services there are decides nothing about a rule.
    posture = file.settings.decisions()
    args = policy_args(Stack(file.name, file.settings, posture, None, ()))
    clear_text = "deny" if posture.mtls == "STRICT" else "off"

    def action(rule: Rule | None) -> str:
        if rule is None:
            return clear_text
        return action_of(rule, args).value if args else "off"

    return action


def run(project: Path, output_format: str, as_of: date, stack: str | None = None) -> int:
    """Print the exceptions and return the exit code: 0, 1 when one is expired, 2 for a wrong file or argument."""
    try:
        rows = exceptions(project, as_of, stack)
    except (ConfigError, PolicyLibraryError) as error:
        Console(stderr=True, highlight=False).print(str(error), markup=False, soft_wrap=True)
        return 2
    if output_format == "json":
        print(json.dumps(as_json(rows, as_of), indent=2))
    else:
        show(rows, as_of)
    return int(any(row.expired for row in rows))


def as_json(rows: tuple[Row, ...], as_of: date) -> dict[str, object]:
    """The exceptions as data; days are ISO dates, and `expires` is the first day without the exception.

        {"asOf": day, "exceptions": [{"service": "namespace/name", "rule", "tier", "reason", "owner": text,
         "granted", "expires": day, "daysLeft": number, "state": "active" | "expired", "action": text}]}

    `action` is what the rule does on the stack (off, audit, warn, deny), and empty without one.
    """
    return {
        "asOf": as_of.isoformat(),
        "exceptions": [
            {
                **{key: getattr(row, key) for key in ("service", "rule", "tier", "reason", "owner")},
                "granted": row.granted.isoformat(),
                "expires": row.expires.isoformat(),
                "daysLeft": row.days_left,
                "state": row.state,
                "action": row.action,
            }
            for row in rows
        ],
    }


def show(rows: tuple[Row, ...], as_of: date) -> None:
    """Print the exceptions for a person."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    if not rows:
        console.print("no service file declares an exception")
        return
    with_action = any(row.action for row in rows)
    columns = [
        "service",
        "rule",
        "tier",
        *(["does"] if with_action else []),
        "owner",
        "granted",
        "expires",
        "days left",
    ]
    table = Table(*columns, "state", "reason", box=None, pad_edge=False)
    for row in rows:
        days = (row.granted.isoformat(), row.expires.isoformat(), str(row.days_left))
        cells = (row.service, row.rule, row.tier, *([row.action] if with_action else []), row.owner, *days, row.state)
        table.add_row(*map(Text, (*cells, row.reason)), style="red" if row.expired else "")
    console.print(table)
    expired = sum(row.expired for row in rows)
    console.print(f"exceptions: {len(rows)}, expired as of {as_of}: {expired}")
