"""Controls that stop a namespace's member, each with a way to switch it off for a while on a living plane."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.attack_weakenings import ADMISSION, NAME, RBAC, SHOP, Weaken, added, collection, patched
from tests.e2e.plane import Plane

MEMBER = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"zt-attack-admin-in-{SHOP}"}
"""Whom `zt attack --as namespace-admin` gives the role."""

Rule = tuple[str, str, str]
"""Groups, resources and verbs."""


def without_policies(*names: str) -> Weaken:
    """Has native policies report. A binding that goes takes the watch on its parameters along, for good."""
    path = collection(ADMISSION, "validatingadmissionpolicybindings")

    def reporting(name: str) -> Weaken:
        audit, deny = {"validationActions": ["Audit"]}, {"validationActions": ["Deny"]}
        return lambda plane: patched(plane, f"{path}/{name}", audit, deny)

    return together(*(reporting(name) for name in names))


def together(*weakenings: Weaken) -> Weaken:
    """Several controls at once, where each alone would do."""

    @contextmanager
    def off(plane: Plane) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for weakening in weakenings:
                stack.enter_context(weakening(plane))
            yield

    return off


def aggregated(*rules: Rule) -> Weaken:
    """Rights that become a part of the role `admin`, as those of a chart would."""
    metadata = {"name": NAME, "labels": {"rbac.authorization.k8s.io/aggregate-to-admin": "true"}}
    body = {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": metadata, "rules": _written(rules)}
    return lambda plane: added(plane, collection(RBAC, "clusterroles"), body)


def rights_in(namespace: str, *rules: Rule) -> Weaken:
    """Rights of the member in another namespace."""

    @contextmanager
    def off(plane: Plane) -> Iterator[None]:
        head = {"apiVersion": RBAC, "metadata": {"name": NAME}}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME}
        role = {**head, "kind": "Role", "rules": _written(rules)}
        binding = {**head, "kind": "RoleBinding", "roleRef": reference, "subjects": [MEMBER]}
        with (
            added(plane, collection(RBAC, "roles", namespace), role),
            added(plane, collection(RBAC, "rolebindings", namespace), binding),
        ):
            yield

    return off


def _written(rules: tuple[Rule, ...]) -> list[dict[str, list[str]]]:
    return [
        {"apiGroups": groups.split(" "), "resources": resources.split(), "verbs": verbs.split()}
        for groups, resources, verbs in rules
    ]
