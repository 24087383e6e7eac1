"""Where a layer is: in its own namespace, or in that of whoever installed it."""

from components.kube.names import DEFAULT_NAMESPACE, GATEWAY_NAMESPACE, TEAMS_NAMESPACE, VAULT_NAMESPACE
from components.schema.problem import FieldError

_SHARED = (VAULT_NAMESPACE, GATEWAY_NAMESPACE, TEAMS_NAMESPACE, DEFAULT_NAMESPACE)


def check_place(namespace: str, own: str, existing: bool, **changes: object) -> None:
    """Raise `FieldError` for a layer in a namespace that is not its own, and for `changes` of one of others."""
    if not existing and namespace != own:
        raise FieldError("namespace", f"the layer is installed in {own}: leave it out, or say existing", namespace)
    if namespace in _SHARED:
        raise FieldError("namespace", "it is somebody else's, and no rule looks at a layer's", namespace)
    for name, value in changes.items():
        if existing and value:
            raise FieldError(name, "others installed the layer, and nothing of it is changed: leave it out")
