"""The metadata that every object of a service shares."""

from typing import Any

from components.service.args.service import SecureServiceArgs


def metadata(args: SecureServiceArgs) -> dict[str, Any]:
    """The metadata that every object of a service shares."""
    return {"name": args.name, "namespace": args.namespace, "labels": dict(args.labels)}
