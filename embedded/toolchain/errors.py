"""What goes wrong when tools are found, built or staged."""


class ToolchainError(RuntimeError):
    """A tool or chart can't be provided; the message says which, why, and what to do."""
