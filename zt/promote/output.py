"""Prints an outcome: as a table by team with the diff for a person, or as one JSON object for a pipeline."""

from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from zt.cluster.compliance import Compliance
from zt.project.console import table_console
from zt.promote.model import Decision, Outcome

JSON_VERSION = 1
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def as_json(outcome: Outcome) -> dict[str, object]:
    """The outcome as data.

        {"version": 1, "decision": "moved" | "would-move" | "refused" | "not-measured" | "nothing-to-do",
         "rule", "stack", "file", "phase", "next": text, "threshold": percent, "cluster": text,
         "compliance": null | {"percent", "compliant", "measured", "owned", "stale", "excepted": number},
         "violations": [{"team", "kind", "namespace", "name", "message": text}],
         "diff": text, "messages": [path]}

    `compliance` is null when the decision needed none: nothing to do, or a step back.
    """
    compliance = outcome.compliance
    counts = ("percent", "compliant", "measured", "owned", "stale", "excepted")
    return {
        "version": JSON_VERSION,
        "decision": outcome.decision.value,
        **{key: getattr(outcome, key) for key in ("rule", "stack", "file", "phase", "next", "threshold", "cluster")},
        "compliance": {key: getattr(compliance, key) for key in counts} if compliance else None,
        "violations": [asdict(violation) for violation in compliance.violations] if compliance else [],
        "diff": outcome.diff,
        "messages": [str(path) for path in outcome.messages],
    }


def show(outcome: Outcome) -> None:
    """Print the outcome for a person."""
    console = table_console()

    def say(text: str, style: str = "") -> None:
        console.print(Text(text, style), soft_wrap=True)

    if outcome.decision is Decision.NOTHING:
        say(f"{outcome.rule} is in phase {outcome.phase} on {outcome.stack} already: nothing to do")
        return
    say(f"{outcome.rule} on {outcome.stack}: {outcome.phase} -> {outcome.next}", "bold")
    if outcome.compliance is not None:
        say(_measured(outcome.compliance, outcome))
        if outcome.compliance.violations:
            console.print()
            console.print(_table(outcome.compliance))
    for path in outcome.messages:
        say(f"wrote {path}")
    console.print()
    for line in outcome.diff.splitlines():
        say(line, _DIFF_STYLES.get(line[0], ""))
    say(_conclusion(outcome), "red" if outcome.exit_code else "green")


def _measured(compliance: Compliance, outcome: Outcome) -> str:
    left_out = {"made by one of them": compliance.owned, "gone": compliance.stale, "excepted": compliance.excepted}
    rest = ", ".join(f"{number} {why}" for why, number in left_out.items() if number)
    share = f"{compliance.compliant} of {compliance.measured} workloads comply ({compliance.percent} %)"
    return f"{share}; {outcome.threshold} % are needed; left out: {rest or 'nothing'}; {outcome.cluster}"


def _table(compliance: Compliance) -> Table:
    table = Table("team", "object", "message", box=None, pad_edge=False)
    for violation in compliance.violations:
        # As Text, so that nothing from the cluster is read as markup.
        table.add_row(Text(violation.team), Text(violation.object), Text(violation.message))
    return table


def _conclusion(outcome: Outcome) -> str:
    match outcome.decision:
        case Decision.NOT_MEASURED:
            return (
                f"refused: no PolicyReport has a result of {outcome.rule}, so nothing is measured. Is the stack up "
                "with the rule on? Kyverno writes the first reports about a minute after."
            )
        case Decision.REFUSED:
            return (
                f"refused: {outcome.rule} stays in {outcome.phase} until {outcome.threshold} % of the workloads "
                "comply. --notify DIR writes a message for each team."
            )
        case Decision.WOULD_MOVE:
            return f"{outcome.file} stays as it is (--dry-run)."
        case _:
            return (
                f"{outcome.file} is changed, nothing is applied. Open a pull request with it; the next `pulumi up` of "
                f"{outcome.stack} moves the rule."
            )
