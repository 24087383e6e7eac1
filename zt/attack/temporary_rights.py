"""Rights in one namespace for an impersonated user, for the length of a run."""

from collections.abc import Callable, Sequence

from zt.attack.kubernetes_api import Answer, Kubernetes
from zt.cluster.manifest import Manifest

NAME = "zt-attack"
"""The name of everything that a run creates or asks to create."""

_RBAC = "rbac.authorization.k8s.io"
_API = f"{_RBAC}/v1"


def bind(
    admin: Kubernetes,
    namespace: str,
    user: str,
    afterwards: Callable[[Callable[[], object]], None],
    *,
    role: str = "",
    rules: Sequence[Manifest] = (),
) -> Answer:
    """Bind a user to a ClusterRole in a namespace, or to a Role of the given rules, until `afterwards` runs.

    What a killed run left is replaced: it may bind another role. Returns the answer to the binding.
    """
    group = f"/apis/{_API}/namespaces/{namespace}"
    metadata = {"name": NAME, "labels": {"app.kubernetes.io/managed-by": NAME}}
    reference = {"apiGroup": _RBAC, "kind": "ClusterRole" if role else "Role", "name": role or NAME}
    subject = {"apiGroup": _RBAC, "kind": "User", "name": user}
    head: Manifest = {"apiVersion": _API, "metadata": metadata}
    objects: dict[str, Manifest] = {} if role else {"roles": {**head, "kind": "Role", "rules": list(rules)}}
    objects["rolebindings"] = {**head, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]}
    answer = Answer(0, "")
    for plural, body in objects.items():
        path = f"{group}/{plural}/{NAME}"
        afterwards(lambda path=path: admin.call("DELETE", path))
        admin.call("DELETE", path)
        answer = admin.call("POST", f"{group}/{plural}", body)
    return answer
