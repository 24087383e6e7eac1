"""The configuration of the vault provider: what ``pulumi_vault.Provider`` takes, and what of it is carried out.

Environment variables that stand in for a missing property are those of hashicorp/terraform-provider-vault.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from .rows import Kind, Prop, ProviderError, Row, Values
from .wire import UNKNOWN

_OTHER_LOGINS = "the embedded Vault is logged in to with authLoginCert, authLoginJwt or a token"
_ONE_VAULT = "there is no such thing on the embedded Vault"

_LOGIN = (Prop("mount"), Prop("namespace"), Prop("useRootNamespace", Kind.FLAG))

CONFIG = Row(
    "pulumi:providers:vault",
    "",
    props=(
        Prop("address"),
        Prop("caCertFile"),
        Prop("token", secret=True),
        Prop("tokenName"),
        Prop("skipChildToken", Kind.FLAG),
        Prop("maxLeaseTtlSeconds", Kind.INTEGER, default=1200),
        Prop("maxRetries", Kind.INTEGER, default=2),
        Prop("skipGetVaultVersion", Kind.FLAG),
        Prop(
            "authLoginCert",
            Kind.OBJECT,
            inner=(Prop("certFile", required=True), Prop("keyFile", required=True), Prop("name"), *_LOGIN),
        ),
        Prop(
            "authLoginJwt",
            Kind.OBJECT,
            secret=True,
            inner=(Prop("role", required=True), Prop("jwt", secret=True), *_LOGIN),
        ),
    ),
    unsupported={
        "namespace": "the embedded Vault has only its root namespace",
        "setNamespaceFromToken": "the embedded Vault has only its root namespace",
        "skipTlsVerify": "an unverified connection would hand the login to anyone; name the CA in caCertFile",
        "caCertDir": "name one file in caCertFile",
        "tlsServerName": "the certificate of the embedded Vault carries its address",
        "clientAuth": "give the client certificate in authLoginCert",
        "addAddressToEnv": _ONE_VAULT,
        "headers": _ONE_VAULT,
        "maxRetriesCcc": _ONE_VAULT,
        "vaultVersionOverride": _ONE_VAULT,
        **dict.fromkeys(
            ("authLogin", "authLoginAws", "authLoginAzure", "authLoginGcp", "authLoginKerberos", "authLoginOci"),
            _OTHER_LOGINS,
        ),
        **dict.fromkeys(("authLoginOidc", "authLoginRadius", "authLoginTokenFile", "authLoginUserpass"), _OTHER_LOGINS),
    },
    exclusive=(("authLoginCert", "authLoginJwt", "token"),),
)


@dataclass(frozen=True)
class Login:
    """A login through an auth method: where, with which parameters, and with which client certificate."""

    path: str
    parameters: Mapping[str, str]
    certificate: tuple[str, str] | None = None


@dataclass(frozen=True)
class Connection:
    """How to reach Vault and as whom."""

    address: str
    ca_file: str | None
    login: Login | None
    token: str
    child_token: bool
    token_name: str
    lease_seconds: int
    retries: int


def decode_config(settings: Values) -> Values:
    """The SDK sends everything but text as JSON text (``pulumi.runtime.to_json``): read it back."""
    texts = {prop.name for prop in CONFIG.props if prop.kind is Kind.TEXT}
    return {name: _decoded(value) if name not in texts else value for name, value in settings.items()}


def complete_config(settings: Values) -> dict[str, object]:
    """The settings as upstream keeps them in the state: defaults filled in, JSON without blanks, its keys in order."""
    defaults = {prop.name: str(prop.default) for prop in CONFIG.props if prop.default is not None}
    blocks = {prop.name for prop in CONFIG.props if prop.kind is Kind.OBJECT}
    given = {name: value for name, value in settings.items() if value is not None}
    return {**defaults, **{name: _compact(value) if name in blocks else value for name, value in given.items()}}


def _compact(value: object) -> object:
    try:
        return json.dumps(json.loads(str(value)), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    except ValueError:
        return value


def _decoded(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except ValueError:
        return value
    return {_camel(name): item for name, item in found.items()} if isinstance(found, dict) else found


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def connection(settings: Values, environment: Mapping[str, str] | None = None) -> Connection:
    """Read the settings, or what the environment says in their place. Errors name the setting and what it may be."""
    environment = os.environ if environment is None else environment
    for name, value in settings.items():
        if value is UNKNOWN:
            raise ProviderError(f"vault provider: {name} isn't known yet, so Vault can't be asked for anything")
    if environment.get("VAULT_NAMESPACE"):
        raise ProviderError("VAULT_NAMESPACE is set: the embedded Vault has only its root namespace. Unset it.")
    login = _login(settings, environment)
    return Connection(
        address=_address(settings, environment),
        ca_file=_ca_file(settings, environment),
        login=login,
        token="" if login else _token(settings, environment),
        child_token=not login and not settings.get("skipChildToken"),
        token_name=str(settings.get("tokenName") or "terraform"),
        lease_seconds=int(cast("int", settings.get("maxLeaseTtlSeconds") or 1200)),
        retries=int(cast("int", settings.get("maxRetries") or 2)),
    )


def _address(settings: Values, environment: Mapping[str, str]) -> str:
    address = str(settings.get("address") or environment.get("VAULT_ADDR") or "")
    if not address.startswith(("https://", "http://")):
        found = f"found {address!r}" if address else "it is missing, and so is VAULT_ADDR"
        raise ProviderError(f"vault provider: address has to be a URL such as https://127.0.0.1:8200; {found}")
    return address.rstrip("/")


def _ca_file(settings: Values, environment: Mapping[str, str]) -> str | None:
    path = str(settings.get("caCertFile") or environment.get("VAULT_CACERT") or "")
    if not path:
        return None
    return _existing("caCertFile", path)


def _existing(setting: str, path: str) -> str:
    if not Path(path).is_file():
        raise ProviderError(f"vault provider: {setting}: there is no file {path}")
    return path


def _login(settings: Values, environment: Mapping[str, str]) -> Login | None:
    certificate, jwt = settings.get("authLoginCert"), settings.get("authLoginJwt")
    if isinstance(certificate, dict):
        pair = (
            _existing("authLoginCert.certFile", str(certificate["certFile"])),
            _existing("authLoginCert.keyFile", str(certificate["keyFile"])),
        )
        name = certificate.get("name")
        return Login(f"auth/{certificate.get('mount') or 'cert'}/login", {"name": str(name)} if name else {}, pair)
    if isinstance(jwt, dict):
        text = jwt.get("jwt") or environment.get("TERRAFORM_VAULT_AUTH_JWT")
        if not text:
            raise ProviderError("vault provider: authLoginJwt.jwt is missing, and so is TERRAFORM_VAULT_AUTH_JWT")
        return Login(f"auth/{jwt.get('mount') or 'jwt'}/login", {"role": str(jwt["role"]), "jwt": str(text)})
    return None


def _token(settings: Values, environment: Mapping[str, str]) -> str:
    token = str(settings.get("token") or environment.get("VAULT_TOKEN") or "")
    kept = Path(environment.get("HOME") or "~").expanduser() / ".vault-token"
    if not token and kept.is_file():
        token = kept.read_text(encoding="utf-8").strip()
    if not token:
        raise ProviderError(
            "vault provider: no login. Give authLoginCert or authLoginJwt, or a token in VAULT_TOKEN or ~/.vault-token"
        )
    return token
