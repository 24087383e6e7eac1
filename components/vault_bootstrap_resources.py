"""The two resources of a Vault's bootstrap: its initialisation, and the deployer's login.

The first one's outputs are the root token and the recovery keys, secrets that the state holds encrypted, so that a run
that was cut off goes on where it was. The second one uses the root token and revokes it: what the state then holds is
dead. Why so: docs/adr/0007-vault-bootstrap.md.
"""

import hashlib
import json
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import pulumi
import pulumi.dynamic
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, UpdateResult

from components.vault_bootstrap import (
    BootstrapError,
    Identity,
    Place,
    compare_policy,
    initialise,
    is_initialised,
    make_login,
)
from components.vault_deployer import DeployerLogin, LoginPlan, login_plan

Props = dict[str, Any]


@dataclass(frozen=True)
class BootstrapArgs:
    """How a Vault that nobody initialised is made ready for its deployer. Keys are the PGP holders', in base64."""

    login: DeployerLogin
    recovery_shares: int = 5
    recovery_threshold: int = 3
    pgp_keys: Sequence[str] = ()


@contextmanager
def _one_line() -> Generator[None]:
    """Pulumi shows the traceback of a dynamic provider's error; what is wrong is its last line."""
    try:
        yield
    except BootstrapError:
        sys.tracebacklimit = 0
        raise


def _place(props: Props) -> Place:
    return Place(props["address"], props["ca_cert_file"], props["patience"])


class InitialisationProvider(pulumi.dynamic.ResourceProvider):
    """Initialises a Vault once. A Vault that is wiped is a new one; nothing un-initialises one."""

    serialize_as_secret_always = False

    def create(self, props: Props) -> CreateResult:
        """Initialise. The address is the id."""
        with _one_line():
            made = initialise(
                _place(props), int(props["shares"]), int(props["threshold"]), [str(key) for key in props["pgp_keys"]]
            )
        outs = {**props, "root_token": made.root_token, "recovery_keys": list(made.recovery_keys)}
        return CreateResult(props["address"], outs)

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Nothing of an initialisation can be changed by it."""
        return DiffResult(changes=False)

    def read(self, id_: str, props: Props) -> ReadResult:
        """A Vault that is not initialised any more is gone; one that does not answer is as it was."""
        gone = is_initialised(_place(props)) is False
        return ReadResult("" if gone else id_, {} if gone else props)


class LoginProvider(pulumi.dynamic.ResourceProvider):
    """Makes the deployer's login with the root token and revokes that; later it only compares the policy."""

    serialize_as_secret_always = False

    def create(self, props: Props) -> CreateResult:
        """Make the login. Its auth method is the id."""
        self._make(props)
        return CreateResult(f"auth/{props['mount']}", _without_token(props))

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """A Vault of its own again, or a program with another policy."""
        return DiffResult(changes=_new_vault(_olds, _news) or _olds.get("policy") != _news["policy"])

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        """Make the login in a new Vault; in the same one see that an operator wrote the new policy."""
        if _new_vault(_olds, _news):
            self._make(_news)
        else:
            with _one_line():
                compare_policy(_place(_news), _news["policy"], _news["mount"], _identity(_news))
        return UpdateResult(_without_token(_news))

    def _make(self, props: Props) -> None:
        plan = LoginPlan(props["mount"], props["type"], json.loads(props["writes"]))
        with _one_line():
            make_login(_place(props), props["root_token"], props["policy"], plan, _identity(props))


def _identity(props: Props) -> Identity:
    files = props["cert_file"], props["key_file"]
    return Identity(props["role"], files if all(files) else None)


def _new_vault(olds: Props, news: Props) -> bool:
    """Whether the root token is another one; unknown in a preview, empty where somebody else has it."""
    return bool(token := news.get("root_token")) and olds.get("made_with") != _digest(token)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _without_token(props: Props) -> Props:
    kept = {name: value for name, value in props.items() if name != "root_token"}
    return {**kept, "made_with": _digest(props["root_token"])}


class Initialisation(pulumi.dynamic.Resource, module="vault", name="Initialisation"):
    """A Vault's initialisation, with its root token and recovery keys; both empty when somebody else did it."""

    root_token: pulumi.Output[str]
    recovery_keys: pulumi.Output[Sequence[str]]

    def __init__(self, name: str, props: Props, opts: pulumi.ResourceOptions) -> None:
        unknown = {"root_token": None, "recovery_keys": None}
        secret = pulumi.ResourceOptions(additional_secret_outputs=list(unknown))
        merged = pulumi.ResourceOptions.merge(opts, secret)
        super().__init__(InitialisationProvider(), name, {**props, **unknown}, merged)


class Login(pulumi.dynamic.Resource, module="vault", name="DeployerLogin"):
    """The deployer's login. Once it stands, no root token is left."""

    def __init__(self, name: str, props: Props, opts: pulumi.ResourceOptions) -> None:
        super().__init__(LoginProvider(), name, props, opts)


@dataclass(frozen=True)
class DeployerAccess:
    """Where the deployer logs in from: Vault's address and authority, its role, and its certificate if it has one."""

    address: str
    ca_cert_file: str
    role: str
    cert_file: str
    key_file: str
    patience: float


def bootstrap(
    name: str, args: BootstrapArgs, access: DeployerAccess, policy: str, opts: pulumi.ResourceOptions
) -> tuple[Initialisation, Login]:
    """Create both resources. `opts` are those of the first one, which waits for the server's own release.

    `policy` is the deployer's, as Vault's HCL.
    """
    place = {"address": access.address, "ca_cert_file": access.ca_cert_file, "patience": access.patience}
    keys = {"shares": args.recovery_shares, "threshold": args.recovery_threshold, "pgp_keys": list(args.pgp_keys)}
    first = Initialisation(f"{name}.initialisation", {**place, **keys}, opts)
    plan = login_plan(args.login, access.role)
    login = Login(
        f"{name}.deployer",
        {
            **asdict(access),
            "mount": plan.mount,
            "type": plan.type,
            # As text: Pulumi's numbers are floating point, and Vault's are not.
            "writes": json.dumps(plan.writes, sort_keys=True),
            "policy": policy,
            "root_token": pulumi.Output.secret(first.root_token),
        },
        pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[first])),
    )
    return first, login
