"""What can keep the node from running."""


class NodeError(Exception):
    """The node cannot run on this machine, or a part of it cannot start; the message says what to do."""
