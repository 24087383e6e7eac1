"""An API server that keeps what it is asked to change."""

from typing import Any


class RecordingApi:
    """`changed` has the last change of each path."""

    def __init__(self) -> None:
        self.changed: dict[str, Any] = {}

    def patch(self, path: str, change: dict[str, Any]) -> None:
        self.changed[path] = change
