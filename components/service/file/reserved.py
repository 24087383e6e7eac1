"""The names that no service and no job has: what is called so is in each namespace anyhow, or in each pod."""

import re

from components.kube.names import (
    NAMESPACE_POLICIES,
    PLATFORM_CONTAINERS,
    SHARED_ACCOUNTS,
    TEAM_DEPLOYER,
)
from components.schema.fields import DNS_LABEL

SERVICE_NAME = rf"(?=[a-z]){DNS_LABEL}"
"""The pattern of a Service's name in Kubernetes, where no digit is first: https://www.rfc-editor.org/rfc/rfc1035"""


def reserved_name(name: str) -> str:
    """Why no service and no job may have this full name; empty if one may."""
    if name in SHARED_ACCOUNTS:
        return "a service account that every pod of its namespace may have"
    if name in PLATFORM_CONTAINERS:
        return "a container that the platform adds to pods has this name"
    if name in NAMESPACE_POLICIES:
        return "a network policy that the platform makes in every namespace has this name"
    return "the binding of a team's deployer has this name" if name == TEAM_DEPLOYER else ""


def not_a_service(name: str) -> str:
    """Why no service may have this name; empty if one may."""
    if not re.fullmatch(SERVICE_NAME, name):
        return "not the name of a Service: lower-case letters, digits and hyphens, a letter first, 63 at most"
    return reserved_name(name)
