"""A report as text for a person: for each service its verdicts, with what to change and where."""

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from zt.check.report import Report
from zt.check.verdicts import Outcome, Verdict
from zt.project.console import printed

_STYLES = {
    Outcome.REFUSED: "bold red",
    Outcome.EXPIRED: "bold red",
    Outcome.WARNED: "yellow",
    Outcome.EXCEPTED: "dim",
}
_WIDTH = 110


def text_report(report: Report) -> str:
    """The report without colours, for a file or a pipe."""
    return printed(lambda console: print_report(report, console), _WIDTH)


def print_report(report: Report, console: Console) -> None:
    """Write the report to a terminal."""
    for service, verdicts in report.by_service().items():
        console.print(Text(service, style="bold"))
        for verdict in verdicts:
            _print_verdict(verdict, console)
        console.print()
    for warning in report.warnings:
        console.print(Text(f"not checked: {warning}", style="yellow"))
    console.print(Text(summary(report), style="red" if report.blocking() else "green"))


def _print_verdict(verdict: Verdict, console: Console) -> None:
    line = Text("  ")
    line.append(f"{verdict.outcome.value:<9}", style=_STYLES[verdict.outcome])
    line.append(verdict.rule, style="bold")
    details = ", ".join(part for part in (verdict.tier, verdict.action) if part)
    line.append(f"  ({details})  " if details else "  ", style="dim")
    line.append(verdict.subject)
    if verdict.release:
        line.append(f" of the release {verdict.release}", style="dim")
    console.print(line, soft_wrap=True)
    console.print(Padding(Text(verdict.message), (0, 0, 0, 11)))
    console.print(Padding(Text(where(verdict), style="cyan"), (0, 0, 0, 11)), soft_wrap=True)


def where(verdict: Verdict) -> str:
    """The file, the line and the key to change, or the resource of the program that makes the object."""
    place = verdict.place
    at = f"{place.file}:{place.line}" if place.line else place.file
    if place.key:
        return f"{at}  key {place.key}" + ("" if place.written else ", to be added")
    return f"{at}  no key: the program makes it ({place.made_by})"


def summary(report: Report) -> str:
    """The report in one line."""
    counts = [f"{number} {outcome.value}" for outcome in Outcome if (number := report.count(outcome))]
    outcomes = ", ".join(counts) or "clean"
    return f"{report.stack}: {outcomes}; {report.objects} objects held against {report.rules} rules"
