"""The network policies of the External Secrets Operator's namespace."""

from components.kube.manifest import Manifest
from components.kube.names import EXTERNAL_SECRETS_NAMESPACE
from components.kube.platform_network import ClusterNetwork, default_deny, opening

_NAME = "app.kubernetes.io/name"
_OPERATOR = {_NAME: "external-secrets"}
_WEBHOOK = {_NAME: "external-secrets-webhook"}
_WEBHOOK_PORT = 10250
_METRICS_PORT = 8080


def external_secrets_network(cluster: ClusterNetwork, vault: Manifest) -> tuple[Manifest, ...]:
    """The policies: the operator reaches Vault, by the rule `vault`, and the API server the webhook."""
    controllers = opening(
        EXTERNAL_SECRETS_NAMESPACE,
        "controllers",
        {},
        ingress=cluster.metrics(_METRICS_PORT),
        egress=[cluster.dns.rule(), cluster.api_server()],
    )
    return (
        default_deny(EXTERNAL_SECRETS_NAMESPACE),
        controllers,
        opening(EXTERNAL_SECRETS_NAMESPACE, "operator", _OPERATOR, egress=[vault]),
        opening(EXTERNAL_SECRETS_NAMESPACE, "webhook", _WEBHOOK, ingress=[cluster.webhook(_WEBHOOK_PORT)]),
    )
