"""The exit codes of `zt`, and the place where an error becomes a message and an exit code."""

import sys
from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from typing import ClassVar, ParamSpec

from components.schema.problem import ConfigError


class ExitCode(IntEnum):
    """How a command ends. Each command's help says what `NO` means; VERSIONING.md promises all four codes."""

    DONE = 0
    NO = 1
    """It ran, and the answer is no: something would be refused, is weaker, has expired, or was declined."""
    WRONG = 2
    """An argument or a file is wrong: the caller can correct it."""
    NO_ANSWER = 3
    """A tool, a cluster, Vault or its log gave no answer: the same command may succeed later."""


class CommandError(Exception):
    """An error that stops a command, with a message for its caller. A subclass may set another exit code."""

    exit_code: ClassVar[ExitCode] = ExitCode.NO_ANSWER


class ToolError(CommandError):
    """A tool is missing or failed. The message names it and has its output."""


class ConfigRefusedError(CommandError):
    """The program, run in a separate process, refused its configuration. The message is its text."""

    exit_code = ExitCode.WRONG


_Parameters = ParamSpec("_Parameters")


def tells_errors(run: Callable[_Parameters, int]) -> Callable[_Parameters, int]:
    """Decorate the entry of a command: an error is written to the standard error and becomes the exit code.

    The standard output has only the result: a program that reads JSON there gets it, or nothing.
    """

    @wraps(run)
    def entry(*arguments: _Parameters.args, **named: _Parameters.kwargs) -> int:
        try:
            return run(*arguments, **named)
        except ConfigError as error:
            stopped, code = error, ExitCode.WRONG
        except CommandError as error:
            stopped, code = error, error.exit_code
        sys.stderr.write(f"error: {stopped}\n")
        return code

    return entry
