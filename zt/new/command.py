"""`zt new service`: writes the file of a service, unless the program would refuse it."""

import sys
from pathlib import Path

from components.schema.problem import ConfigError, Problem
from zt.new.file import COMMAND, Request, Values, flag, free_path, missing, service_text
from zt.new.flags import values_of
from zt.new.outcome import outcome
from zt.new.output import show
from zt.new.prompts import ask, confirm
from zt.project.errors import ExitCode, tells_errors
from zt.project.service import service_files
from zt.project.written_file import create_file, replace_file


@tells_errors
def command(
    name: str | None, flags: Values, project: Path, stack: str, yes: bool, dry_run: bool, output_format: str
) -> int:
    """Run with the values of the flags, by their keys in the file. `None` and an empty list mean no value."""
    values = values_of({key: value for key, value in flags.items() if value not in (None, [])})
    return run(Request(name, values, project, stack, yes, dry_run, output_format))


def at_terminal() -> bool:
    """Whether the command runs at a terminal, where it can ask."""
    return sys.stdin.isatty()


def run(request: Request) -> int:
    """Write the file and return the exit code: 0 written, or shown; 1 declined; 2 a wrong flag, file or stack."""
    name, values = request.name, request.values
    if name is not None:
        free_path(request.project, name)
    others = service_files(request.project)
    asks = at_terminal() and not request.yes
    if asks:
        name, values = ask(request, others)
    if name is None or missing(values):
        raise ConfigError(_missing_flags(name, values))
    path, text = free_path(request.project, name), service_text(values)
    # Planned before the file is written, because a file that the program refuses blocks all other services.
    planned = outcome(request.project, request.stack, f"services/{path.name}", text)
    confirms = asks and not request.dry_run
    if confirms:
        show(planned, request.output_format, written=False, to_errors=True)
        if not confirm(path):
            return ExitCode.NO
    if not request.dry_run:
        create_file(request.project, planned.file, text)
        for file, agreed in planned.consents.items():
            replace_file(request.project, file, agreed)
    show(planned, request.output_format, written=not request.dry_run, brief=confirms)
    return ExitCode.DONE


def _missing_flags(name: str | None, values: Values) -> list[Problem]:
    why = "missing: pass it, or run this at a terminal without --yes"
    return [Problem(COMMAND, key, why) for key in (*([] if name else ["NAME"]), *map(flag, missing(values)))]
