"""The two resources of Vault's bootstrap: its initialisation, and the deployer's login.

The outputs of the first are the root token and the recovery keys. The state holds them encrypted, so that an
interrupted run can continue. The second uses the root token and revokes it, so the one in the state is of no use then.
The reasons are in docs/adr/0007-vault-bootstrap.md.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields

import pulumi.dynamic

from components.config.vault import PgpPublicKey, Shares, recovery_problem
from components.schema.checked import check_fields
from components.schema.problem import FieldError
from components.vault.bootstrap_providers import InitialisationProvider, LoginProvider, Props
from components.vault.deployer import DeployerLogin, login_plan


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
