"""Where the pods of services run, and what they are pulled with: what the stack file names and nobody has made."""

from collections.abc import Iterable

from components.service.args.placement import PlacementArgs
from components.service.manifests.job import workloads_of
from zt.cluster.manifest import Manifest, part
from zt.preflight.line import Check, Line, Theme, fails, ok, warns
from zt.preflight.session import Session

_NODES = "/api/v1/nodes"
_PRIORITIES = "/apis/scheduling.k8s.io/v1/priorityclasses"
_RUNTIMES = "/apis/node.k8s.io/v1/runtimeclasses"
_TYPE = "kubernetes.io/dockerconfigjson"


def _chosen(session: Session) -> list[PlacementArgs]:
    """The classes that services or their jobs choose."""
    workloads = [each for args in session.planned.services for each in workloads_of(args)]
    chosen = {each.place.name: each.place for each in workloads if each.place.name}
    return [chosen[name] for name in sorted(chosen)]


def _placement(session: Session) -> Iterable[Line]:
    for place in _chosen(session):
        key = f"placement.{place.name} of {session.file}"
        for kind, name, path in (
            ("PriorityClass", place.priority_class, _PRIORITIES),
            ("RuntimeClass", place.runtime_class, _RUNTIMES),
        ):
            if name and session.cluster.found(f"{path}/{name}") is None:
                yield fails(f"{kind} {name}", "there is none: the API server refuses the pods", f"create it, or {key}")
            elif name:
                yield ok(f"{kind} {name}", f"it is there, for the class {place.name}")
        about = f"nodes of the class {place.name}"
        fitting = [node for node in session.cluster.objects(_NODES) if _fits(node, place)]
        if fitting:
            yield ok(about, f"{len(fitting)} have its labels and devices")
        else:
            yield warns(about, "there is none with its labels and devices: pods wait for one", f"add nodes, or {key}")


def _fits(node: Manifest, place: PlacementArgs) -> bool:
    labels, has = part(node, "metadata", "labels"), part(node, "status", "allocatable")
    devices = (str(has.get(name, "0")) for name in place.resources)
    labelled = all(labels.get(key) == value for key, value in place.node_selector.items())
    return labelled and all(
        number.isdigit() and int(number) >= needed
        for number, needed in zip(devices, place.resources.values(), strict=True)
    )


def _pull_secrets(session: Session) -> Iterable[Line]:
    needed = {(args.namespace, name) for args in session.planned.services for name in args.pull_secrets}
    for namespace, name in sorted(needed):
        about = f"Secret {namespace}/{name} that images are pulled with"
        secret = session.cluster.found(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        if secret and secret.get("type") == _TYPE:
            yield ok(about, f"it is there, of type {_TYPE}")
        else:
            found = f"it is not of type {_TYPE}" if secret else "there is none: the pods wait"
            yield warns(about, found, f"create it once the namespace is there, or pullSecrets of {session.file}")


THEME = Theme(
    "placement",
    (
        Check("placement", "classes of nodes", _placement, lambda session: bool(_chosen(session))),
        Check(
            "pull-secrets",
            "credentials of registries",
            _pull_secrets,
            lambda session: any(args.pull_secrets for args in session.planned.services),
        ),
    ),
)
