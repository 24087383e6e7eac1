"""How often the stand-in of the Vault provider asks again, and for which answers."""

from types import SimpleNamespace
from typing import Any

import pytest

from embedded.providers.vault_session import Line

pytestmark = pytest.mark.unit

UPGRADING = (400, {"errors": ["Upgrading from non-versioned to versioned data. This backend will be unavailable"]})
BROKEN, SEALED, REFUSED, DONE = (
    (500, {"errors": ["odd"]}),
    (503, {}),
    (400, {"errors": ["no"]}),
    (200, {"data": {"a": 1}}),
)


class Response:
    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status_code, self._body, self.content, self.text = status, body, b"{}", str(body)

    def json(self) -> dict[str, Any]:
        return self._body


@pytest.mark.parametrize(
    ("answers", "paused", "status"),
    [
        ([DONE], [], 200),
        ([REFUSED], [], 400),
        ([SEALED], [], 503),
        ([BROKEN, BROKEN, DONE], [0.25, 0.5], 200),
        ([BROKEN], [0.25, 0.5], 500),
        ([UPGRADING, UPGRADING, UPGRADING, UPGRADING, DONE], [0.5] * 4, 200),
        ([BROKEN, UPGRADING, DONE], [0.25, 0.5], 200),
        ([UPGRADING], [0.5] * 20, 400),
    ],
)
def test_it_asks_again_while_that_may_help(
    monkeypatch: pytest.MonkeyPatch, answers: list[tuple[int, dict[str, Any]]], paused: list[float], status: int
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    left = list(answers)
    sent: list[str] = []

    def request(method: str, path: str, **_more: Any) -> Response:
        sent.append(f"{method} {path}")
        return Response(*(left.pop(0) if len(left) > 1 else left[0]))

    client: Any = SimpleNamespace(adapter=SimpleNamespace(request=request), url="https://vault.example.org")
    assert Line(client, retries=2).send_patiently("GET", "secret/a", None).status == status
    assert pauses == paused
    assert sent == ["get /v1/secret/a"] * (len(paused) + 1)
