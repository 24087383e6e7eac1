"""The network policies of Kyverno's namespace."""

from collections.abc import Sequence

from components.kube.manifest import Manifest, tcp_rule
from components.kube.names import KYVERNO_NAMESPACE
from components.kube.platform_network import ClusterNetwork, default_deny, opening

_COMPONENT = "app.kubernetes.io/component"
# The cleanup controller, where the chart runs it, has a webhook for its own policies.
_WEBHOOKS = ("admission-controller", "cleanup-controller")
_WEBHOOK_PORT = 9443
_METRICS_PORT = 8000


def kyverno_network(
    cluster: ClusterNetwork, registry_ports: Sequence[int] = (), further: Sequence[Manifest] = ()
) -> tuple[Manifest, ...]:
    """The policies: the API server calls the controllers with webhooks, and every pod calls the API server.

    `registry_ports` are those of the registries and transparency logs that the check of signatures asks; none without
    that check. `further` are the rules for those of them that no address outside has.
    """
    registries = [tcp_rule("to", cluster.anywhere(), registry_ports)] if registry_ports else []
    return (
        default_deny(KYVERNO_NAMESPACE),
        # The jobs of the chart's hooks have labels of their own.
        opening(
            KYVERNO_NAMESPACE,
            "controllers",
            {},
            ingress=cluster.metrics(_METRICS_PORT),
            egress=[cluster.dns.rule(), cluster.api_server(), *registries, *further],
        ),
        *(
            opening(KYVERNO_NAMESPACE, controller, {_COMPONENT: controller}, ingress=[cluster.webhook(_WEBHOOK_PORT)])
            for controller in _WEBHOOKS
        ),
    )
