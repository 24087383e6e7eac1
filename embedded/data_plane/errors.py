"""What can keep the data plane from running."""


class DataPlaneError(Exception):
    """The data plane cannot run on this machine, or a pod of it cannot start; the message says what to do."""
