"""Who attacks: code in a pod of a service, or somebody who has a built-in role in the service's namespace."""

from enum import StrEnum


class Attacker(StrEnum):
    """The attacker whose attempts are replayed."""

    POD = "pod"
    NAMESPACE_ADMIN = "namespace-admin"
    NAMESPACE_EDIT = "namespace-edit"

    @property
    def role(self) -> str:
        """The built-in ClusterRole that a RoleBinding in the namespace gives. Empty for a pod."""
        return self.value.partition("-")[2]
