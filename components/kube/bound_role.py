"""A role and the binding that gives it to somebody."""

from collections.abc import Sequence

import pulumi

from components.kube.manifest import Manifest, of_kind, role_ref
from components.kube.objects import KubernetesObject


def bound_role(
    name: str,
    metadata: Manifest,
    rules: Sequence[Manifest],
    subjects: Sequence[Manifest],
    opts: pulumi.ResourceOptions | None = None,
) -> list[pulumi.Resource]:
    """Create a Role and a RoleBinding of these metadata; a ClusterRole and its binding, if those name no namespace.

    https://kubernetes.io/docs/reference/access-authn-authz/rbac/
    """
    kind = "Role" if "namespace" in metadata else "ClusterRole"
    role = KubernetesObject(name, of_kind(kind, metadata=metadata, rules=list(rules)), opts)
    ref = role_ref(kind, metadata["name"])
    binding = KubernetesObject(
        name,
        of_kind(f"{kind}Binding", metadata=metadata, roleRef=ref, subjects=list(subjects)),
        pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[role])),
    )
    return [role, binding]
