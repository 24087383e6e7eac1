"""`ExternalSecrets`: the operator that copies secrets from Vault into the cluster.

https://external-secrets.io/latest/
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from components.kube.bound_role import bound_role
from components.kube.charts import EXTERNAL_SECRETS, ChartSources
from components.kube.layer_place import check_place
from components.kube.manifest import Manifest, account_subject, of_kind, pod_security, rbac_rule
from components.kube.names import EXTERNAL_SECRETS_ACCOUNT, EXTERNAL_SECRETS_NAMESPACE
from components.kube.objects import KubernetesObject, Release
from components.kube.platform_network import network_policies
from components.schema.checked import check_fields
from components.schema.fields import Label, Registry, Replicas

CERTIFICATES = "external-secrets-cert-controller"


@dataclass(frozen=True)
class ExternalSecretsArgs:
    """`replicas` is the number of operators, and of webhooks; `network_policies` are those of their namespace.

    With `existing` others installed the operator, and nothing is created. Raises `FieldError` for what a stack
    file may not say.
    """

    charts: ChartSources
    replicas: Replicas = 2
    network_policies: Sequence[Manifest] = ()
    existing: bool = False
    namespace: Label = EXTERNAL_SECRETS_NAMESPACE
    hub: Registry | None = None
    """The registry path of its image; `None`: its project's own."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_place(self.namespace, EXTERNAL_SECRETS_NAMESPACE, self.existing, hub=self.hub)


def external_secrets_values(replicas: int, hub: str | None = None) -> Manifest:
    """The values of the chart: only namespaced stores, and none of the roles that the chart would create.

    https://github.com/external-secrets/external-secrets/tree/v0.16.2/deploy/charts/external-secrets
    """
    off = ("ClusterExternalSecret", "ClusterPushSecret", "PushSecret")
    kinds = (*off, "ClusterSecretStore", "ClusterGenerator")
    disruption = {"enabled": replicas > 1}
    resources = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}
    image = {"image": {"repository": f"{hub}/external-secrets"}} if hub else {}
    return {
        **image,
        "installCRDs": True,
        "crds": {f"create{kind}": False for kind in kinds},
        **{f"process{kind}": False for kind in (*off, "ClusterStore")},
        "replicaCount": replicas,
        "leaderElect": True,
        "podDisruptionBudget": disruption,
        "resources": resources,
        # The chart's own roles would let it read, write and impersonate across the whole cluster.
        "rbac": {"create": False},
        "webhook": {
            **image,
            "replicaCount": replicas,
            "failurePolicy": "Fail",
            "podDisruptionBudget": disruption,
            "resources": resources,
        },
        # The chart gives it no leader election; one replica is enough for a certificate that lasts for years.
        "certController": {**image, "rbac": {"create": False}, "resources": resources},
    }


def operator_rules() -> list[Manifest]:
    """The operator's rights in every namespace. A Role in the namespace of each workload adds the rest.

    The operator watches all Secrets to notice changes of its own, so it can read all of them.
    """
    group, reads = "external-secrets.io", ["get", "list", "watch"]
    return [
        rbac_rule(group, ["secretstores", "externalsecrets"], reads),
        rbac_rule(group, ["secretstores/status", "externalsecrets/status"], ["get", "update", "patch"]),
        rbac_rule(group, ["externalsecrets/finalizers", "secretstores/finalizers"], ["update"]),
        rbac_rule(f"generators.{group}", ["generatorstates"], reads),
        rbac_rule("", ["secrets"], ["list", "watch"]),
        rbac_rule("", ["events"], ["create", "patch"]),
    ]


def certificate_rules() -> list[Manifest]:
    """The certificate controller's rights in the whole cluster: it changes the operator's own CRDs and webhooks."""
    reads, writes = ["get", "list", "watch"], ["update", "patch"]
    definitions = [f"{kind}.external-secrets.io" for kind in ("externalsecrets", "secretstores")]
    crds = ("apiextensions.k8s.io", ["customresourcedefinitions"])
    hooks = ("admissionregistration.k8s.io", ["validatingwebhookconfigurations"])
    return [
        rbac_rule(*crds, reads),
        rbac_rule(*crds, writes, definitions),
        rbac_rule(*hooks, reads),
        rbac_rule(*hooks, writes, ["secretstore-validate", "externalsecret-validate"]),
        rbac_rule("", ["endpoints"], reads),
    ]


def namespace_rules() -> dict[str, list[Manifest]]:
    """The rights in the operator's own namespace, by service account."""
    lease = rbac_rule("coordination.k8s.io", ["leases"], ["get", "create", "update", "patch"])
    certificate = rbac_rule("", ["secrets"], ["get", "list", "watch", "update", "patch"], ["external-secrets-webhook"])
    events = rbac_rule("", ["events"], ["create", "patch"])
    return {EXTERNAL_SECRETS_ACCOUNT: [lease], CERTIFICATES: [certificate, events]}


class ExternalSecrets(pulumi.ComponentResource):
    """The operator in its own namespace, its webhook, which fails closed, and their rights.

    These rights include no service account token and no write of a Secret: the Role of each workload grants both, for
    that workload only. `ready` holds the release. The namespace is created after `opts.depends_on`.
    """

    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: ExternalSecretsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:ExternalSecrets", name, None, opts)
        self._name = name
        self._after = opts.depends_on if opts else None
        self.ready = [] if args.existing else [self._release(name, args)]
        self.register_outputs({})

    def _release(self, name: str, args: ExternalSecretsArgs) -> Release:
        namespace = KubernetesObject(
            f"{name}-namespace",
            of_kind(
                "Namespace",
                metadata={"name": EXTERNAL_SECRETS_NAMESPACE, "labels": pod_security("restricted")},
            ),
            pulumi.ResourceOptions(parent=self, depends_on=self._after),
        )
        rights = [
            *self._grant(EXTERNAL_SECRETS_ACCOUNT, operator_rules()),
            *self._grant(CERTIFICATES, certificate_rules()),
            *(
                resource
                for account, rules in namespace_rules().items()
                for resource in self._grant(account, rules, namespace)
            ),
        ]
        closed = network_policies(name, args.network_policies, namespace, self)
        return Release(
            f"{name}-release",
            {
                **EXTERNAL_SECRETS.source(args.charts),
                "name": "external-secrets",
                "namespace": EXTERNAL_SECRETS_NAMESPACE,
                "values": external_secrets_values(args.replicas, args.hub),
                "atomic": True,
                "timeout": 600,
            },
            pulumi.ResourceOptions(parent=self, depends_on=[namespace, *rights, *closed]),
        )

    def _grant(
        self, account: str, rules: list[Manifest], namespace: pulumi.Resource | None = None
    ) -> list[pulumi.Resource]:
        """Bind an account to a role with these rules: in the namespace, or in the whole cluster without one."""
        metadata: Any = {
            "name": f"{account}.zero-trust",
            **({"namespace": EXTERNAL_SECRETS_NAMESPACE} if namespace else {}),
        }
        options = pulumi.ResourceOptions(parent=self, depends_on=[namespace] if namespace else [])
        subject = account_subject(account, EXTERNAL_SECRETS_NAMESPACE)
        return bound_role(f"{self._name}-{account}", metadata, rules, [subject], options)
