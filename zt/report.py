"""`zt report`: everything that is known of a stack, as one page for people and as JSON for programs."""

import sys
from pathlib import Path

from rich.console import Console

from components.policy_library import PolicyLibraryError
from components.typed_file import ConfigError, Problem
from zt.atomic_write import write_atomically
from zt.compliance_cluster import ClusterError, connect
from zt.report_build import Connect, Request, report
from zt.report_model import Report
from zt.report_page import page

DONE, BAD_USAGE, UNREACHABLE = 0, 2, 3
_STANDARD_OUTPUT = "-"


def run(request: Request, output_format: str, output: str | None, connect_to: Connect | None = None) -> int:
    """Make the report, write it (without `output` see `destination`), and return the exit code.

    0: written. 2: a wrong argument or file. 3: the cluster cannot be read.
    """
    errors = Console(stderr=True, highlight=False)
    try:
        text = as_text(report(request, connect_to or connect), output_format)
        target = destination(request.stack, output_format, output)
        if target is None:
            sys.stdout.write(text)
        else:
            _write(target, text)
            errors.print(f"written to {target}", markup=False, soft_wrap=True)
    except (ConfigError, PolicyLibraryError) as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        return BAD_USAGE
    except ClusterError as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        return UNREACHABLE
    return DONE


def as_text(found: Report, output_format: str) -> str:
    """The report in a format: html or json."""
    if output_format == "json":
        return f"{found.model_dump_json(by_alias=True, indent=2)}\n"
    return page(found)


def destination(stack: str, output_format: str, output: str | None) -> Path | None:
    """The file to write; `None` for the standard output, which JSON goes to unless a file is named."""
    if output == _STANDARD_OUTPUT or (output is None and output_format == "json"):
        return None
    return Path(output or f"zero-trust-report-{stack}.html")


def _write(target: Path, text: str) -> None:
    try:
        write_atomically(target, text.encode())
    except OSError as error:
        raise ConfigError([Problem("--output", str(target), f"cannot be written: {error.strerror}")]) from error
