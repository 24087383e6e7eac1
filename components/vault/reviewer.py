"""The token by which a Vault outside the cluster reviews the tokens of services.

https://developer.hashicorp.com/vault/docs/auth/kubernetes
"""

import base64
from collections.abc import Mapping

import pulumi

from components.kube.manifest import account_subject, of_kind, role_ref
from components.kube.names import VAULT_NAMESPACE
from components.kube.objects import KubernetesObject

REVIEWER = "vault-token-reviewer"


class ReviewerToken(KubernetesObject):
    """The Secret, with what the token controller writes into it."""

    data: pulumi.Output[Mapping[str, str]]

    def field(self, key: str) -> pulumi.Output[str]:
        """The decoded value of a key, a secret; empty until it is there."""
        return pulumi.Output.secret(self.data.apply(lambda data: _decoded(data, key)))


def reviewer_token(name: str, namespace: pulumi.Resource, parent: pulumi.Resource) -> ReviewerToken:
    """Create the account, its right to review tokens, and the Secret with its token, which does not expire."""
    child = pulumi.ResourceOptions(parent=parent, depends_on=[namespace])
    account = KubernetesObject(
        f"{name}.reviewer",
        of_kind(
            "ServiceAccount",
            metadata={"name": REVIEWER, "namespace": VAULT_NAMESPACE},
            automountServiceAccountToken=False,
        ),
        child,
    )
    KubernetesObject(
        f"{name}.reviewer",
        of_kind(
            "ClusterRoleBinding",
            metadata={"name": REVIEWER},
            roleRef=role_ref("ClusterRole", "system:auth-delegator"),
            subjects=[account_subject(REVIEWER, VAULT_NAMESPACE)],
        ),
        pulumi.ResourceOptions(parent=parent, depends_on=[account]),
    )
    # The Kubernetes provider waits until the token controller has filled a Secret of this type.
    return ReviewerToken(
        f"{name}.reviewer",
        of_kind(
            "Secret",
            metadata={
                "name": REVIEWER,
                "namespace": VAULT_NAMESPACE,
                "annotations": {"kubernetes.io/service-account.name": REVIEWER},
            },
            type="kubernetes.io/service-account-token",
        ),
        pulumi.ResourceOptions(parent=parent, depends_on=[account]),
    )


def _decoded(data: Mapping[str, str] | None, key: str) -> str:
    return base64.b64decode(data[key]).decode() if data and key in data else ""
