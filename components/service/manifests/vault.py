"""How a service gets its secrets: its Vault policy, the injector's annotations, and the text of the files.

Annotations: https://developer.hashicorp.com/vault/docs/platform/k8s/injector/annotations
"""

import json
from collections.abc import Iterator, Mapping, Sequence

from components.service.args.containers import ContainerArgs
from components.service.args.platform import PlatformTerms
from components.service.args.service import SecureServiceArgs
from components.service.file.secrets import DATA
from components.service.file.template import render
from components.service.manifests.secret_env import SECRETS_DIRECTORY, secret_variables
from components.vault.policy import hcl
from components.vault.terms import Delivery

TOKEN_VOLUME = "vault-token"  # noqa: S105 - the name of a volume

TOKEN_TTL_SECONDS = 3600
TOKEN_MAX_TTL_SECONDS = 86400


def uses_vault(args: SecureServiceArgs) -> bool:
    """Whether the service has secrets or databases, and the stack has Vault."""
    return bool(args.secrets or args.databases) and args.platform.vault.on


def copied(args: SecureServiceArgs) -> bool:
    """Whether External Secrets copies the service's secrets into the cluster."""
    return uses_vault(args) and args.platform.vault.delivery is Delivery.EXTERNAL_SECRETS


def reaches_vault(args: SecureServiceArgs) -> bool:
    """Whether the pod itself connects to Vault."""
    return uses_vault(args) and not copied(args)


def injected(args: SecureServiceArgs) -> bool:
    """Whether Vault's agent in the pod writes the service's secrets."""
    return uses_vault(args) and args.platform.vault.delivery is Delivery.AGENT


def vault_policy(args: SecureServiceArgs) -> str:
    """The Vault policy of a service: it may read its own secrets and database users, and nothing else."""
    mount = args.platform.vault.kv_mount
    paths = [f"{mount}/data/{args.secret_path(secret)}" for secret in args.secrets]
    paths += [args.database_path(database) for database in args.databases]
    return hcl((path, ("read",)) for path in sorted(paths))


def injector_annotations(args: SecureServiceArgs, containers: Sequence[str] = ()) -> dict[str, str]:
    """The pod annotations that make the agent write each secret to a file that only the application's user can read.

    `containers` are those that get the files, if none has the service's name.
    """
    if not injected(args):
        return {}
    prefix = "vault.hashicorp.com"
    annotations = {
        f"{prefix}/agent-inject": "true",
        # Otherwise the mesh's proxy would get the files as well.
        f"{prefix}/agent-inject-containers": ",".join(containers) or args.name,
        f"{prefix}/role": args.platform.vault.role or args.key,
        f"{prefix}/auth-path": f"auth/{args.platform.vault.auth_path}",
        f"{prefix}/agent-pre-populate": "true",
        f"{prefix}/agent-pre-populate-only": "false",
        # The files have mode 0400, so the agent must run as the user that reads them.
        f"{prefix}/agent-run-as-same-user": "true",
        f"{prefix}/agent-set-security-context": "true",
        f"{prefix}/agent-service-account-token-volume-name": TOKEN_VOLUME,
        f"{prefix}/template-static-secret-render-interval": args.platform.vault.refresh,
        f"{prefix}/agent-requests-cpu": "25m",
        f"{prefix}/agent-requests-mem": "32Mi",
        f"{prefix}/agent-limits-cpu": "100m",
        f"{prefix}/agent-limits-mem": "64Mi",
    }
    for name, _, file in _files(args):
        annotations |= _injected(name, *file)
    return {**annotations, **_of_containers(args)}


def sidecar_volume(container: ContainerArgs) -> str:
    """The name of the volume with the secrets of a container beside the service's own."""
    return f"secrets-{container.name}"


def _files(args: SecureServiceArgs) -> Iterator[tuple[str, str, tuple[str, str, str]]]:
    """What the annotations of each file are called, the secret in it, and its path in Vault, its name and its template.

    All files of a database come from one path, so that the agent has one user for them.
    """
    paths = {secret.name: f"{args.platform.vault.kv_mount}/data/{args.secret_path(secret)}" for secret in args.secrets}
    for secret in args.secrets:
        yield secret.name, secret.name, (paths[secret.name], secret.file, secret.template)
    for number, variable in enumerate(secret_variables(args)):
        # By numbers, since the name of an annotation is not long enough for that of every variable.
        yield f"env.{number}", "", (paths[variable.secret], variable.file, variable.template)
    for database in args.databases:
        yield database.name, database.name, (args.database_path(database), database.file, database.template)
    further = [(each, file) for each in args.databases for file in each.files.items()]
    for number, (database, (file, template)) in enumerate(further):
        yield f"file.{number}", database.name, (args.database_path(database), file, template)


def _of_containers(args: SecureServiceArgs) -> dict[str, str]:
    """The annotations by which the agent writes for other containers, too.

    The injector has one volume for all of them. So each sidecar that reads secrets has one of its own, which the patch
    mounts in the agent, below the directory of all. No file can have its directory's name, which begins with a dot.
    """
    prefix, annotations = "vault.hashicorp.com", dict[str, str]()
    if any(container.reads for container in args.init):
        annotations[f"{prefix}/agent-init-first"] = "true"
    mounts: list[dict[str, object]] = []
    for place, sidecar in enumerate([sidecar for sidecar in args.sidecars if sidecar.reads]):
        mount = {"name": sidecar_volume(sidecar), "mountPath": f"{SECRETS_DIRECTORY}/.{sidecar.name}"}
        mounts.append({"op": "add", "path": "/volumeMounts/-", "value": mount})
        names = [*sidecar.secrets, *sidecar.databases]
        files = [each for name in names for _, secret, each in _files(args) if secret == name]
        for number, (path, file, template) in enumerate(files):
            # By numbers, since the name of an annotation is not long enough for both names.
            annotations |= _injected(f"{place}.{number}", path, f".{sidecar.name}/{file}", template)
    if mounts:
        patch = json.dumps(mounts, sort_keys=True)
        annotations |= {f"{prefix}/agent-json-patch": patch, f"{prefix}/agent-init-json-patch": patch}
    return annotations


def _injected(name: str, path: str, file: str, template: str) -> dict[str, str]:
    prefix = "vault.hashicorp.com/agent-inject"
    return {
        f"{prefix}-secret-{name}": path,
        f"{prefix}-file-{name}": file,
        f"{prefix}-perms-{name}": "0400",
        f"{prefix}-template-{name}": agent_template(template, path),
    }


def agent_template(template: str, path: str) -> str:
    """The agent's template of a file with the data at a path in Vault."""
    return f'{{{{- with secret "{path}" -}}}}\n{template.rstrip()}\n{{{{- end }}}}\n'


def render_file(template: str, values: Mapping[str, str]) -> str:
    """The text of a file on a stack without Vault: the same that the agent would write."""
    return render(template.rstrip(), DATA, values)


def mesh_annotations(args: SecureServiceArgs) -> dict[str, str]:
    """The annotation that lets connections to Vault bypass the mesh's proxy.

    The agent's init container runs before the proxy, and connects to Vault with its own TLS
    (https://github.com/hashicorp/vault-k8s/issues/41). The network policy still allows that port for Vault only.
    """
    return vault_bypass(args.platform) if reaches_vault(args) else {}


def vault_bypass(platform: PlatformTerms) -> dict[str, str]:
    """The annotation of pods that reach Vault without their proxy; none where no proxy runs in the pods."""
    if not platform.mesh.sidecars:
        return {}
    if platform.vault.networks:
        # By address, since the port may be 443 and other servers have it too.
        return {"traffic.sidecar.istio.io/excludeOutboundIPRanges": ",".join(platform.vault.networks)}
    return {"traffic.sidecar.istio.io/excludeOutboundPorts": str(platform.vault.port)}
