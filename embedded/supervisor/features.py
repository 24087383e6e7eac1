"""The further parts that were asked for: the command line writes them down, the supervisor follows them."""

import json
from pathlib import Path

from embedded.paths import State
from embedded.supervisor.private_files import write_private_json

WANTED = "wanted.json"


class Features:
    """The further parts of one checkout. What was asked for once comes with every start, until it is forgotten."""

    def __init__(self, state: State) -> None:
        self._file: Path = state.run / WANTED

    def __contains__(self, name: str) -> bool:
        return self._read().get(name, False)

    def add(self, **features: bool) -> None:
        """Add those that are true."""
        write_private_json(self._file, self._read() | {name: True for name, on in features.items() if on})

    def forget(self, name: str) -> None:
        """Forget one, whether it was asked for or not."""
        write_private_json(self._file, {other: True for other in self._read() if other != name})

    def _read(self) -> dict[str, bool]:
        return json.loads(self._file.read_text()) if self._file.exists() else {}
