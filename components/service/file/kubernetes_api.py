"""The section `kubernetesApi` of a service file: rights on the Kubernetes API.

A right that leads nowhere is granted as it is written: to read what Kubernetes itself lets its role `view` read, and to
write leases and events. Any other right may lead to more than it says, as the right to change a Service leads to the
traffic of another: it needs a reason, an owner and a last day. Some are never granted, since whoever has one has what
somebody else may do. Source: `viewRules` and `editRules` in
https://github.com/kubernetes/kubernetes/blob/master/plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Self

from pydantic import Field, StrictBool, StrictStr, model_validator

from components.schema.fields import Day
from components.schema.timed_exception import CRITICAL_DAYS, Owner, Reason, TimedException, check_days
from components.schema.typed_file import TypedFile, misplaced

Right = tuple[str, str, str]
"""An API group, a resource and a verb."""

READING = ("get", "list", "watch")
"""The verbs that change nothing."""
_WRITE = ("create", "update", "patch", "delete")
# All that a request can be. Any other verb passes rights on: escalate, bind, use, impersonate, sign, approve.
_VERBS = (*READING, *_WRITE, "deletecollection")
_EVENT = (*READING, "create", "update", "patch")

# The role `view`, without logs, which hold what other services were told, and without `bindings`, which nobody reads.
_READABLE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "": (
            "configmaps",
            "endpoints",
            "limitranges",
            "namespaces",
            "persistentvolumeclaims",
            "persistentvolumeclaims/status",
            "pods",
            "pods/status",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "replicationcontrollers/status",
            "resourcequotas",
            "resourcequotas/status",
            "serviceaccounts",
            "services",
            "services/status",
        ),
        "apps": (
            "controllerrevisions",
            "daemonsets",
            "daemonsets/status",
            "deployments",
            "deployments/scale",
            "deployments/status",
            "replicasets",
            "replicasets/scale",
            "replicasets/status",
            "statefulsets",
            "statefulsets/scale",
            "statefulsets/status",
        ),
        "autoscaling": ("horizontalpodautoscalers", "horizontalpodautoscalers/status"),
        "batch": ("cronjobs", "cronjobs/status", "jobs", "jobs/status"),
        "discovery.k8s.io": ("endpointslices",),
        "metrics.k8s.io": ("pods",),
        "networking.k8s.io": ("ingresses", "ingresses/status", "networkpolicies"),
        "policy": ("poddisruptionbudgets", "poddisruptionbudgets/status"),
    }
)
HARMLESS: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType(
    {
        **{(group, resource): READING for group, resources in _READABLE.items() for resource in resources},
        # Leader election, and what a program reports of itself.
        ("coordination.k8s.io", "leases"): (*READING, *_WRITE),
        ("", "events"): _EVENT,
        ("events.k8s.io", "events"): _EVENT,
    }
)
"""The verbs on a group's resource that lead nowhere."""

# Whoever may use one of these acts as somebody else: it holds or makes its identity, runs under it, or gives rights.
_NEVER = frozenset(
    {
        "secrets",
        "serviceaccounts/token",
        "pods/exec",
        "pods/attach",
        "pods/ephemeralcontainers",
        "roles",
        "rolebindings",
        "clusterroles",
        "clusterrolebindings",
    }
)
_RBAC = "rbac.authorization.k8s.io"


def leading_on(
    groups: Sequence[str], resources: Sequence[str], verbs: Sequence[str], cluster_wide: bool = False
) -> Iterator[Right]:
    """The rights that may lead to more than they say: each verb on each resource of each group is a right."""
    rights = ((group, resource, verb) for group in groups for resource in resources for verb in verbs)
    return (right for right in rights if cluster_wide or right[2] not in HARMLESS.get(right[:2], ()))


def right_text(right: Right) -> str:
    """A right as a sentence says it, such as `patch deployments.apps`."""
    group, resource, verb = right
    return f"{verb} {resource}.{group}" if group else f"{verb} {resource}"


class ApiRule(TypedFile):
    """Rights on the Kubernetes API, in the service's namespace unless they are `clusterWide`.

    To read what the built-in role `view` reads, and to write leases and events, leads nowhere. Any other right needs
    `reason`, `owner`, `granted` and `expires`.
    """

    api_groups: tuple[StrictStr, ...] = Field(default=("",), min_length=1)
    """The API groups of the resources; the empty one is the core group."""
    resources: tuple[StrictStr, ...] = Field(min_length=1)
    """Resources such as `configmaps`; those that give access to secrets or to another's rights are refused."""
    verbs: tuple[StrictStr, ...] = Field(min_length=1)
    """Verbs such as `get` and `list`; those that pass rights on are refused."""
    cluster_wide: StrictBool = False
    """Whether they hold in every namespace, and for what is in none, such as nodes. That is for reading alone, and
    always needs the four keys below."""
    reason: Reason | None = None
    """Why the service needs a right that may lead to more than it says, for the person who reviews it."""
    owner: Owner | None = None
    """Who is responsible for ending that: a person or a team."""
    granted: Day | None = None
    """The day on which it was agreed."""
    expires: Day | None = None
    """The first day without the right; at most 90 days after `granted`."""

    @model_validator(mode="after")
    def _narrow(self) -> Self:
        self._refuse_wildcards()
        self._refuse_others_rights()
        self._refuse_beyond_reading()
        if beyond := next(self.leading_on(), None):
            self._need_exception(beyond)
        elif unneeded := next((key for key, value in self._exception_keys().items() if value is not None), None):
            message = "these rights lead nowhere and need none: leave it out"
            raise misplaced([unneeded], message, str(getattr(self, unneeded)))
        return self

    def leading_on(self) -> Iterator[Right]:
        """Its rights that may lead to more than they say. In every namespace each of them reaches other teams."""
        return leading_on(self.api_groups, self.resources, self.verbs, self.cluster_wide)

    @property
    def exception(self) -> TimedException | None:
        """The reason, the owner and the days; `None` if its rights need none."""
        if self.reason is None or self.owner is None or self.granted is None or self.expires is None:
            return None
        return TimedException(reason=self.reason, owner=self.owner, granted=self.granted, expires=self.expires)

    def problem(self, as_of: date | None) -> tuple[str, str] | None:
        """The key and the message, if its days are wrong. Without `as_of` it does not expire."""
        exception = self.exception
        if exception and exception.days > CRITICAL_DAYS:
            return "expires", f"{exception.days} days, {CRITICAL_DAYS} at most after granted {exception.granted}"
        return exception.day_problem(as_of) if exception else None

    def _exception_keys(self) -> dict[str, object]:
        return {key: getattr(self, key) for key in ("reason", "owner", "granted", "expires")}

    def _refuse_wildcards(self) -> None:
        for key, names in (("apiGroups", self.api_groups), ("resources", self.resources), ("verbs", self.verbs)):
            for number, name in enumerate(names):
                if "*" in name:
                    raise misplaced([key, number], "a wildcard is over-broad: name each group, resource and verb", name)

    def _refuse_others_rights(self) -> None:
        for number, verb in enumerate(self.verbs):
            if verb not in _VERBS:
                message = "it would give more than is written, whatever the reason: no service gets it"
                raise misplaced(["verbs", number], message, verb, _VERBS)
        for number, group in enumerate(self.api_groups):
            if group == _RBAC:
                raise misplaced(["apiGroups", number], "it would give more rights: no service gets it", group)
        for number, resource in enumerate(self.resources):
            if resource in _NEVER:
                message = "it would give more than is written, whatever the reason: no service gets it"
                raise misplaced(["resources", number], message, resource)

    def _refuse_beyond_reading(self) -> None:
        """Refuse a right in every namespace that is more than to read objects."""
        if not self.cluster_wide:
            return
        for number, verb in enumerate(self.verbs):
            if verb not in READING:
                raise misplaced(["verbs", number], "clusterWide is for reading alone", verb, READING)
        readable = {resource for _, resource in HARMLESS}
        for number, resource in enumerate(self.resources):
            # Such as `nodes/proxy`, with which whoever may read runs a program in any pod.
            if "/" in resource and resource not in readable:
                message = "clusterWide is for objects alone, and their status: no service gets it everywhere"
                raise misplaced(["resources", number], message, resource)

    def _need_exception(self, right: Right) -> None:
        missing = [key for key, value in self._exception_keys().items() if value is None]
        if self.granted and self.expires:
            check_days(self.granted, self.expires)
        if not missing:
            return
        written = ", ".join(missing)
        leads = "reaches other teams' namespaces" if self.cluster_wide else "may lead to more than it says"
        needed = f"{right_text(right)} {leads}: write {written} beside it, or leave it out"
        if len(missing) < len(self._exception_keys()):
            raise misplaced([missing[0]], f"missing: {needed}", None)
        if self.cluster_wide:
            raise misplaced(["clusterWide"], needed, True, ["false"])
        if verbs := HARMLESS.get(right[:2]):
            raise misplaced(["verbs"], needed, list(self.verbs), verbs)
        harmless = sorted(resource for group, resource in HARMLESS if group == right[0])
        raise misplaced(["resources"], needed, list(self.resources), harmless)


LEADER_ELECTION = ApiRule.model_validate(
    {"apiGroups": ("coordination.k8s.io",), "resources": ("leases",), "verbs": ("get", "create", "update", "patch")}
)
"""What leader election by a lease takes: https://kubernetes.io/docs/concepts/architecture/leases/#leader-election"""
