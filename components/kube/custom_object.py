"""Custom resources: objects of a kind that the SDK has no class for."""

from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource


def custom_object(name: str, manifest: dict[str, Any], opts: pulumi.ResourceOptions) -> CustomResource:
    """Create the object of a manifest as the resource `name`. It needs `apiVersion`, `kind`, `metadata` and `spec`."""
    return CustomResource(
        name,
        api_version=manifest["apiVersion"],
        kind=manifest["kind"],
        metadata=manifest["metadata"],
        spec=manifest["spec"],
        opts=opts,
    )
