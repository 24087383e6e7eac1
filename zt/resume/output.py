"""`zt resume` as text and as JSON."""

import json

from rich.table import Table
from rich.text import Text

from zt.project.console import table_console
from zt.project.streams import say
from zt.resume.plan import Action, Plan, Step

JSON_VERSION = 1
"""Rises when a key goes or changes its meaning."""

_WHAT = {
    Action.TAKE: "becomes the stack's, if Vault has it",
    Action.READ: "is read again",
    Action.REMOVE: "loses Helm's record",
    Action.MAKE: "is made by the next `pulumi up`",
}


def tell_plan(stack: str, planned: Plan) -> None:
    """Show what is to be done, on the standard error."""
    console = table_console(stderr=True)
    console.print(f"{stack}: an update was interrupted, and {_number(len(planned.steps))}:")
    table = Table("type", "name", "was", "what is done", box=None, pad_edge=False)
    for step in planned.steps:
        table.add_row(*map(Text, (step.type, step.name, step.operation, _done(step))))
    console.print(table)


def write(stack: str, planned: Plan, settled: bool, output_format: str) -> None:
    """Write the result to the standard output."""
    if output_format == "json":
        rows = [
            {
                "urn": step.urn,
                "type": step.type,
                "operation": step.operation,
                "action": step.action.value,
                "detail": step.detail,
            }
            for step in planned.steps
        ]
        say(json.dumps({"version": JSON_VERSION, "stack": stack, "settled": settled, "steps": rows}, indent=2))
    elif not planned.steps:
        say(f"{stack}: nothing is pending")
    elif settled:
        say(f"{stack}: nothing is pending any more: `pulumi up --stack {stack}` goes on")


def _done(step: Step) -> str:
    return f"{_WHAT[step.action]}: {step.detail}" if step.detail else _WHAT[step.action]


def _number(count: int) -> str:
    return "1 operation is pending" if count == 1 else f"{count} operations are pending"
