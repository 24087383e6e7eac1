"""`zt consent`: finds calls without consent, prints or writes them, and returns the exit code."""

from pathlib import Path

from zt.consent.output import show
from zt.project.consent import agreements, missing_in
from zt.project.declared import declared_packages
from zt.project.errors import ExitCode, tells_errors
from zt.project.service import service_files
from zt.project.written_file import replace_file


@tells_errors
def run(project: Path, output_format: str, *, write: bool) -> int:
    """Print the missing consents, or write them: 0 none is missing or all are written, 1 some are missing."""
    files = [*service_files(project), *declared_packages(project)]
    missing = missing_in(files)
    if write:
        for file, text in agreements(project, files, missing).items():
            replace_file(project, file, text)
    show(missing, output_format, written=write)
    return ExitCode.NO if missing and not write else ExitCode.DONE
