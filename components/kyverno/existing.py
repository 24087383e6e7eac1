"""What the rules rely on in a Kyverno that others installed: its Deployments, its configuration and its roles.

Each check stands for a value of `kyverno_values`, which sets it where the program installs Kyverno itself.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import cast

from components.kube.cluster import Cluster
from components.kube.finding import Line, fails, ok, warns
from components.kube.installed import (
    account_line,
    aggregation_line,
    container_of,
    controller,
    flags,
    served_line,
    version_line,
    version_of,
)
from components.kube.manifest import Manifest
from components.kube.names import CLEANUP_ACCOUNT
from components.kube.ownership import by_pulumi
from components.kube.parts import part, parts
from components.kyverno.rule_integrity import EXCEPTIONS, POLICIES, REPORTS

OLDEST = "1.19"
"""The first release line that knows every kind and field of the rules."""

_COMPONENT, _PART_OF = "app.kubernetes.io/component", "app.kubernetes.io/part-of"
_NAME_LABEL = "kubernetes.io/metadata.name"
_INSTALL = "name its kyverno.namespace, or helm install kyverno kyverno --namespace {0}, or kyverno.mode: helm"
_THERE = "{namespace}"
"""In the value of a flag: the namespace of Kyverno."""
# What the chart excludes by default: nodes write the status of their pods.
_NODES = {"system:nodes"}
_EXCLUSIONS = ("excludeGroups", "excludeUsernames", "excludeRoles", "excludeClusterRoles")
_SELECT = f"select by {_NAME_LABEL} alone, which only the API server writes (config.webhooks.namespaceSelector)"
_WORKLOADS = ("ReplicaSet", "Pod", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicationController")
_KINDS = (
    "DeletingPolicy",
    "GeneratingPolicy",
    "ImageValidatingPolicy",
    "MutatingPolicy",
    "NamespacedDeletingPolicy",
    "PolicyException",
    "ValidatingPolicy",
)


@dataclass(frozen=True)
class _Flag:
    """A flag of a controller, the value that the stack relies on, the chart's value for it, and why it matters."""

    name: str
    value: str
    chart: str
    why: str
    absent: str = ""
    """The value that Kyverno takes when the flag is not there."""


_FLAGS: Mapping[str, tuple[_Flag, ...]] = {
    "admission-controller": (
        _Flag(
            "enablePolicyException", "true", "features.policyExceptions.enabled", "exceptions of service files count"
        ),
        _Flag(
            "exceptionNamespace",
            _THERE,
            "features.policyExceptions.namespace",
            "an exception anywhere else switches rules off",
        ),
        _Flag(
            "generateValidatingAdmissionPolicy",
            "true",
            "features.generateValidatingAdmissionPolicy.enabled",
            "rules that deny hold while Kyverno is down",
        ),
        _Flag(
            "forceFailurePolicyIgnore",
            "false",
            "features.forceFailurePolicyIgnore.enabled",
            "webhooks of rules fail closed",
            absent="false",
        ),
    ),
    "reports-controller": (
        _Flag(
            "validatingAdmissionPolicyReports",
            "true",
            "features.validatingAdmissionPolicyReports.enabled",
            "native rules are reported",
        ),
        _Flag("backgroundScan", "true", "features.backgroundScan.enabled", "what audits is scanned", absent="true"),
    ),
    "background-controller": (),
    "cleanup-controller": (),
}


def existing_kyverno(cluster: Cluster, namespace: str, unjudged: Sequence[str], rules: Sequence[str]) -> Iterator[Line]:
    """The lines about a Kyverno that is there already, in a namespace. Raises `UnreadableError`.

    `unjudged` are the namespaces that no rule looks at, `rules` the names of the rules that are on.
    """
    yield served_line(
        cluster, "kinds of Kyverno", "policies.kyverno.io/v1", _KINDS, f"upgrade Kyverno to {OLDEST}, with its CRDs"
    )
    for component, wanted in _FLAGS.items():
        title = f"Kyverno's {component.replace('-', ' ')}"
        there, line = controller(
            cluster,
            title,
            namespace,
            {_PART_OF: "kyverno", _COMPONENT: component},
            _INSTALL.format(namespace),
        )
        yield line
        if there is None:
            continue
        if component == "admission-controller":
            yield version_line("version of Kyverno", "kyverno", version_of(there, "kyverno"), OLDEST)
        if component == "cleanup-controller":
            about = "account of Kyverno's cleanup controller"
            value = "cleanupController.rbac.serviceAccount.name"
            yield account_line(about, there, CLEANUP_ACCOUNT, "exceptions are ended by", value)
        given = flags(container_of(there, "kyverno" if component == "admission-controller" else "controller"))
        yield from (_flag_line(title, flag, given, namespace) for flag in wanted)
    yield from _configuration(cluster, namespace, unjudged)
    groups = [*dict.fromkeys([*EXCEPTIONS, *POLICIES, *REPORTS])]
    yield aggregation_line(cluster, "roles of Kyverno", groups, "rbac.roles.aggregate.{admin,view}: false")
    yield _exceptions(cluster, rules)


def _flag_line(about: str, flag: _Flag, given: Mapping[str, str], namespace: str) -> Line:
    wanted = flag.value.format(namespace=namespace)
    name, value = f"{about}: --{flag.name}", given.get(flag.name, flag.absent)
    if value == wanted:
        return ok(name, f"{value}: {flag.why}")
    return fails(name, f"{value or 'absent'}, where {flag.why} only with {wanted}", f"set {flag.chart}: {wanted}")


def _configuration(cluster: Cluster, namespace: str, unjudged: Sequence[str]) -> Iterator[Line]:
    config_map = cluster.found(f"/api/v1/namespaces/{namespace}/configmaps/kyverno")
    if config_map is None:
        found = f"there is no ConfigMap {namespace}/kyverno"
        yield fails("configuration of Kyverno", found, _INSTALL.format(namespace))
        return
    data = cast("Mapping[str, str]", part(config_map, "data"))
    yield _filters(data, namespace, unjudged)
    yield _excluded_users(data)
    yield _webhooks(data, unjudged)
    about = "conditions of Kyverno's webhooks"
    if conditions := data.get("matchConditions"):
        fix = "leave config.matchConditions out: the rules have conditions of their own"
        yield fails(about, f"requests pass by every rule that do not match {conditions}", fix)
    else:
        yield ok(about, "none")


def _filters(data: Mapping[str, str], namespace: str, unjudged: Sequence[str]) -> Line:
    """The line about resourceFilters, which are written as `[kind,namespace,name]`, each with wildcards."""
    about = "resource filters of Kyverno"
    written = "".join(data.get("resourceFilters", "").split()).removeprefix("[").removesuffix("]")
    filters = [[*each.split(","), "*", "*"][:3] for each in written.split("][") if each]
    hidden = [
        f"[{','.join(each)}]"
        for each in filters
        if _hides_workloads(each, unjudged) or _hides_exceptions(each, namespace)
    ]
    if hidden:
        fix = f"add them to config.resourceFiltersExclude: {json.dumps(hidden)}"
        return fails(about, "they hide from Kyverno what it has to see", fix, *hidden)
    return ok(about, "they hide no workload and no exception")


def _hides_workloads(each: Sequence[str], unjudged: Sequence[str]) -> bool:
    return each[1] not in unjudged and any(_matches(each[0], kind) for kind in _WORKLOADS)


def _hides_exceptions(each: Sequence[str], namespace: str) -> bool:
    return fnmatchcase(namespace, each[1]) and _matches(each[0], "PolicyException")


def _matches(pattern: str, kind: str) -> bool:
    """Whether a kind, written as `Kind` or as `*/*` with its subresources, is this one."""
    return pattern == "*/*" or fnmatchcase(kind, pattern)


def _excluded_users(data: Mapping[str, str]) -> Line:
    about = "users whom Kyverno does not judge"
    excluded = [
        f"{key}: {user}"
        for key in _EXCLUSIONS
        for user in data.get(key, "").split(",")
        if user.strip() and user.strip() not in _NODES
    ]
    if excluded:
        return fails(
            about, "whoever is one of them passes by every rule in Kyverno", "take them out of config", *excluded
        )
    return ok(about, "none but the nodes")


def _webhooks(data: Mapping[str, str], unjudged: Sequence[str]) -> Line:
    """The line about the namespaces that the webhooks leave out: each must be one that no rule looks at anyway."""
    about = "namespaces that Kyverno's webhooks look at"
    try:
        read = cast("object", json.loads(data.get("webhooks") or "{}"))
    except ValueError:
        return fails(about, "the key webhooks is no JSON", "correct config.webhooks")
    listed = cast("list[object]", read) if isinstance(read, list) else [read]
    selectors = [cast("Manifest", each) for each in listed if isinstance(each, dict)]
    left_out: set[str] = set()
    for selector in selectors:
        if selector.get("objectSelector"):
            return fails(about, "objects are chosen by their labels, which their author writes", _SELECT)
        names = _excluded_names(part(selector, "namespaceSelector"))
        if names is None:
            return fails(about, "namespaces are chosen by labels that others write", _SELECT)
        left_out |= names
    if beyond := sorted(left_out - {*unjudged}):
        fix = "take them out of config.webhooks, or name each under kyverno.excludedNamespaces, with a last day"
        return fails(about, "they leave out namespaces where the rules hold", fix, *beyond)
    if closed := sorted({*unjudged} - left_out):
        fix = f"add them to config.webhooks: {json.dumps(closed)} under NotIn of {_NAME_LABEL}"
        return warns(about, "while Kyverno is down no pod of the platform starts in them", fix, *closed)
    return ok(about, "all where a rule holds")


def _excluded_names(selector: Manifest) -> set[str] | None:
    """The namespaces that a selector leaves out by name; `None` for one that reads another label."""
    expressions = parts(selector, "matchExpressions")
    if selector.get("matchLabels") or any(
        each.get("key") != _NAME_LABEL or each.get("operator") != "NotIn" for each in expressions
    ):
        return None
    return {str(name) for each in expressions for name in cast("list[object]", each.get("values") or [])}


def _exceptions(cluster: Cluster, rules: Sequence[str]) -> Line:
    """The line about exceptions that somebody else has written for a rule of the same name."""
    about = "exceptions of others from the rules"
    others = [
        f"{each['metadata']['namespace']}/{each['metadata']['name']}: {', '.join(excepted)}"
        for group, refs, key in (
            ("policies.kyverno.io/v1", "policyRefs", "name"),
            ("kyverno.io/v2", "exceptions", "policyName"),
        )
        for each in cluster.objects(f"/apis/{group}/policyexceptions")
        if not by_pulumi(each["metadata"])
        and (excepted := sorted({str(ref.get(key)) for ref in parts(each, "spec", refs)} & {*rules}))
    ]
    if others:
        fix = (
            "delete them, and write each under kyverno.exceptions, or as exceptions of a service file, with a last day"
        )
        return fails(about, f"{len(others)}, which the rules would follow from the first day on", fix, *others)
    return ok(about, "none")
