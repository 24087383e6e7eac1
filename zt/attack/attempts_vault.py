"""Attack 3: use Vault from a shell in the compromised pod, without a token and with its agent's token."""

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import replace

from components.kube.names import TOKEN_AUDIENCE
from components.service.args.database import role_name
from components.service.file.database import OWNER
from components.service.file.jobs import job_name
from components.service.file.sharing import shared_by
from components.service.manifests.vault import TOKEN_MAX_TTL_SECONDS
from zt.attack.attempt import Attempt
from zt.attack.evidence import Control, Evidence, blocked, not_measured, succeeded, together
from zt.attack.session import Session, key
from zt.attack.vault_api import Vault, VaultAnswer, by_login, by_policy
from zt.cluster.manifest import Manifest, parts, texts, word

# Containers that injection adds. Their tokens belong to the agent and the proxy, not to the application.
_PLATFORM_CONTAINERS = ("istio-proxy", "istio-validation", "istio-init", "vault-agent", "vault-agent-init")
_NO_VAULT = "this stack has no Vault"
_NO_SECRET = "the service has no secret in Vault"  # noqa: S105 - a sentence
_MONTH_SECONDS = 30 * 86400
# No secret has this version, so an allowed write fails its check-and-set and changes nothing.
_IMPOSSIBLE_VERSION = 2**31 - 1

WithVault = Callable[[Session, Vault], Evidence]


def in_vault(run: WithVault) -> Callable[[Session], Evidence]:
    """An attempt that needs a Vault."""
    return lambda session: not_measured(_NO_VAULT) if session.vault is None else run(session, session.vault)


def declared_paths(session: Session) -> list[str]:
    """The paths of Vault that the service's file declares."""
    declared, spec = session.declared, session.service
    shared = shared_by(spec)
    paths = [
        f"{declared.kv_mount}/data/{shared[name]}" if name in shared else f"{declared.kv_mount}/data/{spec.ref}/{name}"
        for name in sorted(spec.secrets)
    ]
    roles = [role_name(key(spec), name, as_owner=False) for name in spec.all_databases]
    return [*paths, *(f"{declared.database_mount}/creds/{role}" for role in roles)]


def owner_paths(session: Session) -> list[str]:
    """The paths with users that own what the service keeps in databases. They are for its jobs alone."""
    declared, spec = session.declared, session.service
    roles = [role_name(key(spec), name, as_owner=True) for name in spec.all_databases if spec.has_owner(name)]
    return [f"{declared.database_mount}/creds/{role}" for role in roles]


def foreign_paths(session: Session) -> list[str]:
    """The paths of every other service, those of owners, and two that belong to no service."""
    mine = session.service.namespace
    each = [_as(session, other.namespace, other.name) for other in session.declared.others]
    others = [path for other in each for path in (*declared_paths(other), *owner_paths(other))]
    others += owner_paths(session)
    # What another service shares with this one is its own as well.
    mine_too = {*declared_paths(session)}
    others = [path for path in dict.fromkeys(others) if path not in mine_too]
    mounts = session.declared.kv_mount, session.declared.database_mount
    return [*others, f"{mounts[0]}/data/{mine}/nobody/unknown", f"{mounts[0]}/data/elsewhere/nobody/unknown"]


def _as(session: Session, namespace: str, name: str) -> Session:
    [spec] = [spec for spec in session.declared.services if (spec.namespace, spec.name) == (namespace, name)]
    return Session(replace(session.declared, service=spec), session.admin, session.vault)


def _token_in_container(session: Session) -> Evidence:
    return together([_mounted(pod, session) for pod in session.pods_of(session.service)], "no pod of the service runs")


def _mounted(pod: Manifest, session: Session) -> Evidence:
    tokens = {volume["name"] for volume in parts(pod, "spec", "volumes") if _holds_token(volume, session)}
    for container in parts(pod, "spec", "containers"):
        if container["name"] in _PLATFORM_CONTAINERS:
            continue
        mounted = sorted(tokens & {mount["name"] for mount in parts(container, "volumeMounts")})
        if mounted:
            return succeeded(f"container {container['name']} mounts the token volume {', '.join(mounted)}")
    return blocked(f"pod {pod['metadata']['name']}: no container of the application mounts a service account's token")


def _holds_token(volume: Manifest, session: Session) -> bool:
    sources = parts(volume, "projected", "sources")
    audiences = [
        word(source, "serviceAccountToken", "audience") for source in sources if "serviceAccountToken" in source
    ]
    # A service that declares rights on the Kubernetes API has a token for it, without an audience.
    return any(audience or not session.service.kubernetes_api for audience in audiences)


def _without_token(session: Session, vault: Vault) -> Evidence:
    paths = declared_paths(session)
    tries = [
        by_policy(vault.call("GET", path, token), path)
        for path in paths[:1]
        for token in ("", f"s.{secrets.token_urlsafe(18)}")
    ]
    return together(tries, _NO_SECRET)


def _login(session: Session, vault: Vault, role: str, jwt: str) -> Evidence:
    answer = vault.login(session.declared.auth_path, role, jwt)
    if answer.auth:
        token: str = answer.auth["client_token"]
        session.afterwards(lambda: vault.call("POST", "auth/token/revoke-self", token))
    return by_login(answer, f"role {role}")


def _wrong_audience(session: Session, vault: Vault) -> Evidence:
    jwt = session.token(session.service.namespace, session.service.name)
    return _login(session, vault, key(session.service), jwt)


def _forged_token(session: Session, vault: Vault) -> Evidence:
    """Log in with the claims of a real token, signed with a key that the API server does not know."""
    real = session.token(session.service.namespace, session.service.name, TOKEN_AUDIENCE)
    header, claims, _ = real.split(".")
    signature = base64.urlsafe_b64encode(secrets.token_bytes(256)).decode().rstrip("=")
    unsigned = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).decode().rstrip("=")
    forged = (f"{header}.{claims}.{signature}", f"{unsigned}.{claims}.")
    return together([_login(session, vault, key(session.service), jwt) for jwt in forged], _NO_VAULT)


def _other_role(session: Session, vault: Vault) -> Evidence:
    jwt = session.token(session.service.namespace, session.service.name, TOKEN_AUDIENCE)
    tries = [_login(session, vault, key(other), jwt) for other in session.declared.others]
    return together(tries, "the stack has no other service")


def _owner(session: Session, vault: Vault) -> Evidence:
    spec = session.service
    jobs = [name for name, job in spec.jobs.items() if OWNER in job.accesses.values()]
    if not jobs:
        return not_measured("no job of the service owns anything in a database")
    jwt = session.token(spec.namespace, spec.name, TOKEN_AUDIENCE)
    tries = [_login(session, vault, f"{spec.namespace}.{job_name(spec.name, job)}", jwt) for job in jobs]
    return together([*tries, *_denied(session, vault, owner_paths(session))], _NO_VAULT)


def capabilities(session: Session, vault: Vault, paths: list[str]) -> VaultAnswer:
    """The capabilities of the pod's token at some paths, as Vault reports them."""
    return vault.call("POST", "sys/capabilities-self", session.vault_token, {"paths": paths})


def _other_secrets(session: Session, vault: Vault) -> Evidence:
    paths = foreign_paths(session)
    # A request for database credentials would create some if it were allowed.
    kv = [path for path in paths if path.startswith(f"{session.declared.kv_mount}/")]
    tries = [by_policy(vault.call("GET", path, session.vault_token), path) for path in kv]
    credentials = [path for path in paths if path not in kv]
    return together([*tries, *_denied(session, vault, credentials)], "the stack has no other service")


def _denied(session: Session, vault: Vault, paths: list[str], harmless: tuple[str, ...] = ()) -> list[Evidence]:
    if not paths:
        return []
    answer = capabilities(session, vault, paths)
    if not answer.ok:
        return [not_measured(f"sys/capabilities-self: {answer.status} {answer.errors}")]
    return [
        succeeded(f"{path}: {', '.join(sorted(rights))}") if rights else blocked(f"Vault says deny for {path}")
        for path in paths
        for rights in [set(texts(answer.data, path)) - {"deny", *harmless}]
    ]


def _list(session: Session, vault: Vault) -> Evidence:
    mount, mine = session.declared.kv_mount, session.service.namespace
    paths = (f"{mount}/metadata/", f"{mount}/metadata/{mine}/", f"{mount}/metadata/{mine}/{session.service.name}/")
    return together([by_policy(vault.call("LIST", path, session.vault_token), path) for path in paths], _NO_VAULT)


def _write(session: Session, vault: Vault) -> Evidence:
    kv = [path for path in declared_paths(session) if path.startswith(f"{session.declared.kv_mount}/")]
    body = {"data": {}, "options": {"cas": _IMPOSSIBLE_VERSION}}
    return together([by_policy(vault.call("POST", path, session.vault_token, body), path) for path in kv], _NO_SECRET)


def _look_around(session: Session, vault: Vault) -> Evidence:
    auth, role = session.declared.auth_path, key(session.service)
    reads = (
        *(f"sys/policies/acl/{role}", "sys/mounts", "sys/auth", "sys/audit"),
        *(f"auth/{auth}/config", f"auth/{auth}/role/{role}"),
    )
    lists = ("sys/policies/acl", f"auth/{auth}/role", "auth/token/accessors")
    tries = [by_policy(vault.call("GET", path, session.vault_token), path) for path in reads]
    tries += [by_policy(vault.call("LIST", path, session.vault_token), path) for path in lists]
    return together(tries, _NO_VAULT)


def _take_over(session: Session, vault: Vault) -> Evidence:
    """Ask Vault which harmful requests the token may make. None is made."""
    auth, role = session.declared.auth_path, key(session.service)
    devices = [f"sys/audit/audit-{number}" for number in range(1, session.declared.posture.audit_devices + 1)]
    paths = [*devices, f"sys/policies/acl/{role}", f"auth/{auth}/config", f"auth/{auth}/role/{role}"]
    more = ["sys/seal", "sys/mounts/zt-attack", "sys/auth/zt-attack", "sys/leases/revoke-prefix/auth"]
    # Reading and listing them is another attempt.
    return together(_denied(session, vault, [*paths, *more], ("read", "list")), _NO_VAULT)


def _more_tokens(session: Session, vault: Vault) -> Evidence:
    tries: list[Evidence] = []
    for path in ("auth/token/create", "auth/token/create-orphan"):
        answer = vault.call("POST", path, session.vault_token, {"ttl": "1m"})
        if answer.auth:
            token: str = answer.auth["client_token"]
            session.afterwards(lambda token=token: vault.call("POST", "auth/token/revoke-self", token))
        tries.append(by_policy(answer, path))
    return together(tries, _NO_VAULT)


def _outlive(session: Session, vault: Vault) -> Evidence:
    answer = vault.call("POST", "auth/token/renew-self", session.vault_token, {"increment": f"{_MONTH_SECONDS}s"})
    if answer.forbidden:
        return blocked(f"{answer.status} {answer.errors}")
    granted = answer.auth.get("lease_duration")
    if not answer.ok or not isinstance(granted, int):
        return not_measured(f"auth/token/renew-self: {answer.status} {answer.errors}")
    lifetimes = f"asked for {_MONTH_SECONDS} s, granted {granted} s"
    return blocked(lifetimes) if granted <= TOKEN_MAX_TTL_SECONDS else succeeded(lifetimes)


_ROLE = Control("vault", "SecureService: a Vault role bound to one service account and audience")
_POLICY = Control("vault", "SecureService: a Vault policy of exact paths")
_LOGIN = Control("vault", "VaultPlatform: every login is reviewed by the API server")


def _attempt(name: str, tried: str, control: Control, run: WithVault) -> Attempt:
    return Attempt(name, 3, tried, control, in_vault(run))


ATTEMPTS = (
    Attempt(
        "vault-token-in-container",
        3,
        "Look for a service account's token in the application's container of {service}.",
        Control("injection", "SecureService: the agent alone mounts the token", ("disallow-token-automount",)),
        _token_in_container,
    ),
    _attempt(
        "vault-without-token",
        "Read the secret of {service} without a token, and with an invented one.",
        Control("vault", "VaultPlatform: no anonymous access"),
        _without_token,
    ),
    _attempt(
        "vault-wrong-audience",
        "Log in as {service} with its token for the API server.",
        _ROLE,
        _wrong_audience,
    ),
    _attempt("vault-forged-token", "Log in as {service} with a token that nobody signed.", _LOGIN, _forged_token),
    _attempt("vault-other-role", "Log in with the role of each other service.", _ROLE, _other_role),
    _attempt(
        "vault-other-secrets",
        "Read the secrets of other services with the token of {service}.",
        _POLICY,
        _other_secrets,
    ),
    _attempt(
        "vault-owner",
        "Have a user that owns tables of {service}: log in as its migration, and ask for one with its own token.",
        Control("vault", "ServiceJob: a Vault role and policy of its own"),
        _owner,
    ),
    _attempt("vault-list", "List the secrets of the stack, of the namespace and of {service}.", _POLICY, _list),
    _attempt("vault-write", "Write to the service's own secrets.", _POLICY, _write),
    _attempt("vault-look-around", "Read policies, roles, mounts, audit devices and accessors.", _POLICY, _look_around),
    _attempt(
        "vault-take-over", "Change policies, roles and mounts, switch an audit device off, seal.", _POLICY, _take_over
    ),
    _attempt("vault-more-tokens", "Make further tokens.", _POLICY, _more_tokens),
    _attempt(
        "vault-outlive",
        "Renew the token for a month.",
        Control("vault", "SecureService: token_max_ttl of its Vault role"),
        _outlive,
    ),
)
