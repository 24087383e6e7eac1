"""Vault as the deployer reaches it: address, certificate, state, login, and each path of its policy.

The values of secrets are not asked for. A login made here is revoked at the end.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import cast

from components.config.vault import VaultSettings
from components.kube.names import OPERATOR, VAULT_NAMESPACE, VAULT_RELEASE
from components.vault.deployer import MOUNTS, deployer_rules
from components.vault.health import HEALTH, health_of
from zt.cluster.manifest import part, texts
from zt.preflight.checks.api_server import clock_line
from zt.preflight.cluster import UnreadableError
from zt.preflight.line import Check, Line, Theme, fails, not_checked, ok
from zt.preflight.session import Session
from zt.preflight.web import Reply, Request, UnreachedError, UntrustedError

_CAPABILITIES = "sys/capabilities-self"
_JWT = "TERRAFORM_VAULT_AUTH_JWT"
_REACH, _STATE, _LOGIN, _RIGHTS = "Vault's address", "state of Vault", "login to Vault", "rights in Vault"


@dataclass(frozen=True)
class _Server:
    """Vault's server, as the stack file names it."""

    session: Session
    settings: VaultSettings

    def call(self, method: str, path: str, token: str = "", body: Mapping[str, object] | None = None) -> Reply:
        """One request below `/v1/`. Raises `UnreachedError`."""
        headers = {"X-Vault-Request": "true"} | ({"X-Vault-Token": token} if token else {})
        if namespace := self.session.outside.environment.get("VAULT_NAMESPACE"):
            headers["X-Vault-Namespace"] = namespace
        login, address = self.settings.login, (self.settings.address or "").rstrip("/")
        pair = (login.cert_file, login.key_file)
        certificate = (pair[0], pair[1]) if login.method == "cert" and pair[0] and pair[1] else None
        authority = self.settings.ca_cert_file or self._issued()
        url = f"{address}/v1/{path}"
        reply = self.session.outside.web(Request(url, method, headers, body, authority, certificate, follows=False))
        if location := reply.redirect:
            raise UnreachedError(f"it sends requests on to {location}, which would get the token")
        return reply

    def _issued(self) -> str:
        """The authority of the certificate that the program has issued, as its last run learned it; empty before."""
        vault = self.session.planned.vault
        if vault is None or vault.certificate is None:
            return ""
        file = self.session.project / vault.certificate.authority_file
        return str(file) if file.exists() else ""


def _vault(session: Session) -> Iterator[Line]:
    settings = session.stack.settings.vault
    server = _Server(session, settings)
    try:
        health = server.call("GET", HEALTH)
    except UntrustedError as error:
        key = "vault.caCertFile" if settings.ca_cert_file else "vault.caCertFile, with the authority's PEM file"
        found = f"the certificate of {settings.address} is not trusted: {error}"
        yield fails(_REACH, found, f"set {key} in {session.file}, or give Vault a certificate for this address")
        return
    except UnreachedError as error:
        yield _unreached(session, settings, str(error))
        return
    yield ok(_REACH, f"{settings.address} answers, its certificate is trusted")
    yield clock_line("clock of Vault", health.headers.get("date", ""), session.outside.now())
    state, serving = _state(session, settings, health)
    yield state
    if serving:
        try:
            yield from _login_and_rights(session, server)
        except UnreachedError as error:
            yield not_checked(_LOGIN, f"Vault stopped answering: {error}")


def _unreached(session: Session, settings: VaultSettings, why: str) -> Line:
    found = f"{settings.address} does not answer: {why}"
    path = f"/apis/apps/v1/namespaces/{VAULT_NAMESPACE}/statefulsets/{VAULT_RELEASE}"
    try:
        installed = not session.in_cluster_vault or session.cluster.found(path) is not None
    except UnreadableError:
        installed = False
    if not installed:
        fix = f"see that vault.address in {session.file} will lead to Vault's pods from where Pulumi runs"
        return not_checked(_REACH, f"no Vault is seen in the cluster yet, and {found}", fix)
    return fails(_REACH, found, f"correct vault.address in {session.file}, or open the way to it from this machine")


def _state(session: Session, settings: VaultSettings, reply: Reply) -> tuple[Line, bool]:
    """The line about the server's state, and whether it serves."""
    health = health_of(reply.json)
    if health is None:
        found = f"{settings.address} is no Vault: it answers {reply.status} to its question of health"
        return fails(_STATE, found, f"correct vault.address in {session.file}"), False
    version = str(reply.json.get("version", "of an unknown version"))
    if not health.initialised:
        if settings.bootstrap:
            return ok(_STATE, f"{version}, not initialised: the first `pulumi up` does that"), False
        fix = f"vault operator init, or vault.bootstrap in {session.file}"
        return fails(_STATE, f"{version}, not initialised", fix), False
    if health.sealed:
        return fails(_STATE, f"{version}, sealed", "vault operator unseal, or see why its seal's key is refused"), False
    return ok(_STATE, f"{version}, initialised and unsealed"), True


def _login_and_rights(session: Session, server: _Server) -> Iterator[Line]:
    token, own, line = _token(session, server)
    yield line
    if not token:
        yield not_checked(_RIGHTS, "without a login", line.fix)
        return
    try:
        yield _rights(session, server, token)
    finally:
        if own:
            # It ends by itself in some minutes.
            with suppress(UnreachedError):
                server.call("POST", "auth/token/revoke-self", token)


def _token(session: Session, server: _Server) -> tuple[str, bool, Line]:
    """A token, whether it was made here, and the line about the login; no token when there is none."""
    login = server.settings.login
    if login.method == "environment":
        return _token_of_environment(session, server)
    body: dict[str, object] = {"role": login.role}
    if login.method == "cert":
        body = {"name": login.role}
        for key, path in (("certFile", login.cert_file), ("keyFile", login.key_file)):
            if not path or not Path(path).is_file():
                fix = f"put the file there, or correct vault.login.{key} in {session.file}"
                return "", False, fails(_LOGIN, f"there is no file {path}", fix)
    elif jwt := session.outside.environment.get(_JWT, ""):
        body["jwt"] = jwt
    else:
        return "", False, not_checked(_LOGIN, f"{_JWT} is not set", f"set {_JWT} to the token of this job")
    path = f"auth/{MOUNTS[login.method]}/login"
    reply = server.call("POST", path, body=body)
    token = str(part(reply.json, "auth").get("client_token", ""))
    if not reply.ok or not token:
        found = f"{path} refuses role {login.role}: {reply.status} {_errors(reply)}"
        fix = f"make the role and its policy (docs/real-cluster.md), or correct vault.login in {session.file}"
        return "", False, fails(_LOGIN, found, fix)
    return token, True, ok(_LOGIN, f"by {login.method}, role {login.role}")


def _token_of_environment(session: Session, server: _Server) -> tuple[str, bool, Line]:
    environment = session.outside.environment
    token, where = environment.get("VAULT_TOKEN", "").strip(), "VAULT_TOKEN"
    if not token:
        where = "~/.vault-token"
        with suppress(OSError, UnicodeDecodeError):
            home = Path(environment["HOME"]) if "HOME" in environment else Path.home()
            token = (home / ".vault-token").read_text(encoding="utf-8").strip()
    if not token:
        return "", False, not_checked(_LOGIN, "no VAULT_TOKEN, and none in ~/.vault-token", "run `vault login`")
    reply = server.call("GET", "auth/token/lookup-self", token)
    if reply.status == HTTPStatus.FORBIDDEN:
        line = fails(_LOGIN, f"Vault refuses the token of {where}: {_errors(reply)}", "run `vault login`")
        return "", False, line
    if not reply.ok:
        return "", False, not_checked(_LOGIN, f"auth/token/lookup-self: {reply.status} {_errors(reply)}")
    return token, False, ok(_LOGIN, f"the token of {where}")


def _rights(session: Session, server: _Server, token: str) -> Line:
    rules = deployer_rules(pki=_has_pki(session))
    asked = _asked(session)
    samples = [asked.get(path, path.replace("+", "name").replace("*", "name")) for path, _ in rules]
    reply = server.call("POST", _CAPABILITIES, token, {"paths": samples})
    pki = " --pki" if _has_pki(session) else ""
    fix = f"python -m components.vault.deployer{pki} | vault policy write platform-deployer -"
    if not reply.ok:
        if reply.status == HTTPStatus.FORBIDDEN:
            return fails(_RIGHTS, "the login may not ask for its rights", fix, f"{_CAPABILITIES}: update")
        return not_checked(_RIGHTS, f"{_CAPABILITIES}: {reply.status} {_errors(reply)}")
    granted = part(reply.json, "data") or reply.json
    missing = [
        f"{path}: {', '.join(lacking)}"
        for (path, due), sample in zip(rules, samples, strict=True)
        if (lacking := [each for each in due if not {each, "root"} & set(texts(granted, sample))])
    ]
    if missing:
        return fails(_RIGHTS, f"{len(missing)} of {len(rules)} paths are not allowed as the stack needs", fix, *missing)
    return ok(_RIGHTS, f"all {len(rules)} paths of the deployer's policy")


def _has_pki(session: Session) -> bool:
    return session.planned.vault is not None and session.planned.vault.pki is not None


def _asked(session: Session) -> dict[str, str]:
    """For paths of the policy with a wildcard, one that the stack uses."""
    vault = session.planned.vault
    databases = [each.name for each in vault.databases] if vault else []
    secrets = [service.secret_path(secret) for service in session.planned.services for secret in service.secrets]
    database = next(iter(databases), "name")
    return {
        "auth/kubernetes/role/+": f"auth/kubernetes/role/{OPERATOR}",
        "sys/policies/acl/+": f"sys/policies/acl/{OPERATOR}",
        "sys/audit/audit-*": "sys/audit/audit-1",
        "secret/data/+/+/+": f"secret/data/{next(iter(secrets), 'namespace/service/secret')}",
        "database/config/+": f"database/config/{database}",
        "database/rotate-root/+": f"database/rotate-root/{database}",
    }


def _errors(reply: Reply) -> str:
    errors = reply.json.get("errors")
    text = ", ".join(map(str, cast("list[object]", errors))) if isinstance(errors, list) else ""
    return " ".join(text.split()) or "no reason"


THEME = Theme(
    "Vault",
    (Check("vault", "Vault", _vault, lambda session: session.planned.vault is not None),),
)
