"""The labels of a service's objects."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.service.args.service import SecureServiceArgs

_LABEL_LENGTH = 63


def labels_of(args: "SecureServiceArgs") -> dict[str, str]:
    """The labels of all objects of a service."""
    version = _version(args.image)
    labels = {
        "app": args.name,
        "app.kubernetes.io/name": args.name,
        "app.kubernetes.io/version": version,
        "app.kubernetes.io/component": args.component,
        "app.kubernetes.io/part-of": args.namespace,
        "app.kubernetes.io/managed-by": "pulumi",
        "component": args.component,
        "team": args.team,
        "version": version,
    }
    return {**labels, "cost-center": args.cost_center} if args.cost_center else labels


def _version(image: str) -> str:
    """The image's tag as the value of a label, which is shorter than a tag may be and ends with a letter or digit."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    return tag[:_LABEL_LENGTH].strip("-_.") or "digest"
