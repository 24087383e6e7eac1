"""What Vault's own pods need before they start: their certificate, and the key of their seal."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from components.config.vault import JwtLogin
from components.kube.names import AUTHORITIES_DIRECTORY, VAULT_NAMESPACE
from components.vault.server_certificate import server_names
from components.vault.values import ServerArgs
from zt.cluster.manifest import part, word
from zt.preflight.line import Check, Line, Theme, fails, not_checked, ok, warns
from zt.preflight.server_certificate import end_of, faults
from zt.preflight.session import Session
from zt.preflight.web import Request, UnreachedError

_KEYS = ("tls.crt", "tls.key", "ca.crt")
_STATIC_BYTES = 32
_CLIENT, _USE = "azure.workload.identity/client-id", "azure.workload.identity/use"
# By which annotation of the service account a cloud gives the pods the seal's key.
_IDENTITY = {
    "awskms": "eks.amazonaws.com/role-arn (IRSA), unless a Pod Identity association is made",
    "gcpckms": "iam.gke.io/gcp-service-account, unless the key is granted to the principal of the account",
    "azurekeyvault": _CLIENT,
}


def _server(session: Session) -> ServerArgs:
    vault = session.planned.vault
    return vault.server if vault and vault.server else ServerArgs()


def _certificate(session: Session) -> Iterable[Line]:
    name = _server(session).tls_secret
    about = f"Secret {VAULT_NAMESPACE}/{name} with the certificate of Vault"
    if _made_by_the_stack(session, name):
        yield ok(about, "the stack makes it")
        return
    data = _data(session, name)
    names = required_names(session)
    create = (
        f"kubectl create secret generic {name} --namespace {VAULT_NAMESPACE} --from-file=tls.crt --from-file=tls.key "
        f"--from-file=ca.crt, with a certificate for {', '.join(names)}"
    )
    if data is None:
        missing = _namespace_missing(session)
        yield fails(about, "there is none: no pod of Vault starts", f"{missing}{create}")
        return
    if absent := [key for key in _KEYS if not data.get(key)]:
        yield fails(about, f"it has no {', '.join(absent)}", create)
        return
    problems = list(faults(data["tls.crt"], data["tls.key"], data["ca.crt"], names, session.outside.now()))
    renew = f"kubectl delete secret {name} --namespace {VAULT_NAMESPACE}; {create}"
    for problem in problems:
        yield (warns if problem.warns else fails)(about, problem.text, renew)
    if not problems:
        yield ok(about, f"for {', '.join(names)}, until {end_of(data['tls.crt']):%Y-%m-%d}")


def _made_by_the_stack(session: Session, name: str) -> bool:
    """Whether the program creates the Secret itself, or a Certificate whose Secret it is."""
    return any(
        each.namespace == VAULT_NAMESPACE
        and (
            (each.kind == "Secret" and each.name == name)
            or (each.kind == "Certificate" and each.manifest["spec"].get("secretName") == name)
        )
        for each in session.created.objects
    )


def required_names(session: Session) -> tuple[str, ...]:
    """The names by which pods, replicas, probes and the deployer reach Vault's servers."""
    host = urlsplit(session.stack.settings.vault.address or "").hostname or ""
    return server_names(_server(session).replicas, host)


def _namespace_missing(session: Session) -> str:
    """The command that makes the namespace of the Secret first, marked as the stack's; empty when it is there."""
    if session.cluster.found(f"/api/v1/namespaces/{VAULT_NAMESPACE}") is not None:
        return ""
    mark = f"kubectl label namespace {VAULT_NAMESPACE} app.kubernetes.io/managed-by=pulumi"
    return f"kubectl create namespace {VAULT_NAMESPACE}; {mark}; "


def _data(session: Session, name: str) -> Mapping[str, bytes] | None:
    """The decoded values of a Secret in Vault's namespace, which are shown nowhere; `None` if there is none."""
    secret = session.cluster.found(f"/api/v1/namespaces/{VAULT_NAMESPACE}/secrets/{name}")
    return None if secret is None else {key: _decoded(word(secret, "data", key)) for key in part(secret, "data")}


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        return b""


def _seal(session: Session) -> Iterable[Line]:
    server, about = _server(session), "seal of Vault"
    if not server.seal_type:
        # With vault.bootstrap or several replicas the stack file is refused without one.
        yield warns(about, "none: whoever restarts a pod of Vault unseals it by hand", f"vault.seal in {session.file}")
    elif server.seal_secret:
        yield _seal_secret(session, server, f"Secret {VAULT_NAMESPACE}/{server.seal_secret} with the key of the seal")
    elif server.seal_type == "azurekeyvault" and _CLIENT in server.account_annotations and not _asks_for_token(server):
        found = f"the service account has {_CLIENT}, and the pods do not ask for its token: the seal stays closed"
        yield fails(about, found, f'vault.podLabels: {{{_USE}: "true"}} in {session.file}')
    else:
        due = _IDENTITY[server.seal_type]
        known = ", ".join(f"{key}: {value}" for key, value in server.account_annotations.items())
        why = f"{server.seal_type}: only a pod can use the key; its service account has {known or 'no annotation'}"
        yield not_checked(about, why, "" if known else f"vault.serviceAccountAnnotations in {session.file}: {due}")


def _asks_for_token(server: ServerArgs) -> bool:
    """https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html#pod"""
    return server.pod_labels.get(_USE) == "true"


def _seal_secret(session: Session, server: ServerArgs, about: str) -> Line:
    data = _data(session, server.seal_secret)
    ids = [
        server.seal_parameters[key] for key in ("current_key_id", "previous_key_id") if key in server.seal_parameters
    ]
    keys = ["token"] if server.seal_type == "transit" else ids
    files = " ".join(f"--from-file={key}" for key in keys)
    fix = f"kubectl create secret generic {server.seal_secret} --namespace {VAULT_NAMESPACE} {files}"
    if data is None:
        return fails(about, "there is none: no pod of Vault starts", f"{_namespace_missing(session)}{fix}")
    if absent := [key for key in keys if not data.get(key)]:
        return fails(about, f"it has no {', '.join(absent)}", fix)
    wrong = [key for key in ids if server.seal_type == "static" and len(data[key]) != _STATIC_BYTES]
    if wrong:
        return fails(
            about, f"{', '.join(wrong)}: not {_STATIC_BYTES} bytes", "openssl rand -out ID 32, and make it again"
        )
    return ok(about, f"it has {', '.join(keys)}")


def _deployer(session: Session) -> Iterable[Line]:
    """Who logs in after the root token is revoked: an issuer of tokens that answers, or a service account."""
    bootstrap = session.stack.settings.vault.bootstrap
    if bootstrap and bootstrap.login.jwt:
        yield _issuer(session, bootstrap.login.jwt)
    if bootstrap and (login := bootstrap.login).kubernetes:
        namespace, name = login.kubernetes.namespace, login.kubernetes.service_account
        about = f"service account {namespace}/{name} of the deployer"
        if session.cluster.found(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}") is None:
            create = f"kubectl create serviceaccount {name} --namespace {namespace}"
            yield fails(about, "there is none: the first `pulumi up` cannot log in with it", create)
        else:
            yield ok(about, "it is there")


def _issuer(session: Session, login: JwtLogin) -> Line:
    """https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig"""
    about, key = "issuer of the deployer's tokens", "vault.bootstrap.login.jwt.issuer"
    url = f"{login.issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        reply = session.outside.web(Request(url, authority=login.issuer_ca_cert_file or ""))
    except UnreachedError as error:
        return warns(
            about,
            f"{url} does not answer here: {error}",
            f"see that Vault's pods reach it, or correct {key} in {session.file}",
        )
    said = str(reply.json.get("issuer", ""))
    if said != login.issuer:
        found = (
            f"{url} is of {said}, and Vault compares it to the letter"
            if said
            else f"{url}: {reply.status}, and no issuer"
        )
        return fails(about, found, f"{key}: {said or 'the iss of a token'} in {session.file}")
    return ok(about, f"{login.issuer} answers here; Vault asks it from the cluster")


def _logs_in(session: Session) -> bool:
    bootstrap = session.stack.settings.vault.bootstrap
    return session.planned.vault is not None and bool(bootstrap and (bootstrap.login.jwt or bootstrap.login.kubernetes))


def _has_authorities(session: Session) -> bool:
    return session.in_cluster_vault and bool(_server(session).authorities)


def _authorities(session: Session) -> Iterable[Line]:
    """Whether the ConfigMap has each file that a key of the stack file names in it."""
    name = _server(session).authorities
    about = f"ConfigMap {VAULT_NAMESPACE}/{name} with further authorities of Vault"
    stack = session.stack.settings
    transit = stack.vault.seal.transit if stack.vault.seal else None
    files = [transit.tls_ca_cert if transit else None, *(each.ca_cert_file for each in stack.databases.values())]
    keys = sorted(
        {file.rpartition("/")[2] for file in files if file is not None and file.startswith(f"{AUTHORITIES_DIRECTORY}/")}
    )
    made = " ".join(f"--from-file={key}" for key in keys)
    fix = f"kubectl create configmap {name} --namespace {VAULT_NAMESPACE} {made}".rstrip()
    found = session.cluster.found(f"/api/v1/namespaces/{VAULT_NAMESPACE}/configmaps/{name}")
    if found is None:
        yield fails(about, "there is none: no pod of Vault starts", f"{_namespace_missing(session)}{fix}")
    elif absent := [key for key in keys if not part(found, "data").get(key)]:
        yield fails(about, f"it has no {', '.join(absent)}", fix)
    else:
        yield ok(about, f"it has {', '.join(keys)}" if keys else "no key of the stack file names one of it")


THEME = Theme(
    "Vault in the cluster",
    (
        Check("vault-certificate", "certificate of Vault", _certificate, lambda session: session.in_cluster_vault),
        Check("vault-seal", "seal of Vault", _seal, lambda session: session.in_cluster_vault),
        Check("vault-deployer", "login of Vault's deployer", _deployer, _logs_in),
        Check("vault-authorities", "further authorities of Vault", _authorities, _has_authorities),
    ),
)
