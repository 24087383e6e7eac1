"""`ExternalSecrets`: the operator that copies secrets of Vault into the cluster, where a stack asks for that.

https://external-secrets.io/latest/
"""

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.core.v1 import Namespace
from pulumi_kubernetes.helm.v3 import Release
from pulumi_kubernetes.rbac.v1 import ClusterRole, ClusterRoleBinding, Role, RoleBinding

from components.charts import EXTERNAL_SECRETS

API = "external-secrets.io/v1"
NAMESPACE = "external-secrets"
ACCOUNT = "external-secrets"
CERTIFICATES = "external-secrets-cert-controller"
_RBAC = "rbac.authorization.k8s.io"

Manifest = dict[str, Any]


@dataclass(frozen=True)
class ExternalSecretsArgs:
    """How many operators and webhooks there are. Raises `ValueError` for none."""

    charts_dir: str | None
    replicas: int = 2

    def __post_init__(self) -> None:
        if self.replicas < 1:
            raise ValueError(f"replicas: {self.replicas} operators copy nothing; set 1 or more")


def external_secrets_values(replicas: int) -> Manifest:
    """The values of the chart. Only namespaced stores are there, and the chart's own rights are not.

    https://github.com/external-secrets/external-secrets/tree/v0.16.2/deploy/charts/external-secrets
    """
    off = ("ClusterExternalSecret", "ClusterPushSecret", "PushSecret")
    kinds = (*off, "ClusterSecretStore", "ClusterGenerator")
    disruption = {"enabled": replicas > 1}
    resources = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
    return {
        "installCRDs": True,
        "crds": {f"create{kind}": False for kind in kinds},
        **{f"process{kind}": False for kind in (*off, "ClusterStore")},
        "replicaCount": replicas,
        "leaderElect": True,
        "podDisruptionBudget": disruption,
        "resources": resources,
        # They would read, write and impersonate across the whole cluster.
        "rbac": {"create": False},
        "webhook": {
            "replicaCount": replicas,
            "failurePolicy": "Fail",
            "podDisruptionBudget": disruption,
            "resources": resources,
        },
        # It elects no leader by this chart: one is enough for a certificate that lasts for years.
        "certController": {"rbac": {"create": False}, "resources": resources},
    }


def operator_rules() -> list[Manifest]:
    """What the operator may do everywhere; what it does for a workload is in a Role in that one's namespace.

    It follows the Secrets of the whole cluster to see its own change, so it reads them all.
    """
    group, reads = "external-secrets.io", ["get", "list", "watch"]
    return [
        _rule(group, ["secretstores", "externalsecrets"], reads),
        _rule(group, ["secretstores/status", "externalsecrets/status"], ["get", "update", "patch"]),
        _rule(group, ["externalsecrets/finalizers", "secretstores/finalizers"], ["update"]),
        _rule(f"generators.{group}", ["generatorstates"], reads),
        _rule("", ["secrets"], ["list", "watch"]),
        _rule("", ["events"], ["create", "patch"]),
    ]


def certificate_rules() -> list[Manifest]:
    """What the controller of the webhook's certificate may do everywhere: change its own definitions and webhooks."""
    reads, writes = ["get", "list", "watch"], ["update", "patch"]
    definitions = [f"{kind}.external-secrets.io" for kind in ("externalsecrets", "secretstores")]
    crds = ("apiextensions.k8s.io", ["customresourcedefinitions"])
    hooks = ("admissionregistration.k8s.io", ["validatingwebhookconfigurations"])
    return [
        _rule(*crds, reads),
        _rule(*crds, writes, definitions),
        _rule(*hooks, reads),
        _rule(*hooks, writes, ["secretstore-validate", "externalsecret-validate"]),
        _rule("", ["endpoints"], reads),
    ]


def own_rules() -> dict[str, list[Manifest]]:
    """What each account may do in the operator's own namespace."""
    lease = _rule("coordination.k8s.io", ["leases"], ["get", "create", "update", "patch"])
    certificate = _rule("", ["secrets"], ["get", "list", "watch", "update", "patch"], ["external-secrets-webhook"])
    events = _rule("", ["events"], ["create", "patch"])
    return {ACCOUNT: [lease], CERTIFICATES: [certificate, events]}


def _rule(group: str, resources: list[str], verbs: list[str], names: list[str] | None = None) -> Manifest:
    made: Manifest = {"apiGroups": [group], "resources": resources, "verbs": verbs}
    return {**made, "resourceNames": names} if names else made


class ExternalSecrets(pulumi.ComponentResource):
    """The operator in its own namespace, its webhook, which fails closed, and the rights that both need.

    It may ask for no token and write no Secret: each workload's own Role lets it do so for that workload.
    """

    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: ExternalSecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:ExternalSecrets", name, None, opts)
        self._name = name
        namespace = Namespace(
            f"{name}-namespace",
            metadata={"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            opts=pulumi.ResourceOptions(parent=self),
        )
        rights = [
            *self._granted(ACCOUNT, operator_rules()),
            *self._granted(CERTIFICATES, certificate_rules()),
            *(made for account, rules in own_rules().items() for made in self._granted(account, rules, namespace)),
        ]
        source: dict[str, Any] = EXTERNAL_SECRETS.source(args.charts_dir)
        release = Release(
            f"{name}-release",
            name="external-secrets",
            namespace=NAMESPACE,
            values=external_secrets_values(args.replicas),
            atomic=True,
            timeout=600,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[namespace, *rights]),
            **source,
        )
        self.ready = [release]
        self.register_outputs({})

    def _granted(
        self, account: str, rules: list[Manifest], namespace: Namespace | None = None
    ) -> list[pulumi.Resource]:
        """A role with these rules and its binding to an account: in that namespace, or without one everywhere."""
        of_role, of_binding = (Role, RoleBinding) if namespace else (ClusterRole, ClusterRoleBinding)
        made: Any = rules
        metadata: Any = {"name": f"{account}.zero-trust", **({"namespace": NAMESPACE} if namespace else {})}
        name = f"{self._name}-{account}"
        options = pulumi.ResourceOptions(parent=self, depends_on=[namespace] if namespace else [])
        role = of_role(name, metadata=metadata, rules=made, opts=options)
        binding = of_binding(
            name,
            metadata=metadata,
            role_ref={"api_group": _RBAC, "kind": of_role.__name__, "name": metadata["name"]},
            subjects=[{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}],
            opts=options,
        )
        return [role, binding]
