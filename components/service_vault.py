"""How a service reaches its secrets: its Vault policy, the injector's annotations, and the file's text.

Annotations: https://developer.hashicorp.com/vault/docs/platform/k8s/injector/annotations
"""

import re
from collections.abc import Mapping

from components.service_args import SecretArgs, SecureServiceArgs
from components.service_spec import FIELD_OF_SECRET

TOKEN_VOLUME = "vault-token"  # noqa: S105 - the name of a volume
TOKEN_AUDIENCE = "vault"  # noqa: S105 - the audience claim of the token
TOKEN_TTL_SECONDS = 3600
TOKEN_MAX_TTL_SECONDS = 86400
SECRETS_DIRECTORY = "/vault/secrets"


def uses_vault(args: SecureServiceArgs) -> bool:
    """Whether the service has secrets and they are in Vault."""
    return bool(args.secrets) and args.platform.vault


def vault_policy(args: SecureServiceArgs) -> str:
    """A Vault policy that reads exactly the service's own secrets, path by path."""
    mount = args.platform.kv_mount
    paths = (f"{mount}/data/{args.secret_path(secret.name)}" for secret in args.secrets)
    return "".join(f'path "{path}" {{\n  capabilities = ["read"]\n}}\n' for path in sorted(paths))


def injector_annotations(args: SecureServiceArgs) -> dict[str, str]:
    """The pod annotations that make the injector bring each secret as a file only the application's user can read."""
    if not (uses_vault(args) and args.platform.injection):
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
        f"{prefix}/agent-requests-cpu": "25m",
        f"{prefix}/agent-requests-mem": "32Mi",
        f"{prefix}/agent-limits-cpu": "100m",
        f"{prefix}/agent-limits-mem": "64Mi",
    }
    for secret in args.secrets:
        path = f"{args.platform.kv_mount}/data/{args.secret_path(secret.name)}"
        annotations |= {
            f"{prefix}/agent-inject-secret-{secret.name}": path,
            f"{prefix}/agent-inject-file-{secret.name}": secret.file,
            f"{prefix}/agent-inject-perms-{secret.name}": "0400",
            f"{prefix}/agent-inject-template-{secret.name}": agent_template(secret, path),
        }
    return annotations


def agent_template(secret: SecretArgs, path: str) -> str:
    """The agent's template of a secret's file."""
    return f'{{{{- with secret "{path}" -}}}}\n{secret.template.rstrip()}\n{{{{- end }}}}\n'


def render_file(template: str, values: Mapping[str, str]) -> str:
    """The text that the agent would write, for a stack without Vault."""
    pattern = rf"\{{\{{-?\s*{FIELD_OF_SECRET.pattern}\s*-?\}}\}}"
    return re.sub(pattern, lambda match: values[match[1]], template.rstrip())


def mesh_annotations(args: SecureServiceArgs) -> dict[str, str]:
    """What keeps the mesh's proxy out of the agent's way.

    The agent's init container runs before the proxy does, and its connection is TLS to Vault itself
    (https://github.com/hashicorp/vault-k8s/issues/41). The network policy still holds the port to Vault alone.
    """
    if not (args.platform.mesh and uses_vault(args)):
        return {}
    if args.platform.vault_networks:
        # The port alone may be 443, which other servers have too.
        return {"traffic.sidecar.istio.io/excludeOutboundIPRanges": ",".join(args.platform.vault_networks)}
    return {"traffic.sidecar.istio.io/excludeOutboundPorts": str(args.platform.vault_port)}
