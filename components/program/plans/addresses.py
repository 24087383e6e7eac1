"""Addresses that several plans read of a stack."""

from urllib.parse import urlsplit

from components.config.vault import VaultSettings
from components.kube.names import VAULT_NAMESPACE, VAULT_PORT, VAULT_RELEASE


def cluster_address(settings: VaultSettings) -> str:
    """Vault's address as seen from the cluster; empty when there is none."""
    if settings.mode == "helm":
        return f"https://{VAULT_RELEASE}.{VAULT_NAMESPACE}.svc:{VAULT_PORT}"
    return settings.address or ""


def port(address: str | None) -> int:
    """The port of an https address."""
    return urlsplit(address or "").port or 443
