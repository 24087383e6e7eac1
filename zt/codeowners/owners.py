"""The owner of each service file: its team, unless it says what the platform has to approve.

GitHub asks for one review, of any owner of the last line that matches. So a file has one kind of owner: with two, a
team could approve what is not the team's to grant.
https://docs.github.com/en/repositories/managing-your-repositorys-settings-and-features/customizing-your-repository/about-code-owners
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from components.config.approvals import (
    APPROVALS,
    CRITICAL_EXCEPTIONS,
    EGRESS,
    OTHER_EXCEPTIONS,
    PATCH,
    PLACEMENT,
    PUBLIC_HOSTS,
    Approver,
)
from components.kyverno.library import Library
from components.schema.fields import DNS_LABEL
from components.schema.problem import ConfigError, Problem
from components.schema.yaml_text import read_text, read_yaml
from components.service.file.layers import is_of_a_stack
from zt.project.stack_file import StackFile, project_library, stack_names

BEGIN, END = "# Written by `zt codeowners --write`, from here:", "# to here."
_ROWS: Mapping[str, str] = {
    "egress": EGRESS,
    "host": PUBLIC_HOSTS,
    "aliases": PUBLIC_HOSTS,
    "patch": PATCH,
    "placement": PLACEMENT,
}
_WIDTH = 32


def lines_of(project: Path, text: str, file: str) -> list[str]:
    """A line for each service file, with its owners. Raises `ConfigError` for a file that cannot be read."""
    platform = _platform(text, file)
    organisation = platform[0].rpartition("/")[0]
    environments = {name: StackFile.read(project, name).settings.environment for name in stack_names(project)}
    library = project_library(project)
    lines: list[str] = []
    teams: dict[str, str] = {}
    for path in sorted((project / "services").glob("*.yaml"), key=lambda path: (is_of_a_stack(path), path.name)):
        name = f"services/{path.name}"
        values = read_yaml(read_text(path, name), name)
        service, _, stack = path.stem.partition(".")
        team = values.get("team") or teams.get(service)
        if not isinstance(team, str):
            raise ConfigError([Problem(name, "team", "required: it says who reviews the file")])
        # Of these the line is made: a pattern or a space in one would own what is not its.
        for key, written in (("file name", service), ("file name", stack or service), ("team", team)):
            if not re.fullmatch(DNS_LABEL, written):
                raise ConfigError([Problem(name, key, "not a DNS label", repr(written))])
        teams.setdefault(service, team)
        asked = {environments[stack]} if stack in environments else set(environments.values())
        owners = platform if _asks_platform(values, asked, library) else [f"{organisation}/{teams[service]}"]
        lines.append(f"{f'/{name}':<{_WIDTH}}{' '.join(owners)}".rstrip())
    return sorted(lines)


def with_lines(text: str, lines: list[str], file: str) -> str:
    """The text with these lines between the two marks, at its end if it has none. The last line that matches decides.

    Raises `ConfigError` for one mark without the other.
    """
    before, begin, rest = text.partition(f"{BEGIN}\n")
    _, end, after = rest.partition(f"{END}\n") if begin else ("", "", "")
    if bool(begin) != bool(end):
        raise ConfigError([Problem(file, BEGIN, f"the line that ends it is not there: {END}")])
    if not begin:
        before, after = f"{text.rstrip()}\n\n", ""
    return "\n".join([f"{before}{BEGIN}", *lines, f"{END}\n{after}"])


def _platform(text: str, file: str) -> list[str]:
    """The owners of what nobody else owns."""
    for line in text.splitlines():
        parts = line.partition("#")[0].split()
        if len(parts) > 1 and parts[0] == "*" and "/" in parts[1]:
            return parts[1:]
    message = "no line says who owns everything: the platform's team, as * @organisation/team"
    raise ConfigError([Problem(file, "*", message)])


def _asks_platform(values: Mapping[str, object], environments: set[str], library: Library) -> bool:
    rows = set(_rows(values, library))
    tables = [APPROVALS[name] for name in environments]
    return any(getattr(table, row) is Approver.PLATFORM for table in tables for row in rows)


def _rows(values: Mapping[str, object], library: Library) -> Iterator[str]:
    """The rows of the table that a file falls under, by its keys: an empty one counts too, as it may hide another."""
    yield from (row for key, row in _ROWS.items() if key in values)
    if any("host" in port for port in _mappings(values.get("ports"))):
        yield PUBLIC_HOSTS
    for job in _mappings(values.get("jobs")):
        if "placement" in job:
            yield PLACEMENT
    for exception in _mappings(values.get("exceptions")):
        known = library.rules.get(str(exception.get("rule")))
        yield OTHER_EXCEPTIONS if known is not None and known.tier != "critical" else CRITICAL_EXCEPTIONS


def _mappings(value: object) -> Iterator[Mapping[str, object]]:
    """The mappings in a list, or behind the names of a mapping; none in anything else."""
    items: object = list(cast("Mapping[str, object]", value).values()) if isinstance(value, dict) else value
    for item in cast("list[object]", items) if isinstance(items, list) else ():
        if isinstance(item, dict):
            yield cast("Mapping[str, object]", item)
