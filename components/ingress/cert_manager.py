"""cert-manager, which issues and renews every certificate of the platform, and the kinds that it has to know."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.kube.charts import CERT_MANAGER, GATEWAY_API_CRDS, PUBLISHED, ChartSources
from components.kube.layer_place import check_place
from components.kube.manifest import Manifest, of_kind, pod_security
from components.kube.names import CERT_MANAGER_NAMESPACE
from components.kube.objects import ConfigFile, KubernetesObject, Release
from components.kube.platform_network import network_policies
from components.schema.checked import check_fields
from components.schema.fields import Label, Registry, Replicas

# The parent of these resources in the state of a stack from before they had a component of their own.
_FORMER_PARENT = ("ingress", "zero-trust:platform:SecureIngress")


@dataclass(frozen=True)
class CertManagerArgs:
    """How cert-manager runs. With `gateway_api` the definitions of the Gateway API come before it.

    It looks for them only when it starts. `network_policies` are those of its namespace, before its pods. With
    `existing` others installed cert-manager, and without `definitions` others keep those of the Gateway API: either is
    left as it is. Raises `FieldError` for what a stack file may not say.
    """

    charts: ChartSources = PUBLISHED
    replicas: Replicas = 2
    gateway_api: bool = True
    network_policies: Sequence[Manifest] = ()
    existing: bool = False
    namespace: Label = CERT_MANAGER_NAMESPACE
    definitions: bool = True
    hub: Registry | None = None
    """The registry path of cert-manager's images; `None`: its project's own."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_place(self.namespace, CERT_MANAGER_NAMESPACE, self.existing, hub=self.hub)


def cert_manager_values(replicas: int, gateway_api: bool, hub: str | None = None) -> Manifest:
    """The values of the cert-manager chart (https://cert-manager.io/docs/installation/helm/).

    The start-up check is on, since the webhook may not answer yet when its Deployment is ready.
    """
    followers = min(replicas, 2)
    disruption = {"enabled": replicas > 1}
    return {
        # The chart puts both before the names of all images, the solver's in an argument among them.
        **({"imageRegistry": hub, "imageNamespace": ""} if hub else {}),
        "crds": {"enabled": True, "keep": False},
        "replicaCount": followers,
        "podDisruptionBudget": disruption,
        # Without any the chart's pods are the first that a node without memory ends.
        "resources": _resources("128Mi", "512Mi"),
        "webhook": {
            "replicaCount": replicas,
            "podDisruptionBudget": disruption,
            "resources": _resources("64Mi", "256Mi"),
        },
        "cainjector": {
            "replicaCount": followers,
            "podDisruptionBudget": disruption,
            "resources": _resources("128Mi", "512Mi"),
        },
        "global": {
            # With its leases in its own namespace it needs no rights in kube-system.
            "leaderElection": {"namespace": CERT_MANAGER_NAMESPACE},
            # Otherwise `edit` in any namespace has a certificate for any host signed.
            "rbac": {"aggregateClusterRoles": False},
        },
        "startupapicheck": {"enabled": True, "resources": _resources("32Mi", "128Mi")},
        "extraArgs": ["--enable-gateway-api"] if gateway_api else [],
    }


def _resources(memory: str, memory_limit: str) -> Manifest:
    return {"requests": {"cpu": "50m", "memory": memory}, "limits": {"memory": memory_limit}}


def _formerly() -> list[pulumi.Alias]:
    parent, kind = _FORMER_PARENT
    return [pulumi.Alias(parent=pulumi.create_urn(parent, kind))]


class CertManager(pulumi.ComponentResource):
    """cert-manager in its namespace, and before it the Gateway API. Whatever is issued depends on `ready`."""

    ready: list[pulumi.Resource]

    def __init__(self, name: str, args: CertManagerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:CertManager", name, None, opts)
        child = pulumi.ResourceOptions(parent=self, aliases=[*_formerly()])
        definitions: list[pulumi.Resource] = []
        if args.gateway_api and args.definitions:
            definitions = [ConfigFile(f"{name}-gateway-api", file=GATEWAY_API_CRDS.source(args.charts), opts=child)]
        release = [] if args.existing else [self._release(name, args, child, definitions)]
        self.ready = [*release, *definitions]
        self.register_outputs({})

    def _release(
        self, name: str, args: CertManagerArgs, child: pulumi.ResourceOptions, definitions: list[pulumi.Resource]
    ) -> Release:
        """The release in its namespace, behind the network policies there."""
        namespace = KubernetesObject(
            f"{name}-{CERT_MANAGER_NAMESPACE}",
            of_kind("Namespace", metadata={"name": CERT_MANAGER_NAMESPACE, "labels": pod_security("restricted")}),
            child,
        )
        closed = network_policies(name, args.network_policies, namespace, self, _formerly())
        return Release(
            f"{name}-cert-manager",
            {
                **CERT_MANAGER.source(args.charts),
                "name": "cert-manager",
                "namespace": CERT_MANAGER_NAMESPACE,
                "values": cert_manager_values(args.replicas, args.gateway_api, args.hub),
                "atomic": True,
                "timeout": 600,
            },
            pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[*definitions, namespace, *closed])),
        )
