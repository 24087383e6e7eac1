"""How long the bootstrap waits for Vault, and what it says when that was not long enough."""

from collections.abc import Iterator, Mapping
from typing import Any

import hvac.exceptions
import pytest
import requests

from components.vault import bootstrap
from components.vault.bootstrap import BootstrapError, Endpoint, initialise, make_login
from components.vault.deployer import LoginPlan

pytestmark = pytest.mark.unit

SERVES = {"initialized": True, "sealed": False, "standby": False, "version": "2.0.0", "cluster_name": "vault"}
SEALED = {**SERVES, "sealed": True}
PLAN = LoginPlan("cert", "cert", {})


class Server:
    """A Vault that answers each path with one thing after the other, the last one for ever."""

    def __init__(self, **answers: list[object]) -> None:
        self._answers: Mapping[str, Iterator[object]] = {path: self._each(given) for path, given in answers.items()}
        self.asked: list[str] = []

    @staticmethod
    def _each(given: list[object]) -> Iterator[object]:
        yield from given
        while True:
            yield given[-1]

    @property
    def adapter(self) -> "Server":
        return self

    def request(self, method: str, path: str, **_more: Any) -> object:
        name = path.partition("?")[0].removeprefix("/v1/").replace("/", "_").replace("-", "_")
        self.asked.append(f"{method} {name}")
        found = next(self._answers[name])
        if isinstance(found, Exception):
            raise found
        return found


def at(server: Server, monkeypatch: pytest.MonkeyPatch, patience: float = 5) -> Endpoint:
    monkeypatch.setattr(bootstrap, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(Endpoint, "client", lambda *_: server)
    return Endpoint("https://vault.example.org:8200", patience=patience)


def test_it_asks_until_vault_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(sys_health=[requests.ConnectionError("refused"), SEALED, SEALED, SERVES])
    assert initialise(at(server, monkeypatch), 5, 3, []).root_token == ""
    assert server.asked == ["GET sys_health"] * 4


@pytest.mark.parametrize(
    ("health", "says"),
    [
        (
            requests.ConnectionError("refused"),
            r"^Vault at https://vault.example.org:8200 does not answer: .*\(waited 0 s\)$",
        ),
        (SEALED, r"^Vault at https://vault.example.org:8200 is sealed: unseal it first \(waited 0 s\)$"),
    ],
)
def test_what_was_wrong_last_is_told(monkeypatch: pytest.MonkeyPatch, health: object, says: str) -> None:
    with pytest.raises(BootstrapError, match=says) as caught:
        initialise(at(Server(sys_health=[health]), monkeypatch, 0.05), 5, 3, [])
    assert caught.value.__cause__ is None


def test_a_step_is_repeated_while_a_server_has_no_leader(monkeypatch: pytest.MonkeyPatch) -> None:
    passing = hvac.exceptions.InternalServerError("no leader", errors=["no leader"])
    lookup: list[object] = [passing, passing, hvac.exceptions.Forbidden("no")]
    server = Server(sys_health=[SERVES], auth_token_lookup_self=lookup)
    with pytest.raises(BootstrapError, match="no root token of it is known here"):
        make_login(at(server, monkeypatch), "root", "", PLAN, bootstrap.Identity("deployer"))
    assert server.asked.count("GET auth_token_lookup_self") == 3


def test_a_step_that_never_passes_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    never = hvac.exceptions.InternalServerError("no leader", errors=["no\nleader"])
    server = Server(sys_health=[SERVES], auth_token_lookup_self=[never])
    with pytest.raises(BootstrapError, match=r"^Vault at https://vault.example.org:8200: no leader$"):
        make_login(at(server, monkeypatch, 0.05), "root", "", PLAN, bootstrap.Identity("deployer"))


def test_anything_else_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(sys_health=[SERVES], auth_token_lookup_self=[hvac.exceptions.InvalidRequest("odd")])
    with pytest.raises(hvac.exceptions.InvalidRequest):
        make_login(at(server, monkeypatch), "root", "", PLAN, bootstrap.Identity("deployer"))
    assert server.asked.count("GET auth_token_lookup_self") == 1
