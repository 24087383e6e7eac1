"""`zt report`: writes everything known about a stack as one page for people, or as JSON for programs."""

from pathlib import Path

from components.schema.problem import ConfigError, Problem
from zt.cluster.access import connect
from zt.project.atomic_write import write_atomically
from zt.project.errors import ExitCode, tells_errors
from zt.project.streams import say, tell
from zt.report.build import Connect, Request, report
from zt.report.model import Report
from zt.report.page import page

_STANDARD_OUTPUT = "-"


@tells_errors
def run(request: Request, output_format: str, output: str | None, connect_to: Connect | None = None) -> int:
    """Build the report, write it (without `output` see `destination`), and return the exit code.

    0: written. 2: a wrong argument or file. 3: the cluster cannot be read.
    """
    text = as_text(report(request, connect_to or connect), output_format)
    target = destination(request.stack, output_format, output)
    if target is None:
        say(text, end="")
    else:
        _write(target, text)
        tell(f"written to {target}")
    return ExitCode.DONE


def as_text(report: Report, output_format: str) -> str:
    """The report in a format: html or json."""
    if output_format == "json":
        return f"{report.model_dump_json(by_alias=True, indent=2)}\n"
    return page(report)


def destination(stack: str, output_format: str, output: str | None) -> Path | None:
    """The file to write, or `None` for the standard output, which is the default of JSON."""
    if output == _STANDARD_OUTPUT or (output is None and output_format == "json"):
        return None
    return Path(output or f"zero-trust-report-{stack}.html")


def _write(target: Path, text: str) -> None:
    try:
        write_atomically(target, text.encode())
    except OSError as error:
        raise ConfigError([Problem("--output", str(target), f"cannot be written: {error.strerror}")]) from error
