"""The random package: its table and the backend, which has nothing to connect to."""

from . import engine
from .random_rows import ROWS
from .rows import ProviderError, Row, Values
from .server import Backend, Package


class RandomBackend:
    """Makes values once; from then on they live in the state alone."""

    def create(self, row: Row, inputs: Values) -> tuple[str, dict[str, object]]:
        """Make a value."""
        if row.generate is None:
            raise ProviderError(f"{row.token} has no generator")
        wanted = engine.with_defaults(row, inputs)
        made = row.generate(wanted)
        return str(made.pop("id")), {**wanted, **made}

    def read(self, row: Row, object_id: str, state: Values) -> tuple[str, dict[str, object]] | None:
        """The value as the state has it; for an import, as the id spells it."""
        if state:
            return object_id, dict(state)
        if row.parse is None:
            raise ProviderError(f"{row.token} can't be imported")
        known = row.parse(object_id)
        return str(known.pop("id")), engine.with_defaults(row, known)

    def update(self, row: Row, object_id: str, state: Values, old_inputs: Values, inputs: Values) -> dict[str, object]:  # noqa: ARG002 - Backend's signature
        """Nothing changes in place: every input replaces."""
        return dict(state)

    def delete(self, row: Row, object_id: str, state: Values) -> None:
        """A value goes with its state."""

    def close(self) -> None:
        """Nothing was taken."""


def _connect(_: Values) -> Backend:
    return RandomBackend()


RANDOM = Package("pulumi_random", ROWS, Row("pulumi:providers:random", "", props=()), _connect)
