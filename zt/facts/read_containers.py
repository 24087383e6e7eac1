"""Reads the facts of the containers that run in a service's pods beside its own.

Each stands under a name of its own, `namespace/service.container`, as what a job may do stands under that of its
workload.
"""

from collections.abc import Iterator
from typing import Any

from components.service.args.containers import ContainerArgs
from components.service.args.service import SecureServiceArgs
from components.service.manifests.vault import uses_vault
from zt.facts.model import Fact, Kept, ServiceContainer, ServiceSetting, VaultAccess, Writable
from zt.facts.read_workload import given, hardening, probes, resources, scope

Manifest = dict[str, Any]


def container_facts(service: str, args: SecureServiceArgs, pod: Manifest) -> Iterator[Fact]:
    """The facts of each container beside the service's own; `pod` is the spec of the service's pods."""
    manifests = {each["name"]: each for each in (*pod.get("initContainers", ()), *pod["containers"])}
    for each in args.containers:
        name = f"{service}.{each.name}"
        yield ServiceContainer(service, name, "before it starts" if each in args.init else "beside it")
        yield from _reads(name, args, each)
        shared = [scratch.path for scratch in args.scratch if scratch.name in each.scratch]
        yield from (Writable(name, path) for path in dict.fromkeys([*each.writable, *each.writable_copies, *shared]))
        yield from (Kept(name, v.path, scope(args, v)) for v in args.volumes if v.name in each.volumes)
        yield from (ServiceSetting(name, key, value) for key, value in _settings(each, manifests[each.name]))


def _reads(name: str, args: SecureServiceArgs, each: ContainerArgs) -> Iterator[VaultAccess]:
    if not uses_vault(args):
        return
    mount = args.platform.vault.kv_mount
    secrets = (secret for secret in args.secrets if secret.name in each.secrets)
    yield from (VaultAccess(name, "read", f"{mount}/data/{args.secret_path(secret)}") for secret in secrets)
    databases = (database for database in args.databases if database.name in each.databases)
    yield from (VaultAccess(name, "read", args.database_path(database)) for database in databases)


def _settings(each: ContainerArgs, manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield "image", each.image
    yield "user", str(each.run_as_user)
    yield "resources", resources(manifest)
    yield from given(each)
    if "livenessProbe" in manifest:
        yield "probes", probes(manifest, each.port)
    yield from hardening(manifest.get("securityContext", {}))
