"""Attack 6: an attacker reads whatever the application may read. This measures the mitigations."""

import time
from http import HTTPStatus
from pathlib import Path

from zt.attack.attempt import Attempt
from zt.attack.attempts_vault import capabilities, declared_paths, foreign_paths, in_vault
from zt.attack.evidence import Control, Evidence, blocked, not_measured, succeeded
from zt.attack.session import Session, key
from zt.attack.vault_api import Vault
from zt.cluster.audit_log import Outcome, parse_line
from zt.cluster.manifest import texts

_REVOKED_WITHIN_SECONDS = 5.0
_LOGGED_WITHIN_SECONDS = 2.0
_POLL_SECONDS = 0.01
_READ = "read"


def _least_privilege(session: Session, vault: Vault) -> Evidence:
    declared, foreign = declared_paths(session), foreign_paths(session)
    if not declared:
        return not_measured("the service has no secret in Vault")
    answer = capabilities(session, vault, [*declared, *foreign])
    if not answer.ok:
        return not_measured(f"sys/capabilities-self: {answer.status} {answer.errors}")
    may = {path: set(texts(answer.data, path) or ["deny"]) for path in (*declared, *foreign)}
    wider = sorted(path for path, rights in may.items() if rights - {"deny"} and (path in foreign or rights != {_READ}))
    if wider:
        return succeeded(f"{len(wider)} paths beyond reading its own, such as {wider[0]}: {sorted(may[wider[0]])}")
    reads = sum(may[path] == {_READ} for path in declared)
    return blocked(f"reads {reads} of {len(may)} paths, its own; no other right on any of them")


def _audit_trail(session: Session, vault: Vault) -> Evidence:
    logs = [log for log in session.audit_logs if log.suffix != ".gz"]
    paths = [path for path in declared_paths(session) if path.startswith(f"{session.declared.kv_mount}/")]
    if not paths:
        return not_measured("the service has no secret in Vault")
    if not logs:
        return not_measured("no audit log at hand: name each device's with --audit-log, or look with `zt audit`")
    devices = session.declared.posture.audit_devices
    if len(logs) < devices:
        return not_measured(f"{devices} audit devices, the logs of {len(logs)} at hand: name each with --audit-log")
    token = session.vault_token
    sizes = {log: log.stat().st_size for log in logs}
    answer = vault.call("GET", paths[0], token)
    if not answer.ok:
        return not_measured(f"its own secret: {answer.status} {answer.errors}")
    account = f"{session.service.namespace}/{session.service.name}"
    deadline = session.clock() + _LOGGED_WITHIN_SECONDS
    while True:
        wrote = [log for log in logs if _logged(log, sizes[log], account, paths[0])]
        if len(wrote) >= devices or session.clock() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    observation = f"{len(wrote)} of {devices} audit devices logged that {account} read {paths[0]}"
    return blocked(observation) if len(wrote) >= devices else succeeded(observation)


def _logged(log: Path, start: int, account: str, path: str) -> bool:
    """Whether a log records an allowed read after a position. Lines before it belong to an earlier read."""
    with log.open("rb") as stream:
        stream.seek(start)
        lines = stream.read().splitlines()
    for line in lines:
        try:
            entry = parse_line(line)
        except ValueError:
            # The last line may be half written.
            continue
        if entry and entry[0] and (entry[1].account, entry[1].path) == (account, path):
            return entry[1].outcome is Outcome.ALLOWED
    return False


def _revocation(session: Session, vault: Vault) -> Evidence:
    """Create a token and revoke it by its accessor, as `zt revoke` does with each token of a service."""
    login = session.login(vault).auth
    token, accessor = str(login["client_token"]), str(login.get("accessor") or "")
    if not _alive(vault, token):
        return not_measured("a new token is not accepted")
    if session.operator_token:
        who, path, by, body = (
            "the operator",
            "auth/token/revoke-accessor",
            session.operator_token,
            {"accessor": accessor},
        )
    else:
        who, path, by, body = "itself, without an operator's login,", "auth/token/revoke-self", token, {}
    started = session.clock()
    answer = vault.call("POST", path, by, body)
    while _alive(vault, token):
        if not answer.ok:
            return succeeded(f"a token of {key(session.service)} cannot be revoked: {answer.status} {answer.errors}")
        if session.clock() - started > _REVOKED_WITHIN_SECONDS:
            return succeeded(f"revoked by {who}, the token still works after {_REVOKED_WITHIN_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)
    return blocked(f"refused {session.clock() - started:.3f} s after {who} revoked the token")


def _alive(vault: Vault, token: str) -> bool:
    return vault.call("GET", "auth/token/lookup-self", token).status == HTTPStatus.OK


def _database(session: Session) -> Evidence:
    spec = session.service
    if not spec.all_databases:
        return not_measured(f"rows of a database: {key(spec)} has no database user of its own on this stack")
    return not_measured("rows of a database: what the service may read, its attacker reads; the grants are its file's")


ATTEMPTS = (
    Attempt(
        "least-privilege",
        6,
        "Count what the Vault token of {service} may do beyond reading its own secrets.",
        Control("vault", "SecureService: a Vault policy of exact paths"),
        in_vault(_least_privilege),
    ),
    Attempt(
        "audit-trail",
        6,
        "Read the secret of {service} without leaving a trace in an audit device.",
        Control("audit_devices", "VaultPlatform: Audit"),
        in_vault(_audit_trail),
    ),
    Attempt(
        "revocation",
        6,
        "Go on with a token of {service} after it is revoked.",
        Control("vault", "SecureService: service tokens, which end when they are revoked"),
        in_vault(_revocation),
    ),
    Attempt(
        "database-rows",
        6,
        "Read rows of the database with the credentials of {service}.",
        Control("vault", "SecureService: a database user with the grants of its file"),
        _database,
    ),
)
