"""What others have in the root namespace of a living mesh, and whom the mesh-wide rules of the stack would reach.

An object without a selector in the root namespace holds for every workload of the mesh.
https://istio.io/latest/docs/concepts/security/#target-selectors-and-policies
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from components.kube.cluster import Cluster
from components.kube.finding import Line, fails, ok, warns
from components.kube.mesh_labels import DEFAULT_REVISION, REVISION
from components.kube.ownership import by_pulumi
from components.kube.parts import part
from components.mesh.revisions import Injector, names_in_mesh
from components.mesh.security import MeshSecurityArgs

_NAMESPACES = "/api/v1/namespaces"
_MOVE = "move it out of {0}, or give it a selector"


def root_objects(cluster: Cluster, root: str) -> Iterator[Line]:
    """The lines about objects of others in the root namespace that hold in the mesh. Raises `UnreadableError`."""
    move = _MOVE.format(root)
    for group, resource, why in (
        ("security.istio.io/v1", "peerauthentications", "of several mesh-wide modes the oldest counts"),
        ("telemetry.istio.io/v1", "telemetries", "of several mesh-wide ones the oldest counts"),
        ("networking.istio.io/v1", "sidecars", "it tells every proxy whom it knows"),
    ):
        names = [name_of(each) for each in mesh_wide(cluster, root, group, resource)]
        about = f"mesh-wide {resource} of others"
        yield fails(about, f"{', '.join(names)}: {why}", move) if names else ok(about, "none")
    allowing = [
        name_of(each)
        for each in mesh_wide(cluster, root, "security.istio.io/v1", "authorizationpolicies")
        if part(each, "spec").get("action", "ALLOW") == "ALLOW"
    ]
    about = "mesh-wide allows of others"
    if allowing:
        found = f"{', '.join(allowing)}: whom one policy allows no default deny refuses"
        yield fails(about, found, f"{move}, or write action: DENY")
    else:
        yield ok(about, "none")
    filters = [name_of(each) for each in mesh_wide(cluster, root, "networking.istio.io/v1alpha3", "envoyfilters")]
    about = "mesh-wide EnvoyFilters of others"
    if filters:
        yield warns(about, f"{', '.join(filters)}: it may change what any proxy enforces", f"read it; {move}")
    else:
        yield ok(about, "none")


def mesh_wide(cluster: Cluster, root: str, group: str, resource: str) -> list[Mapping[str, Any]]:
    """The objects of others in the root namespace that hold for every workload. Raises `UnreadableError`."""
    spec = ("selector", "targetRef", "targetRefs", "workloadSelector")
    return [
        each
        for each in cluster.objects(f"/apis/{group}/namespaces/{root}/{resource}")
        if not by_pulumi(each["metadata"]) and not any(part(each, "spec").get(key) for key in spec)
    ]


def name_of(each: Mapping[str, Any]) -> str:
    """The namespace and the name of an object."""
    return f"{each['metadata']['namespace']}/{each['metadata']['name']}"


def others_in_the_mesh(
    cluster: Cluster,
    args: MeshSecurityArgs,
    every: Sequence[Injector],
    namespaces: Sequence[str],
    others: Sequence[str],
) -> Line:
    """The line about namespaces whose pods are in this mesh, and which are neither the stack's nor have agreed."""
    about = "namespaces of others in this mesh"
    names = names_in_mesh(cluster, every, args.root) | {args.revision or DEFAULT_REVISION}
    own = (*namespaces, *others, args.namespace, args.root)
    foreign = sorted(
        metadata["name"]
        for metadata in cluster.metadata(_NAMESPACES)
        if _joins(part(metadata, "labels"), names) and metadata["name"] not in own
    )
    rules = [f"{args.mtls} mutual TLS"] if args.mtls == "STRICT" else []
    rules += ["the default deny"] if args.authorization == "enforce" else []
    if not foreign:
        return ok(about, f"agreed: {', '.join(others)}" if others else "none")
    if not rules:
        found = "the mesh-wide rules of this stack refuse nobody yet"
        return warns(about, found, "see who would be refused before the posture becomes stricter: zt adopt", *foreign)
    fix = (
        "name each under mesh.otherNamespaces once its owners agree, or begin with posture.mtls PERMISSIVE and "
        "posture.authorization dry-run, with a reason"
    )
    return fails(about, f"{' and '.join(rules)} would hold for them, too, from the first day on", fix, *foreign)


def _joins(labels: Mapping[str, Any], names: Set[str]) -> bool:
    if labels.get("istio.io/dataplane-mode") == "ambient":
        return True
    return labels.get(REVISION) in names or (labels.get("istio-injection") == "enabled" and DEFAULT_REVISION in names)
