"""What `kubectl exec` would say: output, exit code, and the reasons for which nothing ran."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client import ApiClient, ApiException, Configuration
from kubernetes.stream import ws_client

from zt.attack.exec_api import Container, executor

PLACE = Container("shop", "api-1", "api")


class Channels:
    """A connection of the library, with what came over it."""

    def __init__(self, out: str, error: str, returncode: Any, is_open: bool = False) -> None:
        self.out, self.error, self._open, self._code = out, error, is_open, returncode

    def run_forever(self, timeout: float) -> None:
        assert timeout

    def read_stdout(self, timeout: float) -> str:
        return self.out if timeout == 0 else ""

    def read_stderr(self, timeout: float) -> str:
        return self.error if timeout == 0 else ""

    def is_open(self) -> bool:
        return self._open

    def close(self) -> None:
        self._open = False

    @property
    def returncode(self) -> int:
        if isinstance(self._code, Exception):
            raise self._code
        return self._code


def ran(monkeypatch: pytest.MonkeyPatch, answer: Channels | ApiException) -> tuple[Any, SimpleNamespace]:
    asked = SimpleNamespace()

    def websocket_call(_configuration: Any, method: str, url: str, **named: Any) -> Channels:
        asked.method, asked.url, asked.headers = method, url, named["headers"]
        if isinstance(answer, ApiException):
            raise answer
        return answer

    monkeypatch.setattr(ws_client, "websocket_call", websocket_call)
    settings: Any = Configuration(host="https://cluster.example.org")
    settings.api_key["authorization"] = "Bearer credentials"
    return executor(ApiClient(settings))(PLACE, ("sh", "-c", "id; echo a&b"), 5.0), asked


def test_a_command_is_sent_word_by_word_with_the_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    printed, asked = ran(monkeypatch, Channels("out\n", "error\n", 3))
    assert (printed.text, printed.code, printed.refused) == ("out\nerror\n", 3, "")
    assert asked.url.startswith("https://cluster.example.org/api/v1/namespaces/shop/pods/api-1/exec?command=sh&")
    assert "command=id%3B%20echo%20a%26b&container=api&stdout=true&stderr=true" in asked.url.replace("+", "%20")
    assert {name.lower(): value for name, value in asked.headers.items()}["authorization"] == "Bearer credentials"


def test_the_reason_of_the_api_server_is_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({"kind": "Status", "message": "pods is forbidden:\n no use"}).encode()
    error = ApiException(status=0, reason=f"Handshake status 403 Forbidden -+-+- {{}} -+-+- {body!r}")
    assert ran(monkeypatch, error)[0].refused == "pods is forbidden: no use"


def test_another_reason_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ran(monkeypatch, ApiException(status=0, reason="[Errno 111] refused"))[0].refused == "[Errno 111] refused"


def test_a_program_that_does_not_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    channels = Channels("half", "", 0, is_open=True)
    printed, _ = ran(monkeypatch, channels)
    assert (printed.text, printed.refused.startswith("no end within"), channels.is_open()) == ("half", True, False)


@pytest.mark.parametrize("error", [KeyError("causes"), TypeError("None"), ValueError("no number")])
def test_a_program_that_is_not_there_has_no_exit_code(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    assert "did not start" in ran(monkeypatch, Channels("", "no such file", error))[0].refused
