"""Finds the calls without their callee's consent, and adds it to the text of the callee's file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.package.file.directory import PackageFile, parse_package
from components.schema.problem import ConfigError, Problem
from components.schema.yaml_text import read_text
from components.service.file.consent import missing_consents
from components.service.file.directory import ServiceFile, parse_service
from components.service.file.layers import Layers
from zt.project.callers_text import with_callers

DeclaredFile = ServiceFile | PackageFile


@dataclass(frozen=True)
class Missing:
    """A call without consent: the callee's file and name, the caller as that file writes it, and where it calls."""

    file: str
    service: str
    caller: str
    called_in: str


def missing_in(files: Sequence[DeclaredFile]) -> tuple[Missing, ...]:
    """The calls of these files without consent, by callee and caller."""
    by_ref = {file.spec.ref: file for file in files}
    found: list[Missing] = []
    for one in missing_consents([file.spec for file in files]):
        caller, callee = by_ref[one.caller.ref], by_ref[one.callee.ref]
        line = caller.line_of(("calls", one.number))
        found.append(Missing(callee.file, str(one.callee.ref), one.written, f"{caller.file}:{line}"))
    return tuple(sorted(found, key=lambda row: (row.service, row.caller)))


def _parsed(text: str, like: DeclaredFile) -> DeclaredFile:
    if isinstance(like, PackageFile):
        return parse_package(Layers(like.file, text))
    return parse_service(text, like.file)


def agreed(callee: DeclaredFile, text: str, callers: Sequence[str]) -> str:
    """The text of a callee's file with these callers. Raises `ConfigError` where they cannot be added as text."""
    wanted = (*callee.spec.callers, *callers)
    longer = with_callers(text, callers)
    try:
        same = _parsed(longer, callee).spec == callee.spec.model_copy(update={"callers": wanted})
    except ConfigError:
        same = False
    if not same:
        message = "the file is written in a way that no command can add to: write them yourself"
        raise ConfigError([Problem(callee.file, "callers", message, legal=wanted)])
    return longer


def agreements(project: Path, files: Sequence[DeclaredFile], missing: Sequence[Missing]) -> Mapping[str, str]:
    """The new text of each file that lacks callers, by its name. Raises `ConfigError`."""
    callers = {file.file: [row.caller for row in missing if row.file == file.file] for file in files}
    return {
        file.file: agreed(file, read_text(project / file.file, file.file), callers[file.file])
        for file in files
        if callers[file.file]
    }
