"""Merges the patch of a service file into the template of its pods (https://www.rfc-editor.org/rfc/rfc7386)."""

from collections.abc import Mapping
from typing import cast

from components.kube.manifest import Manifest
from components.service.args.patch import PatchArgs


def patched(template: Manifest, args: PatchArgs) -> Manifest:
    """The template of a pod with the patch in it; the template itself without one."""
    if not args.expires:
        return template
    spec = merged(template["spec"], args.pod)
    for kind in ("initContainers", "containers"):
        if kind in spec:
            spec[kind] = [merged(each, args.containers.get(each["name"], {})) for each in spec[kind]]
    metadata: Manifest = template["metadata"]
    if args.annotations:
        metadata = {**metadata, "annotations": {**metadata.get("annotations", {}), **args.annotations}}
    return {**template, "metadata": metadata, "spec": spec}


def merged(own: Mapping[str, object], patch: Mapping[str, object]) -> Manifest:
    """Both, key by key; where one of two values is no mapping, the patch's takes the place of the other."""
    result: Manifest = dict(own)
    for key, value in patch.items():
        before: object = result.get(key)
        both = isinstance(before, dict) and isinstance(value, dict)
        result[key] = merged(cast("Manifest", before), cast("Manifest", value)) if both else value
    return result
