"""Vault: reached, trusted, open, logged in to, and each path of the deployer's policy."""

from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from components.vault.deployer import deployer_rules
from tests.unit.zt.preflight.stack import NOW, FakeCluster, FakeWeb, lines, metadata, results, session
from zt.preflight.checks import vault
from zt.preflight.line import Line, Result
from zt.preflight.web import Reply, Request, UnreachedError, UntrustedError

ADDRESS = "https://vault.example.org:8200"
HEALTH = f"{ADDRESS}/v1/{vault.HEALTH}"
REACH, STATE, LOGIN, RIGHTS, CLOCK = (
    "Vault's address",
    "state of Vault",
    "login to Vault",
    "rights in Vault",
    "clock of Vault",
)
EXTERNAL = {"mode": "external", "address": ADDRESS, "cidrs": ["10.0.0.0/8"]}
TOKEN = "hvs.correct-horse"
CERTIFICATE = {"method": "cert", "certFile": "/x/deployer.crt", "keyFile": "/x/deployer.key"}


def reply(status: int = 200, date: str = "", **body: Any) -> Reply:
    import json

    return Reply(status, {"date": date or format_datetime(NOW, usegmt=True)}, json.dumps(body))


def healthy(**more: Any) -> Reply:
    return reply(**{"initialized": True, "sealed": False, "version": "2.0.4", **more})


def server(lacking: str = "", granted: list[str] | None = None, at: Any = None) -> FakeWeb:
    """A Vault that grants everything, but `granted` alone at the path `lacking`."""

    def capabilities(request: Request) -> Reply:
        paths: Any = (request.body or {})["paths"]
        every = ["create", "read", "update", "delete", "sudo"]
        return reply(data={path: (granted or ["deny"]) if path == lacking else every for path in paths})

    def known(request: Request) -> Reply:
        return reply() if request.headers.get("X-Vault-Token") == TOKEN else reply(403, errors=["permission denied"])

    logged_in = reply(auth={"client_token": TOKEN})
    answers: dict[str, Any] = {
        "sys/capabilities-self": capabilities,
        "auth/token/lookup-self": known,
        "auth/token/revoke-self": reply(204),
        **{f"auth/{mount}/login": logged_in for mount in ("cert", "jwt", "kubernetes-deployer")},
        **(at or {}),
    }
    return FakeWeb({HEALTH: healthy(), **{f"{ADDRESS}/v1/{path}": answer for path, answer in answers.items()}})


def asked(web: FakeWeb, cluster: FakeCluster | None = None, variables: Any = None, **settings: Any) -> dict[str, Line]:
    changes = {**EXTERNAL, **settings}
    of = session(cluster=cluster, web=web, variables={"VAULT_TOKEN": TOKEN, **(variables or {})}, vault=changes)
    return {line.about: line for line in lines(vault.THEME, of)}


def test_a_vault_that_is_ready() -> None:
    found = asked(server())
    assert set(found) == {REACH, CLOCK, STATE, LOGIN, RIGHTS}
    assert {line.result for line in found.values()} == {Result.OK}
    assert found[STATE].found == "2.0.4, initialised and unsealed"


def test_a_stack_without_vault_is_not_asked() -> None:
    assert not lines(vault.THEME, session("local"))


def test_a_vault_that_does_not_answer() -> None:
    found = asked(FakeWeb({HEALTH: UnreachedError("Connection refused")}))
    assert results(list(found.values())) == {REACH: "fails"}
    assert "Connection refused" in found[REACH].found
    assert "vault.address in Pulumi.production.yaml" in found[REACH].fix


HELM = {"mode": "helm", "seal": {"awskms": {"region": "x", "kmsKeyId": "y"}}, "cidrs": []}
STATEFUL_SET = "/apis/apps/v1/namespaces/vault/statefulsets/vault"


@pytest.mark.parametrize(
    ("cluster", "result"),
    [
        (FakeCluster(), "not checked"),
        (FakeCluster({STATEFUL_SET: metadata("vault", "vault")}), "fails"),
        (FakeCluster(status={STATEFUL_SET: 403}), "not checked"),
    ],
)
def test_a_vault_that_the_stack_installs_may_not_be_there_yet(cluster: FakeCluster, result: str) -> None:
    assert asked(FakeWeb(), cluster, **HELM)[REACH].result == result


def test_a_certificate_that_is_not_trusted(tmp_path: Path) -> None:
    untrusted = FakeWeb({HEALTH: UntrustedError("unable to get local issuer certificate")})
    assert "with the authority's PEM file" in asked(untrusted)[REACH].fix
    assert asked(untrusted)[REACH].result is Result.FAILS


def test_the_authority_of_the_stack_file_is_what_is_trusted(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    from tests.support.offline_root import OfflineRoot

    authority = tmp_path / "ca.crt"
    authority.write_bytes(OfflineRoot().certificate.public_bytes(Encoding.PEM))
    web = server()
    asked(web, caCertFile=str(authority))
    assert {request.authority for request in web.requests} == {str(authority)}


@pytest.mark.parametrize(
    ("health", "result", "word"),
    [
        (healthy(initialized=False), "fails", "not initialised"),
        (healthy(sealed=True), "fails", "sealed"),
        (reply(200, hello="world"), "fails", "is no Vault"),
        (Reply(502, {}, "<html>"), "fails", "it answers 502"),
        (healthy(standby=True), "ok", "unsealed"),
    ],
)
def test_the_state_of_the_server(health: Reply, result: str, word: str) -> None:
    web = server()
    web.at[HEALTH] = health
    found = asked(web)
    assert (found[STATE].result.value, word in found[STATE].found) == (result, True)
    assert (LOGIN in found) == (result == "ok")


def test_a_vault_that_the_first_run_initialises() -> None:
    web = server()
    web.at[HEALTH] = healthy(initialized=False)
    bootstrap = {
        "login": {"jwt": {"issuer": "https://ci.example.org", "audience": "vault", "subject": "repo:a"}},
        "plainKeysReason": "a test",
    }
    line = asked(web, bootstrap=bootstrap, login={"method": "jwt"}, **HELM)[STATE]
    assert (line.result, "the first `pulumi up` does that" in line.found) == (Result.OK, True)


def test_the_clock_of_vault() -> None:
    web = server()
    ahead = format_datetime(NOW + timedelta(minutes=6), usegmt=True)
    web.at[HEALTH] = reply(date=ahead, initialized=True, sealed=False)
    assert asked(web)[CLOCK].result is Result.FAILS


def test_a_token_that_vault_does_not_know() -> None:
    found = asked(server(), variables={"VAULT_TOKEN": "hvs.unknown"})
    assert results(list(found.values()))[LOGIN] == "fails"
    assert found[RIGHTS].result is Result.NOT_CHECKED
    assert not [line for line in found.values() if "hvs" in f"{line}"]


def test_no_token() -> None:
    found = asked(server(), variables={"VAULT_TOKEN": ""})
    assert {found[LOGIN].result, found[RIGHTS].result} == {Result.NOT_CHECKED}


def test_the_token_of_vaults_own_client(tmp_path: Path) -> None:
    (tmp_path / ".vault-token").write_text(f"{TOKEN}\n")
    found = asked(server(), variables={"VAULT_TOKEN": "", "HOME": str(tmp_path)})
    assert found[LOGIN].found == "the token of ~/.vault-token"


def test_the_namespace_of_the_environment_is_asked() -> None:
    web = server()
    asked(web, variables={"VAULT_NAMESPACE": "team"})
    assert {request.headers["X-Vault-Namespace"] for request in web.requests} == {"team"}


@pytest.mark.parametrize("method", ["jwt", "kubernetes"])
def test_a_login_by_the_token_of_a_job(method: str) -> None:
    web = server()
    found = asked(web, variables={"TERRAFORM_VAULT_AUTH_JWT": "a.b.c"}, login={"method": method})
    assert (found[LOGIN].result, found[RIGHTS].result) == (Result.OK, Result.OK)
    # A login that was made here ends here.
    assert web.requests[-1].url.endswith("auth/token/revoke-self")
    assert asked(server(), login={"method": method})[LOGIN].result is Result.NOT_CHECKED


def test_a_token_of_the_environment_is_not_revoked() -> None:
    web = server()
    asked(web)
    assert not [request for request in web.requests if "revoke" in request.url]


def test_a_login_by_certificate(tmp_path: Path) -> None:
    files = {"certFile": str(tmp_path / "a.crt"), "keyFile": str(tmp_path / "a.key")}
    missing = asked(server(), login={**CERTIFICATE, **files})[LOGIN]
    assert (missing.result, "vault.login.certFile" in missing.fix) == (Result.FAILS, True)
    for path in files.values():
        Path(path).touch()
    web = server()
    assert asked(web, login={**CERTIFICATE, **files})[LOGIN].result is Result.OK
    assert web.requests[-2].certificate == (files["certFile"], files["keyFile"])


def test_a_login_that_is_refused() -> None:
    refused = {"auth/jwt/login": reply(400, errors=["role not found"])}
    found = asked(server(at=refused), variables={"TERRAFORM_VAULT_AUTH_JWT": "a.b.c"}, login={"method": "jwt"})
    assert (found[LOGIN].result, "role not found" in found[LOGIN].found) == (Result.FAILS, True)


@pytest.mark.parametrize("number", range(len(deployer_rules())))
def test_each_path_of_the_policy_is_asked(number: int) -> None:
    path, capabilities = deployer_rules()[number]
    web = server()
    asked(web)
    (request,) = [request for request in web.requests if request.url.endswith("capabilities-self")]
    paths: Any = (request.body or {})["paths"]
    line = asked(server(paths[number]))[RIGHTS]
    assert line.result is Result.FAILS
    assert line.details == (f"{path}: {', '.join(capabilities)}",)


def test_a_capability_less_is_named() -> None:
    line = asked(server("sys/mounts/secret", ["create", "read"]))[RIGHTS]
    assert line.details == ("sys/mounts/secret: update, delete",)


def test_root_may_do_everything() -> None:
    assert asked(server("sys/mounts/secret", ["root"]))[RIGHTS].result is Result.OK


def test_a_policy_that_lets_nobody_ask() -> None:
    line = asked(server(at={"sys/capabilities-self": reply(403, errors=["permission denied"])}))[RIGHTS]
    assert (line.result, line.details) == (Result.FAILS, ("sys/capabilities-self: update",))
    assert "python -m components.vault.deployer | vault policy write" in line.fix


def test_rights_that_cannot_be_asked() -> None:
    assert asked(server(at={"sys/capabilities-self": reply(500)}))[RIGHTS].result is Result.NOT_CHECKED


def test_a_vault_that_stops_answering() -> None:
    found = asked(server(at={"auth/token/lookup-self": UnreachedError("reset")}))
    assert found[LOGIN].result is Result.NOT_CHECKED


def test_the_authority_that_the_last_run_learned_is_trusted(tmp_path: Path) -> None:
    web = server()
    of = session(web=web, project=tmp_path)
    lines(vault.THEME, of)
    assert {request.authority for request in web.requests} == {""}
    web.requests.clear()
    file = tmp_path / ".vault-authority.production.pem"
    file.write_text("PEM")
    lines(vault.THEME, of)
    assert {request.authority for request in web.requests} == {str(file)}
