"""Whether somebody can be asked before a command goes on."""

import sys

from components.schema.problem import ConfigError, Problem


def check_can_ask(command: str, yes: bool, input_is_taken: bool = False) -> None:
    """Raise `ConfigError` unless `--yes` answers or a terminal can; not one whose standard input something else has."""
    if not yes and (input_is_taken or not sys.stdin.isatty()):
        raise ConfigError([Problem(command, "--yes", "required where nobody can be asked")])
