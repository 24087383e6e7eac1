"""From a wrong field of Args to the problem of the stack file's key that filled it."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from components.config.settings import Settings
from components.config.stack_source import StackSource
from components.program.stack import Stack
from components.schema.problem import ConfigError, FieldError, keys_of
from components.schema.typed_file import legal_keys

P = ParamSpec("P")
R = TypeVar("R")


def stack_keys(**keys: str) -> Callable[[Callable[Concatenate[Stack, P], R]], Callable[Concatenate[Stack, P], R]]:
    """A decorator for what makes Args of a stack: a wrong field becomes a `ConfigError` at the key that filled it.

    `keys` has the key of each field that comes from the stack file. Any other field is the program's own mistake, and
    passes as it is.
    """

    def decorated(made: Callable[Concatenate[Stack, P], R]) -> Callable[Concatenate[Stack, P], R]:
        @wraps(made)
        def judged(stack: Stack, *args: P.args, **kwargs: P.kwargs) -> R:
            try:
                with keys_of(**keys):
                    return made(stack, *args, **kwargs)
            except FieldError as fault:
                if fault.key.partition(".")[0] not in legal_keys(Settings, ()):
                    raise
                problem = StackSource(stack.file, stack.line_of).problem(
                    fault.key, fault.message, fault.value, fault.legal
                )
                raise ConfigError([problem]) from fault

        return judged

    return decorated
