"""The exit codes of `zt`, and the place where an error becomes a message and an exit code."""

import os
import sys
from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from typing import ClassVar, ParamSpec

import typer

from components.schema.problem import ConfigError
from zt.project.process import INTERRUPTED, READER_GONE
from zt.project.streams import drop_output, tell


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
            code = run(*arguments, **named)
            # Now, since an error at the interpreter's end has no message and no exit code of ours.
            sys.stdout.flush()
        except ConfigError as error:
            stopped, code = str(error), ExitCode.WRONG
        except CommandError as error:
            stopped, code = str(error), error.exit_code
        except typer.Abort:
            # Interrupted at a question, or there is nobody to answer.
            stopped, code = "nothing is answered", INTERRUPTED
        except BrokenPipeError:
            drop_output()
            return READER_GONE
        except OSError as error:
            drop_output()
            stopped, code = _of_system(error)
        else:
            return code
        tell(f"error: {stopped}")
        return code

    return entry


def _of_system(error: OSError) -> tuple[str, ExitCode]:
    """An error of the operating system that nobody caught where the file is known better."""
    reason = error.strerror or str(error)
    if error.filename is None:
        return reason, ExitCode.NO_ANSWER
    return f"{os.fsdecode(error.filename)}: cannot be read or written: {reason}", ExitCode.WRONG
