"""`zt new service`: the file of a service, refused before it is written when the program would refuse it."""

import sys
from pathlib import Path

from rich.console import Console

from components.policy_library import PolicyLibraryError
from components.typed_file import ConfigError, Problem
from zt.new_file import (
    COMMAND,
    Request,
    Values,
    flag,
    free_path,
    missing,
    read_others,
    service_text,
    write_new,
)
from zt.new_flags import values_of
from zt.new_outcome import outcome
from zt.new_prompts import ask, confirm
from zt.new_view import show

DONE, DECLINED, BAD_USAGE = 0, 1, 2


def command(
    name: str | None, flags: Values, project: Path, stack: str, yes: bool, dry_run: bool, output_format: str
) -> int:
    """`run` with what the flags say, each under the key it is for; `None` and an empty list say nothing."""
    try:
        values = values_of({key: value for key, value in flags.items() if value not in (None, [])})
    except ConfigError as error:
        return _refused(error)
    return run(Request(name, values, project, stack, yes, dry_run, output_format))


def at_terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty()


def run(request: Request) -> int:
    """Make the file and return the exit code: 0 written, or shown; 1 declined; 2 a wrong flag, file or stack."""
    try:
        return _run(request)
    except (ConfigError, PolicyLibraryError) as error:
        return _refused(error)


def _refused(error: Exception) -> int:
    Console(stderr=True, highlight=False).print(f"error: {error}", markup=False, soft_wrap=True)
    return BAD_USAGE


def _run(request: Request) -> int:
    name, values = request.name, request.values
    if name is not None:
        free_path(request.project, name)
    others = read_others(request.project)
    asks = at_terminal() and not request.yes
    if asks:
        name, values = ask(request, others)
    if name is None or missing(values):
        raise ConfigError(_missing_flags(name, values))
    path, text = free_path(request.project, name), service_text(values)
    # Planned before anything is written: a file that the program refuses would stop every other service's change.
    made = outcome(request.project, request.stack, f"services/{path.name}", text)
    confirms = asks and not request.dry_run
    if confirms:
        show(made, request.output_format, written=False, to_errors=True)
        if not confirm(path):
            return DECLINED
    if not request.dry_run:
        write_new(path, text)
    show(made, request.output_format, written=not request.dry_run, brief=confirms)
    return DONE


def _missing_flags(name: str | None, values: Values) -> list[Problem]:
    why = "missing: pass it, or run this at a terminal without --yes"
    return [Problem(COMMAND, one, why) for one in (*([] if name else ["NAME"]), *map(flag, missing(values)))]
