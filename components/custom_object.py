"""A manifest as the Pulumi resource of a kind that only its chart's definitions know."""

from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource


def custom_object(name: str, manifest: dict[str, Any], opts: pulumi.ResourceOptions) -> CustomResource:
    """Create the object of a manifest that has `apiVersion`, `kind`, `metadata` and `spec`, under a Pulumi name."""
    return CustomResource(
        name,
        api_version=manifest["apiVersion"],
        kind=manifest["kind"],
        metadata=manifest["metadata"],
        spec=manifest["spec"],
        opts=opts,
    )
