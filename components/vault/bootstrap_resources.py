"""The two resources of Vault's bootstrap: its initialisation, and the deployer's login.

The outputs of the first are the root token and the recovery keys. The state holds them encrypted, so that an
interrupted run can continue. The second uses the root token and revokes it, so the one in the state is of no use then.
The reasons are in docs/adr/0007-vault-bootstrap.md.
"""

import hashlib
import json
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import pulumi.dynamic
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, UpdateResult

from components.config.vault import PgpPublicKey, Shares, recovery_problem
from components.schema.checked import check_fields
from components.schema.problem import FieldError
from components.vault.bootstrap import (
    BootstrapError,
    Endpoint,
    Identity,
    compare_policy,
    initialise,
    is_initialised,
    make_login,
)
from components.vault.deployer import DeployerLogin, LoginPlan, login_plan

Props = dict[str, Any]


@dataclass(frozen=True)
class BootstrapArgs:
    """The deployer's login, and the recovery keys of a new Vault. `pgp_keys` are public keys in base64.

    Raises `FieldError` for what a stack file may not say.
    """

    login: DeployerLogin
    recovery_shares: Shares = 5
    recovery_threshold: Shares = 3
    pgp_keys: Sequence[PgpPublicKey] = ()

    def __post_init__(self) -> None:
        check_fields(self)
        if wrong := recovery_problem(self.recovery_shares, self.recovery_threshold, len(self.pgp_keys)):
            raise FieldError(*wrong)


@contextmanager
def _one_line() -> Generator[None]:
    """Suppress the traceback that Pulumi would show for an error of a dynamic provider."""
    try:
        yield
    except BootstrapError:
        sys.tracebacklimit = 0
        raise


def _endpoint(props: Props) -> Endpoint:
    return Endpoint(props["address"], props["ca_cert_file"], props["patience"])


class InitialisationProvider(pulumi.dynamic.ResourceProvider):
    """Initialises Vault once. An initialisation cannot be undone; a wiped Vault is a new one."""

    serialize_as_secret_always = False

    def create(self, props: Props) -> CreateResult:
        """Initialise Vault. The id is its address."""
        with _one_line():
            initialised = initialise(
                _endpoint(props), int(props["shares"]), int(props["threshold"]), [str(key) for key in props["pgp_keys"]]
            )
        outs = {**props, "root_token": initialised.root_token, "recovery_keys": list(initialised.recovery_keys)}
        return CreateResult(props["address"], outs)

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Never a difference: an initialisation cannot be changed."""
        return DiffResult(changes=False)

    def read(self, id_: str, props: Props) -> ReadResult:
        """The resource is gone when Vault is not initialised; it is unchanged when Vault does not answer."""
        gone = is_initialised(_endpoint(props)) is False
        return ReadResult("" if gone else id_, {} if gone else props)


class LoginProvider(pulumi.dynamic.ResourceProvider):
    """Makes the deployer's login with the root token and revokes the token; later it only compares the policy."""

    serialize_as_secret_always = False

    def create(self, props: Props) -> CreateResult:
        """Make the login. The id is the path of its auth method."""
        self._make(props)
        return CreateResult(f"auth/{props['mount']}", _without_token(props))

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """A difference when Vault is a new one, or when the program has another policy."""
        return DiffResult(changes=_new_vault(_olds, _news) or _olds.get("policy") != _news["policy"])

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        """Make the login in a new Vault; in the same one check that an operator wrote the new policy."""
        if _new_vault(_olds, _news):
            self._make(_news)
        else:
            with _one_line():
                compare_policy(_endpoint(_news), _news["policy"], _news["mount"], _identity(_news))
        return UpdateResult(_without_token(_news))

    def _make(self, props: Props) -> None:
        plan = LoginPlan(props["mount"], props["type"], json.loads(props["writes"]))
        with _one_line():
            make_login(_endpoint(props), props["root_token"], props["policy"], plan, _identity(props))


# The state of existing stacks contains this module name, so it must not change.
for _provider in (InitialisationProvider, LoginProvider):
    _provider.__module__ = "components.vault_bootstrap_resources"


def _identity(props: Props) -> Identity:
    files = props["cert_file"], props["key_file"]
    return Identity(props["role"], files if all(files) else None)


def _new_vault(olds: Props, news: Props) -> bool:
    """Whether there is another root token: that of a new Vault. It is unknown in a preview, and may be empty."""
    return bool(token := news.get("root_token")) and olds.get("made_with") != _digest(token)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _without_token(props: Props) -> Props:
    kept = {name: value for name, value in props.items() if name != "root_token"}
    return {**kept, "made_with": _digest(props["root_token"])}


class Initialisation(pulumi.dynamic.Resource, module="vault", name="Initialisation"):
    """Vault's initialisation. Root token and recovery keys are empty if Vault was initialised before."""

    root_token: pulumi.Output[str]
    recovery_keys: pulumi.Output[Sequence[str]]

    def __init__(self, name: str, props: Props, opts: pulumi.ResourceOptions) -> None:
        unknown = {"root_token": None, "recovery_keys": None}
        secret = pulumi.ResourceOptions(additional_secret_outputs=list(unknown))
        merged = pulumi.ResourceOptions.merge(opts, secret)
        super().__init__(InitialisationProvider(), name, {**props, **unknown}, merged)


class Login(pulumi.dynamic.Resource, module="vault", name="DeployerLogin"):
    """The deployer's login. Once it is created, the root token is revoked."""

    def __init__(self, name: str, props: Props, opts: pulumi.ResourceOptions) -> None:
        super().__init__(LoginProvider(), name, props, opts)


@dataclass(frozen=True)
class DeployerAccess:
    """How the deployer reaches Vault and logs in: address, authority, role, and client certificate if it has one."""

    address: str
    ca_cert_file: pulumi.Input[str]
    role: str
    cert_file: str
    key_file: str
    patience: float


def bootstrap(
    name: str, args: BootstrapArgs, access: DeployerAccess, policy: str, opts: pulumi.ResourceOptions
) -> tuple[Initialisation, Login]:
    """Create both resources. `opts` make the initialisation one wait for the release of the server.

    `policy` is the deployer's, as Vault's HCL.
    """
    server = {"address": access.address, "ca_cert_file": access.ca_cert_file, "patience": access.patience}
    keys = {"shares": args.recovery_shares, "threshold": args.recovery_threshold, "pgp_keys": list(args.pgp_keys)}
    initialisation = Initialisation(f"{name}.initialisation", {**server, **keys}, opts)
    plan = login_plan(args.login, access.role)
    login = Login(
        f"{name}.deployer",
        {
            **{each.name: getattr(access, each.name) for each in fields(access)},
            "mount": plan.mount,
            "type": plan.type,
            # As text: Pulumi's numbers are floating point, and Vault's are not.
            "writes": json.dumps(plan.writes, sort_keys=True),
            "policy": policy,
            "root_token": pulumi.Output.secret(initialisation.root_token),
        },
        pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[initialisation])),
    )
    return initialisation, login
