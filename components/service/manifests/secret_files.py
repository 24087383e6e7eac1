"""The volumes with the files of secrets: one for each container that reads some, with those that it names alone."""

from collections.abc import Mapping, Sequence

from components.kube.manifest import Manifest
from components.service.args.containers import ContainerArgs
from components.service.args.service import SecureServiceArgs
from components.service.manifests.external_secrets import copy_name
from components.service.manifests.secret_env import SECRETS_DIRECTORY, variables_of
from components.service.manifests.vault import copied, injected, sidecar_volume, uses_vault

_OWNER_READ = 0o400
# The agent writes a few of Vault's secrets there, each of which has a megabyte at most.
_AGENT_LIMIT = "16Mi"


def own_secret_files(args: SecureServiceArgs) -> list[tuple[Manifest, Manifest]]:
    """The volume of the service's own container, with its mount; none where the pod itself asks Vault."""
    variables = {secret.name: [each.file for each in variables_of(args, secret.name)] for secret in args.secrets}
    return _kept(args, "secrets", {secret.name: [secret.file, *variables[secret.name]] for secret in args.secrets})


def secret_files(args: SecureServiceArgs, container: ContainerArgs) -> list[tuple[Manifest, Manifest]]:
    """The volume of another container, with its mount; none where Vault's injector mounts what the agent writes."""
    if not container.reads:
        return []
    name = sidecar_volume(container)
    if injected(args):
        if container in args.init:
            return []
        volume = {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": _AGENT_LIMIT}}
        return [(volume, _mount(name))]
    return _kept(
        args, name, {secret.name: [secret.file] for secret in args.secrets if secret.name in container.secrets}
    )


def _kept(args: SecureServiceArgs, name: str, files: Mapping[str, Sequence[str]]) -> list[tuple[Manifest, Manifest]]:
    """The volume of secrets that Kubernetes keeps: copies from Vault, or what there is on a stack without it.

    `files` are those of each secret.
    """
    if not files or (uses_vault(args) and not copied(args)):
        return []
    items = {secret: [{"key": file, "path": file} for file in each] for secret, each in files.items()}
    if copied(args):
        sources = [{"secret": {"name": copy_name(args.name, secret), "items": items[secret]}} for secret in files]
        volume: Manifest = {"name": name, "projected": {"defaultMode": _OWNER_READ, "sources": sources}}
    else:
        every = [item for each in items.values() for item in each]
        volume = {"name": name, "secret": {"secretName": args.owner, "defaultMode": _OWNER_READ, "items": every}}
    return [(volume, _mount(name))]


def _mount(name: str) -> Manifest:
    return {"name": name, "mountPath": SECRETS_DIRECTORY, "readOnly": True}
