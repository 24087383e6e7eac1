"""What `zt promote` prints: a table by team and the diff for a person, or one JSON object for a pipeline."""

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.policy_library import PolicyLibraryError
from components.typed_file import ConfigError
from zt.compliance import Compliance
from zt.compliance_cluster import ClusterError, connect
from zt.promote import Connect, Decision, Outcome, Request, promote

# A file or a pipe has no width to fit into: nothing is cut off there.
_FILE_WIDTH = 200
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def run(request: Request, output_format: str, connect_to: Connect | None = None) -> int:
    """Run a request, print its outcome, and return the exit code.

    0: done, or nothing to do. 1: refused, too few workloads comply or none is measured. 2: a wrong argument or file.
    3: the cluster cannot be read.
    """
    errors = Console(stderr=True, highlight=False)
    try:
        outcome = promote(request, connect_to or connect)
    except (ConfigError, PolicyLibraryError) as error:
        errors.print(str(error), markup=False, soft_wrap=True)
        return 2
    except ClusterError as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        return 3
    if output_format == "json":
        print(json.dumps(as_json(outcome), indent=2))
    else:
        show(outcome)
    return outcome.exit_code


def as_json(outcome: Outcome) -> dict[str, object]:
    """The outcome as data.

        {"decision": "moved" | "would-move" | "refused" | "not-measured" | "nothing-to-do",
         "rule", "stack", "file", "phase", "next": text, "threshold": percent, "cluster": text,
         "compliance": null | {"percent", "compliant", "measured", "owned", "stale", "excepted": number},
         "violations": [{"team", "kind", "namespace", "name", "message": text}],
         "diff": text, "messages": [path]}

    `compliance` is null when the decision needed none: nothing to do, or a step back.
    """
    found = outcome.compliance
    counts = ("percent", "compliant", "measured", "owned", "stale", "excepted")
    return {
        "decision": outcome.decision.value,
        **{key: getattr(outcome, key) for key in ("rule", "stack", "file", "phase", "next", "threshold", "cluster")},
        "compliance": {key: getattr(found, key) for key in counts} if found else None,
        "violations": [asdict(violation) for violation in found.violations] if found else [],
        "diff": outcome.diff,
        "messages": [str(path) for path in outcome.messages],
    }


def show(outcome: Outcome) -> None:
    """Print the outcome for a person."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH

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


def _measured(found: Compliance, outcome: Outcome) -> str:
    left_out = {"made by one of them": found.owned, "gone": found.stale, "excepted": found.excepted}
    rest = ", ".join(f"{number} {why}" for why, number in left_out.items() if number)
    share = f"{found.compliant} of {found.measured} workloads comply ({found.percent} %)"
    return f"{share}; {outcome.threshold} % are needed; left out: {rest or 'nothing'}; {outcome.cluster}"


def _table(found: Compliance) -> Table:
    table = Table("team", "object", "message", box=None, pad_edge=False)
    for violation in found.violations:
        # As Text: what comes from the cluster is no markup.
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
