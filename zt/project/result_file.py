"""Writes the result of a command: to a terminal, to the standard output, or to a file."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from components.schema.printable import printable
from components.schema.problem import ConfigError, Problem
from zt.project.console import plain_console
from zt.project.streams import say

_Result = TypeVar("_Result")


def write_result(
    result: _Result,
    output_format: str,
    output: Path | None,
    formats: Mapping[str, Callable[[_Result], str]],
    show: Callable[[_Result, Console], None],
) -> None:
    """Write a result to a file, a pipe or a device, or to the standard output. `show` writes text to a terminal.

    Raises `ConfigError` if the file cannot be written.
    """
    if output is None and output_format == "text" and sys.stdout.isatty():
        show(result, plain_console())
        return
    text = formats[output_format](result)
    if output is None:
        say(text, end="")
        return
    try:
        output.write_text(printable(text), encoding="utf-8")
    except OSError as error:
        raise ConfigError([Problem("--output", str(output), f"cannot be written: {error.strerror}")]) from error
