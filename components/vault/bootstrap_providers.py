"""What Pulumi's dynamic providers do for the two resources of Vault's bootstrap.

Pulumi loads this module in a process of its own at each run, also when there is nothing to do. So it loads the steps,
and with them Vault's client, only where something is done.
https://www.pulumi.com/docs/iac/concepts/providers/dynamic-providers/
"""

import hashlib
import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, ResourceProvider, UpdateResult

Props = dict[str, Any]


@contextmanager
def _steps() -> Generator[ModuleType]:
    """The steps of the bootstrap. Pulumi would show a traceback for an error of theirs."""
    from components.vault import bootstrap

    try:
        yield bootstrap
    except bootstrap.BootstrapError:
        sys.tracebacklimit = 0
        raise


class InitialisationProvider(ResourceProvider):
    """Initialises Vault once. An initialisation cannot be undone; a wiped Vault is a new one."""

    serialize_as_secret_always = False

    def create(self, props: Props) -> CreateResult:
        """Initialise Vault. The id is its address."""
        keys = [str(key) for key in props["pgp_keys"]]
        with _steps() as steps:
            initialised = steps.initialise(_endpoint(steps, props), int(props["shares"]), int(props["threshold"]), keys)
        outs = {**props, "root_token": initialised.root_token, "recovery_keys": list(initialised.recovery_keys)}
        return CreateResult(props["address"], outs)

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """Never a difference: an initialisation cannot be changed."""
        return DiffResult(changes=False)

    def read(self, id_: str, props: Props) -> ReadResult:
        """The resource is gone when Vault is not initialised; it is unchanged when Vault does not answer."""
        with _steps() as steps:
            gone = steps.is_initialised(_endpoint(steps, props)) is False
        return ReadResult("" if gone else id_, {} if gone else props)


class LoginProvider(ResourceProvider):
    """Makes the deployer's login with the root token and revokes the token; later it only compares the policy."""

    serialize_as_secret_always = False

    def create(self, props: Props) -> CreateResult:
        """Make the login. The id is the path of its auth method."""
        _make(props)
        return CreateResult(f"auth/{props['mount']}", _without_token(props))

    def diff(self, _id: str, _olds: Props, _news: Props) -> DiffResult:
        """A difference when Vault is a new one, or when the program has another policy."""
        return DiffResult(changes=_new_vault(_olds, _news) or _olds.get("policy") != _news["policy"])

    def update(self, _id: str, _olds: Props, _news: Props) -> UpdateResult:
        """Make the login in a new Vault; in the same one check that an operator wrote the new policy."""
        if _new_vault(_olds, _news):
            _make(_news)
        else:
            with _steps() as steps:
                login = _news["mount"], _identity(steps, _news)
                steps.compare_policy(_endpoint(steps, _news), _news["policy"], *login)
        return UpdateResult(_without_token(_news))


# The state of existing stacks contains this module name, so it must not change.
for _provider in (InitialisationProvider, LoginProvider):
    _provider.__module__ = "components.vault_bootstrap_resources"


def _make(props: Props) -> None:
    with _steps() as steps:
        plan = steps.LoginPlan(props["mount"], props["type"], json.loads(props["writes"]))
        identity = _identity(steps, props)
        steps.make_login(_endpoint(steps, props), props["root_token"], props["policy"], plan, identity)


def _endpoint(steps: ModuleType, props: Props) -> object:
    return steps.Endpoint(props["address"], props["ca_cert_file"], props["patience"])


def _identity(steps: ModuleType, props: Props) -> object:
    files = props["cert_file"], props["key_file"]
    return steps.Identity(props["role"], files if all(files) else None)


def _new_vault(olds: Props, news: Props) -> bool:
    """Whether there is another root token: that of a new Vault. It is unknown in a preview, and may be empty."""
    return bool(token := news.get("root_token")) and olds.get("made_with") != _digest(token)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _without_token(props: Props) -> Props:
    kept = {name: value for name, value in props.items() if name != "root_token"}
    return {**kept, "made_with": _digest(props["root_token"])}
