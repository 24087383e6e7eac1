"""Prints exceptions: as a table for a person, or as one JSON object."""

from datetime import date

from rich.table import Table
from rich.text import Text

from zt.project.console import table_console
from zt.project.exceptions import Row

JSON_VERSION = 1


def as_json(rows: tuple[Row, ...], as_of: date) -> dict[str, object]:
    """The exceptions as data; days are ISO dates, and `expires` is the first day without the exception.

        {"version": 1, "asOf": day,
         "exceptions": [{"service": "namespace/name", "rule", "tier", "reason", "owner": text,
         "granted", "expires": day, "daysLeft": number, "state": "active" | "expired", "action", "stack": text}]}

    `action` is what the rule does on the stack (off, audit, warn, deny), and empty without one. `stack` is the stack
    whose file declares it, and empty for a service file.
    """
    return {
        "version": JSON_VERSION,
        "asOf": as_of.isoformat(),
        "exceptions": [
            {
                **{key: getattr(row, key) for key in ("service", "rule", "tier", "reason", "owner")},
                "granted": row.granted.isoformat(),
                "expires": row.expires.isoformat(),
                "daysLeft": row.days_left,
                "state": row.state,
                "action": row.action,
                "stack": row.stack,
            }
            for row in rows
        ],
    }


def show(rows: tuple[Row, ...], as_of: date) -> None:
    """Print the exceptions for a person."""
    console = table_console()
    if not rows:
        console.print("no file declares an exception")
        return
    with_action, with_stack = any(row.action for row in rows), any(row.stack for row in rows)
    columns = [
        "service",
        *(["stack"] if with_stack else []),
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
        cells = (row.service, *([row.stack] if with_stack else []), row.rule, row.tier)
        cells += (*([row.action] if with_action else []), row.owner, *days, row.state)
        table.add_row(*map(Text, (*cells, row.reason)), style="red" if row.expired else "")
    console.print(table)
    expired = sum(row.expired for row in rows)
    console.print(f"exceptions: {len(rows)}, expired as of {as_of}: {expired}")
