"""The resources of exceptions from rules, which are there before the workload that needs them."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi

from components.kube.in_force import until_excepted
from components.kube.living import living_cluster
from components.kube.manifest import Manifest
from components.kube.names import ANNOTATION
from components.kube.objects import KubernetesObject


def exception_objects(
    name: str, manifests: Mapping[str, Manifest], opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Create PolicyExceptions, each by what tells it from the others of `name`, such as its rule."""
    if not manifests:
        return []
    hook = pulumi.ResourceHook(f"{name}.in-force", until_excepted(living_cluster))
    anew = pulumi.ResourceOptions(
        hooks=pulumi.ResourceHookBinding(after_create=[hook], after_update=[hook]),
        # One that has ended is gone, and what is gone cannot be updated: the deletion is the step that forgives it.
        replace_on_changes=["*"],
        delete_before_replace=True,
    )
    return [
        KubernetesObject(f"{name}.{key}", manifest, pulumi.ResourceOptions.merge(opts, anew))
        for key, manifest in manifests.items()
    ]


def exception_annotations(exceptions: Sequence[pulumi.Resource]) -> dict[str, Any]:
    """The annotation of a workload with the ids of its exceptions; none without exceptions.

    The id of a new exception is unknown in a preview. So the preview does not send the API server a workload that it
    would refuse before the exception exists.
    """
    if not exceptions:
        return {}
    ids = pulumi.Output.all(*(cast("pulumi.CustomResource", exception).id for exception in exceptions))
    return {f"{ANNOTATION}/exceptions": ids.apply(", ".join)}
