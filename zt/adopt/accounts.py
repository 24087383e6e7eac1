"""Service accounts that may do more than a workload needs, by the bindings that give it to them.

What leads on is what the key `kubernetesApi` of a service file refuses without a reason and a last day.
https://kubernetes.io/docs/concepts/security/rbac-good-practices/#privilege-escalation-risks
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from components.kube.parts import Manifest, part, parts, texts
from components.service.file.kubernetes_api import leading_on, right_text
from zt.adopt.living import Living
from zt.adopt.model import Account
from zt.adopt.workloads import Template

_MOST_RIGHTS = 4
# What everybody has: the discovery of kinds, and questions about oneself.
_EVERYBODY = ("system:basic-user", "system:discovery", "system:public-info-viewer", "system:service-account-issuer")


def accounts(living: Living, templates: Sequence[Template], namespace: str) -> tuple[Account, ...]:
    """The service accounts of a namespace with too much, or with a token that nobody needs."""
    found: list[Account] = []
    for each in living.of("ServiceAccount"):
        if each["metadata"]["namespace"] != namespace:
            continue
        name = str(each["metadata"]["name"])
        users = [t for t in templates if t.namespace == namespace and t.account == name]
        reasons = [*dict.fromkeys(_reasons(living, namespace, name))]
        if users and name == "default":
            reasons.append("the account of whoever names none: all of these are one identity")
        if users and not reasons and any(_mounts_token(each, user) for user in users):
            reasons.append("a token in each pod, and no right that it would be for")
        if reasons:
            found.append(Account(namespace, name, tuple(reasons), tuple(user.key for user in users)))
    return tuple(sorted(found))


def _mounts_token(account: Manifest, template: Template) -> bool:
    own = template.spec.get("automountServiceAccountToken")
    return bool(own if own is not None else account.get("automountServiceAccountToken", True))


def _reasons(living: Living, namespace: str, name: str) -> Iterator[str]:
    for binding, rules in _bound(living, namespace, name):
        wide = binding["kind"] == "ClusterRoleBinding"
        rights = [*dict.fromkeys(_leading(rules, wide))]
        if rights:
            more = f" and {len(rights) - _MOST_RIGHTS} more" if len(rights) > _MOST_RIGHTS else ""
            where = "in every namespace" if wide else f"in {binding['metadata']['namespace']}"
            by = f"{binding['kind']} {binding['metadata']['name']}"
            yield f"{', '.join(rights[:_MOST_RIGHTS])}{more} {where}, by {by}"


def _leading(rules: Iterable[Manifest], wide: bool) -> Iterator[str]:
    for rule in rules:
        groups, resources, verbs = (texts(rule, key) for key in ("apiGroups", "resources", "verbs"))
        if "*" in verbs and "*" in resources:
            yield "everything"
            continue
        # To read what `view` reads is nobody's danger, in one namespace or in all.
        yield from (right_text(right) for right in leading_on(groups, resources, verbs))
        if wide and "secrets" in resources:
            yield "every Secret"


def _bound(living: Living, namespace: str, name: str) -> Iterator[tuple[Manifest, list[Manifest]]]:
    """The bindings of an account, by its name or by a group that it is in, each with the rules of its role."""
    groups = {f"system:serviceaccounts:{namespace}", "system:serviceaccounts", "system:authenticated"}
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        for binding in living.everywhere(kind):
            reference = part(binding, "roleRef")
            if reference.get("name") in _EVERYBODY:
                continue
            own_namespace = str(binding["metadata"].get("namespace", ""))
            subjects = parts(binding, "subjects")
            if any(_is(subject, namespace, name, groups, own_namespace) for subject in subjects):
                yield binding, _rules(living, reference, own_namespace)


def _is(subject: Mapping[str, Any], namespace: str, name: str, groups: set[str], binding: str) -> bool:
    if subject.get("kind") == "Group":
        return subject.get("name") in groups
    return (
        subject.get("kind") == "ServiceAccount"
        and subject.get("name") == name
        and subject.get("namespace", binding) == namespace
    )


def _rules(living: Living, reference: Mapping[str, Any], namespace: str) -> list[Manifest]:
    kind, name = str(reference.get("kind")), reference.get("name")
    for role in living.everywhere(kind):
        metadata = role["metadata"]
        if metadata["name"] == name and (kind == "ClusterRole" or metadata.get("namespace") == namespace):
            return parts(role, "rules")
    return []
