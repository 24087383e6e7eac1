"""How a service reaches its secrets: its Vault policy, the injector's annotations, and the file's text.

Annotations: https://developer.hashicorp.com/vault/docs/platform/k8s/injector/annotations
"""

import re
from collections.abc import Mapping

from components.service_args import SecureServiceArgs
from components.service_database import SECRET_NAME
from components.service_spec import FIELD_OF_SECRET
from components.vault_policy import hcl

TOKEN_VOLUME = "vault-token"  # noqa: S105 - the name of a volume
TOKEN_AUDIENCE = "vault"  # noqa: S105 - the audience claim of the token
TOKEN_TTL_SECONDS = 3600
TOKEN_MAX_TTL_SECONDS = 86400
SECRETS_DIRECTORY = "/vault/secrets"


def uses_vault(args: SecureServiceArgs) -> bool:
    """Whether the service has secrets or a database, and the stack a Vault for them."""
    return bool(args.secrets or args.database.connection) and args.platform.vault


def copied(args: SecureServiceArgs) -> bool:
    """Whether External Secrets copies what the service has in Vault into the cluster."""
    return uses_vault(args) and args.platform.store.on


def reaches_vault(args: SecureServiceArgs) -> bool:
    """Whether the pod itself talks to Vault."""
    return uses_vault(args) and not args.platform.store.on


def vault_policy(args: SecureServiceArgs) -> str:
    """A Vault policy that reads exactly the service's own secrets and database users, path by path."""
    mount = args.platform.kv_mount
    paths = [f"{mount}/data/{args.secret_path(secret.name)}" for secret in args.secrets]
    if args.database.connection:
        paths.append(args.database_path)
    return hcl((path, ("read",)) for path in sorted(paths))


def injector_annotations(args: SecureServiceArgs) -> dict[str, str]:
    """The pod annotations that make the injector bring each secret as a file only the application's user can read."""
    if not (reaches_vault(args) and args.platform.injection):
        return {}
    prefix = "vault.hashicorp.com"
    annotations = {
        f"{prefix}/agent-inject": "true",
        f"{prefix}/role": args.key,
        f"{prefix}/auth-path": f"auth/{args.platform.auth_path}",
        f"{prefix}/agent-pre-populate": "true",
        f"{prefix}/agent-pre-populate-only": "false",
        # The agent's files are 0400, so it runs as the user that reads them.
        f"{prefix}/agent-run-as-same-user": "true",
        f"{prefix}/agent-set-security-context": "true",
        f"{prefix}/agent-service-account-token-volume-name": TOKEN_VOLUME,
        f"{prefix}/template-static-secret-render-interval": args.platform.secret_refresh,
        f"{prefix}/agent-requests-cpu": "25m",
        f"{prefix}/agent-requests-mem": "32Mi",
        f"{prefix}/agent-limits-cpu": "100m",
        f"{prefix}/agent-limits-mem": "64Mi",
    }
    for secret in args.secrets:
        path = f"{args.platform.kv_mount}/data/{args.secret_path(secret.name)}"
        annotations |= _injected(secret.name, path, secret.file, secret.template)
    if args.database.connection:
        annotations |= _injected(SECRET_NAME, args.database_path, args.database.file, args.database.template)
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
    """The agent's template of a file, made of what is at a path of Vault."""
    return f'{{{{- with secret "{path}" -}}}}\n{template.rstrip()}\n{{{{- end }}}}\n'


def render_file(template: str, values: Mapping[str, str]) -> str:
    """The text that the agent would write, for a stack without Vault."""
    pattern = rf"\{{\{{-?\s*{FIELD_OF_SECRET.pattern}\s*-?\}}\}}"
    return re.sub(pattern, lambda match: values[match[1]], template.rstrip())


def mesh_annotations(args: SecureServiceArgs) -> dict[str, str]:
    """What keeps the mesh's proxy out of the agent's way.

    The agent's init container runs before the proxy does, and its connection is TLS to Vault itself
    (https://github.com/hashicorp/vault-k8s/issues/41). The network policy still holds the port to Vault alone.
    """
    if not (args.platform.sidecars and reaches_vault(args)):
        return {}
    if args.platform.vault_networks:
        # The port alone may be 443, which other servers have too.
        return {"traffic.sidecar.istio.io/excludeOutboundIPRanges": ",".join(args.platform.vault_networks)}
    return {"traffic.sidecar.istio.io/excludeOutboundPorts": str(args.platform.vault_port)}
