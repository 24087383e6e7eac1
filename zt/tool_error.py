"""Why a program that the command runs gave no answer."""


class ToolError(Exception):
    """A tool is missing or failed: the message says which one, and what it said."""


class ConfigRefusedError(Exception):
    """The program refused its configuration in a process of its own: the message is its text."""
