"""`zt secret set` and `zt secret list`: their options, where values come from, and their output.

A value is never an argument, which every user of a machine can see, and never printed.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import typer
from rich.table import Table
from rich.text import Text

from components.schema.problem import ConfigError, Problem
from zt.cluster.vault import Access, connect
from zt.project.console import table_console
from zt.project.errors import ExitCode, tells_errors
from zt.project.service import service_files, service_spec
from zt.project.streams import say
from zt.secret.store import External, externals, give, missing

JSON_VERSION = 1
_LONGEST_BYTES = 512 * 1024

Connect = Callable[[Access], Any]


@dataclass(frozen=True)
class SetRequest:
    """The options of `zt secret set`; without `fields` all of them are set."""

    service: str
    secret: str
    fields: tuple[str, ...]
    project: Path
    access: Access


@tells_errors
def run_set(request: SetRequest, connect_to: Connect | None = None) -> int:
    """Write the values and return the exit code: 0 done, 2 a wrong argument, value or file, 3 Vault failed."""
    external = _external(request)
    fields = request.fields or external.fields
    values = _asked(fields) if sys.stdin.isatty() else _read(fields, sys.stdin.buffer.read(_LONGEST_BYTES + 1))
    with (connect_to or connect)(request.access) as vault:
        version = give(vault, external, values)
        say(f"{external.place}: {', '.join(fields)} in version {version}")
        if still := missing(vault, external):
            say(f"still missing: {', '.join(still)}; the service's pods wait for them")
    return ExitCode.DONE


@tells_errors
def run_list(project: Path, access: Access, output_format: str, connect_to: Connect | None = None) -> int:
    """Print the secrets from outside and return the exit code: 0 none is missing, 1 one is, 2 a file, 3 Vault."""
    every = externals([file.spec for file in service_files(project)])
    rows: list[tuple[External, tuple[str, ...]]] = []
    if every:
        with (connect_to or connect)(access) as vault:
            rows = [(external, missing(vault, external)) for external in every]
    if output_format == "json":
        say(json.dumps(as_json(rows), indent=2))
    else:
        _show(rows)
    return ExitCode.NO if any(lacking for _, lacking in rows) else ExitCode.DONE


def as_json(rows: Sequence[tuple[External, tuple[str, ...]]]) -> dict[str, object]:
    """The secrets from outside as data.

    {"version": 1, "secrets": [{"service": "namespace/name", "secret", "fields": [text], "missing": [text]}]}
    """
    return {
        "version": JSON_VERSION,
        "secrets": [
            {
                "service": str(external.place.owner),
                "secret": external.place.name,
                "fields": list(external.fields),
                "missing": list(lacking),
            }
            for external, lacking in rows
        ],
    }


def _show(rows: Sequence[tuple[External, tuple[str, ...]]]) -> None:
    console = table_console()
    if not rows:
        console.print("no service file has a secret from outside")
        return
    table = Table("service", "secret", "fields", "missing", box=None, pad_edge=False)
    for external, lacking in rows:
        cells = (str(external.place.owner), external.place.name, ", ".join(external.fields), ", ".join(lacking))
        table.add_row(*map(Text, cells), style="red" if lacking else "")
    console.print(table)


def _external(request: SetRequest) -> External:
    """The secret that is meant. Raises `ConfigError` with what is legal."""
    spec = service_spec(request.project, request.service)
    known = {external.place.name: external for external in externals([spec])}
    if request.secret not in known:
        raise _wrong("NAME", "no secret of the service with fields under external", request.secret, sorted(known))
    external = known[request.secret]
    if unknown := next((field for field in request.fields if field not in external.fields), ""):
        raise _wrong("--field", "no field under external of this secret", unknown, external.fields)
    return external


def _asked(fields: Sequence[str]) -> Mapping[str, str]:
    # On the standard error, because programs read the standard output.
    return {field: typer.prompt(field, hide_input=True, confirmation_prompt=True, err=True) for field in fields}


def _read(fields: Sequence[str], raw: bytes) -> Mapping[str, str]:
    """The values on the standard input. An error never shows one. Raises `ConfigError`."""
    if len(raw) > _LONGEST_BYTES:
        raise _wrong(
            "standard input", f"longer than {_LONGEST_BYTES} bytes, which Vault's storage takes at most", "", ()
        )
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise _wrong("standard input", "not text in UTF-8: encode it, as with base64", "", ()) from error
    if len(fields) == 1:
        # What a shell's echo adds, or an editor.
        value = text.removesuffix("\n").removesuffix("\r")
        if not value:
            raise _wrong("standard input", f"empty: it is the value of {fields[0]}", "", ())
        return {fields[0]: value}
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _wrong("standard input", "no JSON object with a text for each field", "", fields) from error
    given = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    if set(given) != set(fields) or not all(isinstance(value, str) and value for value in given.values()):
        raise _wrong("standard input", "no JSON object with a text for each field, and no other", "", fields)
    return {field: str(given[field]) for field in fields}


def _wrong(key: str, message: str, value: str, legal: Sequence[str]) -> ConfigError:
    return ConfigError([Problem("zt secret", key, message, repr(value) if value else "", tuple(legal))])
