"""`zt revoke`: all tokens and leases of one service and of no other, asked for twice."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from zt.cli import app
from zt.cluster.vault import Access, VaultError

Run = Callable[..., Result]
CREDS = "database/creds"


class Server:
    """Tokens, leases and roles as Vault has them, with a log of what was asked for.

    `logins` are services that log in while the tokens are listed, each once: a pod that just lost its token.
    """

    def __init__(self, tokens: Mapping[str, str], leases: Mapping[str, int] | None = None, logins: int = 0) -> None:
        self.tokens = dict(tokens)
        self.leases = dict(leases or {})
        self.roles = {account.replace("/", ".") for account in self.tokens.values()}
        self.logins = logins
        self.gone: set[str] = set()
        self.changed: list[str] = []
        self.where = "https://vault.example.org:8200"

    @contextmanager
    def connect(self, _access: Access) -> Iterator["Server"]:
        yield self

    def read(self, path: str) -> dict[str, Any] | None:
        return {"data": {}} if path.removeprefix("auth/kubernetes/role/") in self.roles else None

    def delete(self, path: str) -> None:
        self.changed.append(path)
        self.roles.remove(path.removeprefix("auth/kubernetes/role/"))

    def list(self, path: str) -> tuple[str, ...]:
        if path == "auth/token/accessors":
            return (*self.tokens, *self.gone)
        if path == f"sys/leases/lookup/{CREDS}":
            return tuple(f"{role}/" for role in self.leases)
        return tuple(f"id{number}" for number in range(self.leases[path.removeprefix(f"sys/leases/lookup/{CREDS}/")]))

    def write(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        if path == "auth/token/lookup-accessor":
            return self._lookup(body["accessor"])
        self.changed.append(path)
        if path == "auth/token/revoke-accessor":
            account = self.tokens.pop(body["accessor"])
            if self.logins:
                self.logins -= 1
                self.tokens[f"new{self.logins}"] = account
        else:
            assert body == {"sync": True}
            del self.leases[path.removeprefix(f"sys/leases/revoke-prefix/{CREDS}/")]
        return {}

    def _lookup(self, accessor: str) -> dict[str, Any]:
        if accessor in self.gone:
            raise VaultError("Vault refused post auth/token/lookup-accessor: 1 error occurred: * invalid accessor")
        namespace, slash, name = self.tokens[accessor].partition("/")
        if not slash:
            return {"data": {"meta": None}}
        meta = {"role": f"{namespace}.{name}", "service_account_namespace": namespace, "service_account_name": name}
        return {"data": {"meta": meta}}


def server(**more: Any) -> Server:
    tokens = {"a1": "shop/api", "a2": "shop/api", "r1": "shop/redis", "x": "front/api", "root": "root"}
    leases = {"shop.api": 3, "shop.api.reports": 2, "shop.api2": 4, "shop.redis": 1}
    return Server(tokens, leases, **more)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(*arguments: str, of: Any = None, stdin: str | None = None) -> Result:
        command = ["revoke", *arguments, "--project", str(tmp_path)]
        return CliRunner().invoke(app, command, obj=(of or server()).connect, input=stdin, catch_exceptions=False)

    return run


class TestRevoke:
    def test_all_of_one_service_and_nothing_of_another(self, run: Run) -> None:
        vault = server()
        done = run("shop/api", "--yes", of=vault)
        assert done.exit_code == 0
        assert done.stdout.startswith("shop/api: revoked 2 tokens and 5 leases. Its role stays")
        assert set(vault.tokens) == {"r1", "x", "root"}
        assert vault.leases == {"shop.api2": 4, "shop.redis": 1}
        assert "shop.api" in vault.roles

    def test_twice_is_the_same(self, run: Run) -> None:
        vault = server()
        run("shop/api", "--yes", of=vault)
        done = run("shop/api", "--yes", of=vault)
        assert (done.exit_code, done.stdout[:41]) == (0, "shop/api: revoked 0 tokens and 0 leases. ")

    def test_a_token_that_ended_since_it_was_listed(self, run: Run) -> None:
        vault = server()
        vault.gone = {"late"}
        assert run("shop/api", "--yes", of=vault).exit_code == 0

    def test_one_of_each_is_singular(self, run: Run) -> None:
        done = run("shop/redis", "--yes")
        assert "revoked 1 token and 1 lease." in done.stdout


class TestLock:
    def test_the_role_goes_before_the_tokens(self, run: Run) -> None:
        vault = server()
        done = run("shop/api", "--yes", "--lock", of=vault)
        assert vault.changed[0] == "auth/kubernetes/role/shop.api"
        assert "shop.api" not in vault.roles
        assert "`pulumi up --refresh` makes it again" in done.stdout

    def test_a_login_that_was_under_way_is_found(self, run: Run) -> None:
        vault = server(logins=3)
        done = run("shop/api", "--yes", "--lock", of=vault)
        assert "revoked 5 tokens" in done.stdout
        assert set(vault.tokens) == {"r1", "x", "root"}

    def test_logins_without_end_are_an_error(self, run: Run) -> None:
        done = run("shop/api", "--yes", "--lock", of=server(logins=100))
        assert done.exit_code == 3
        assert "another role is bound to its account" in done.stderr

    def test_a_service_without_a_role_any_more(self, run: Run) -> None:
        vault = server()
        vault.roles.clear()
        done = run("shop/api", "--yes", "--lock", of=vault)
        assert (done.exit_code, set(vault.tokens)) == (0, {"r1", "x", "root"})


class TestRefused:
    def test_without_a_terminal_it_needs_yes(self, run: Run) -> None:
        vault = server()
        done = run("shop/api", of=vault)
        assert (done.exit_code, vault.changed) == (2, [])
        assert "--yes: required where nobody can be asked" in done.stderr

    @pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 3), ("n\n", 1, 5), ("\n", 1, 5)])
    def test_on_a_terminal_it_asks(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, left: int
    ) -> None:
        monkeypatch.setattr("zt.revoke.command.check_can_ask", lambda *_: None)
        vault = server()
        done = run("shop/api", of=vault, stdin=answer)
        assert (done.exit_code, len(vault.tokens)) == (code, left)
        assert "Revoke every token and lease of shop/api in https://vault.example.org:8200?" in done.stderr

    def test_a_name_that_vault_does_not_know(self, run: Run) -> None:
        done = run("shop/apii", "--yes")
        assert done.exit_code == 1
        assert "Vault has no role shop.apii: is this the service's name?" in done.stdout

    def test_what_is_no_name(self, run: Run) -> None:
        assert run("shop/*", "--yes").exit_code == 2

    def test_a_vault_that_cannot_be_used(self, run: Run) -> None:
        class Away:
            def connect(self, _access: Access) -> object:
                raise VaultError("Vault at https://vault.example.org:8200 cannot be reached: timed out")

        done = run("shop/api", "--yes", of=Away())
        assert (done.exit_code, done.stdout) == (3, "")
        assert done.stderr == "error: Vault at https://vault.example.org:8200 cannot be reached: timed out\n"
