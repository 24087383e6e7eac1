"""What the platform says to a team, read from the cluster that the team's program deploys to.

It is in a ConfigMap that the platform's deployer alone may write and the team's deployer may read. So it belongs to the
very cluster that its services come to, and a team needs no access to the platform's state.
"""

from pathlib import Path
from typing import Any, cast

import pulumi
import pulumi_vault
import yaml
from pulumi_vault import ProviderAuthLoginJwtArgs

from components.kube.names import CATALOGUE_KEY, TEAMS_NAMESPACE
from components.schema.problem import ConfigError, Problem
from components.service.args.document import Platform, VaultConnection, read_document

_AUTHORITY_FILE = ".vault-authority.pem"
_SECONDS = 30


def platform_of_cluster(team: str) -> Platform:
    """What the platform says to a team, from the cluster that `kubernetes:kubeconfig` or the environment names.

    Raises `pulumi.RunError`, which Pulumi shows without a traceback, when the cluster does not answer, does not know
    the team, or has a platform of another version.
    """
    try:
        return told_to(team)
    except ConfigError as error:
        raise pulumi.RunError(str(error)) from error


def told_to(team: str) -> Platform:
    """The same, with a `ConfigError` in place of one for a program."""
    place = f"{TEAMS_NAMESPACE}/{team}"
    return read_document(_text(team, place), f"the ConfigMap {place}")


def _text(team: str, place: str) -> str:
    # A client of the whole API takes a second to load, and only a team's program needs it.
    from kubernetes import client
    from kubernetes.client.exceptions import ApiException
    from kubernetes.config.config_exception import ConfigException
    from urllib3.exceptions import HTTPError

    try:
        core: Any = client.CoreV1Api(_client())
        data: dict[str, str] = core.read_namespaced_config_map(team, TEAMS_NAMESPACE, _request_timeout=_SECONDS).data
    except ApiException as error:
        known = {
            403: "this identity may not read it: deploy as the team's deployer",
            404: "the platform has no such team",
        }
        status = cast("Any", error).status
        message = known.get(status, f"the API server answered {status}")
        raise ConfigError([Problem("the cluster", place, message)]) from error
    except (ConfigException, HTTPError, OSError) as error:
        raise ConfigError([Problem("the cluster", place, f"cannot be read: {error}")]) from error
    return (data or {}).get(CATALOGUE_KEY, "")


def _client() -> Any:
    """A client of the cluster that the Kubernetes provider of the program deploys to."""
    from kubernetes import config

    settings = pulumi.Config("kubernetes")
    written, context = settings.get("kubeconfig"), settings.get("context")
    if written and not Path(written).is_file():
        return cast("Any", config).new_client_from_config_dict(yaml.safe_load(written), context=context)
    return cast("Any", config).new_client_from_config(config_file=written or None, context=context)


def vault_provider(name: str, vault: VaultConnection, parent: pulumi.Resource | None = None) -> pulumi_vault.Provider:
    """A provider that logs in as the team's deployer with the token in `TERRAFORM_VAULT_AUTH_JWT`."""
    file = Path(_AUTHORITY_FILE) if vault.authority else None
    if file and not (file.is_file() and file.read_text(encoding="utf-8") == vault.authority):
        file.write_text(vault.authority, encoding="utf-8")
    return pulumi_vault.Provider(
        name,
        address=vault.address,
        ca_cert_file=str(file) if file else None,
        auth_login_jwt=ProviderAuthLoginJwtArgs(mount=vault.mount, role=vault.role),
        # A child of the short-lived token would need a right that the deployer's policy does not give.
        skip_child_token=True,
        opts=pulumi.ResourceOptions(parent=parent),
    )
