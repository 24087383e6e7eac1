"""Workloads of others that the rules would refuse: a new node has no network before its plugin's pod starts.

They run already, and are not judged before they are made anew: on the next node, or when they are upgraded.
"""

from collections.abc import Iterable, Iterator

from components.config.action import Action
from zt.cluster.manifest import Manifest, part, parts, word
from zt.preflight.line import Check, Line, Theme, fails, ok, warns
from zt.preflight.ownership import is_own
from zt.preflight.session import Session

_KINDS = {
    "DaemonSet": "/apis/apps/v1/daemonsets",
    "Deployment": "/apis/apps/v1/deployments",
    "StatefulSet": "/apis/apps/v1/statefulsets",
}
_MOST = 6


def _broken(pod: Manifest) -> Iterator[str]:
    """The critical rules that a pod breaks which works on its node."""
    if any(pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield "disallow-host-namespaces"
    if any("hostPath" in volume for volume in parts(pod, "volumes")):
        yield "disallow-host-path"
    containers = (*parts(pod, "containers"), *parts(pod, "initContainers"))
    if any(part(container, "securityContext").get("privileged") for container in containers):
        yield "disallow-privileged"


def _refused(session: Session) -> dict[str, list[str]]:
    """What no new pod of is admitted, by namespace: each workload with the rules that refuse it."""
    policies = session.planned.policies
    judged_not = {*policies.unjudged_namespaces} if policies else set[str]()
    excepted = {(each.workload, each.rule) for each in session.stack.settings.kyverno.exceptions}
    services = {(service.namespace, service.name) for service in session.planned.services}
    found: dict[str, list[str]] = {}
    for kind, path in _KINDS.items():
        for each in session.cluster.objects(path):
            metadata, pod = each["metadata"], part(each, "spec", "template", "spec")
            namespace, name = metadata["namespace"], metadata["name"]
            if (
                namespace in judged_not
                or (namespace, name) in services
                or is_own(metadata, session.created, session.stack.manager)
            ):
                continue
            account = f"{namespace}/{word(pod, 'serviceAccountName') or 'default'}"
            if rules := [rule for rule in _broken(pod) if (account, rule) not in excepted]:
                found.setdefault(namespace, []).append(f"{kind} {name}: {', '.join(rules)}")
    return found


def _agents(session: Session) -> Iterable[Line]:
    refused = _refused(session)
    if not refused:
        yield ok("workloads of others on the nodes", "none that a critical rule refuses")
    says = fails if session.stack.posture.critical is Action.DENY else warns
    for namespace, workloads in sorted(refused.items()):
        fix = (
            f"kyverno.excludedNamespaces.{namespace} in {session.file}, or kyverno.exceptions of its service accounts "
            "(docs/how-to/policies.md)"
        )
        found = "critical rules refuse a new pod of it, as on a node that comes later"
        yield says(f"workloads of others in {namespace}", found, fix, *workloads[:_MOST])


THEME = Theme(
    "workloads of others",
    (
        Check(
            "node-agents",
            "workloads of others on the nodes",
            _agents,
            lambda session: session.planned.policies is not None and session.stack.posture.critical is not Action.OFF,
        ),
    ),
)
