"""Every fixed name: namespaces, accounts, mounts, roles, audiences and API versions, each in one place.

This module imports no SDK, since `zt` reads these names as well.
"""

from dataclasses import dataclass
from types import MappingProxyType

# Pulumi's configuration.
PROJECT = "zero-trust"
SECRETS = "zero-trust-secrets"
"""The namespace of the Pulumi config that holds secrets. A key of the project's own namespace is never a secret."""

# Namespaces.
VAULT_NAMESPACE = "vault"
KYVERNO_NAMESPACE = "kyverno"
"""Exceptions from rules are in this namespace: Kyverno's engine ignores those in any other."""
CLEANUP_ACCOUNT = "kyverno-cleanup-controller"
"""The Deployment, the lease and the service account of Kyverno's cleanup controller."""
MESH_NAMESPACE = "istio-system"
CERT_MANAGER_NAMESPACE = "cert-manager"
GATEWAY_NAMESPACE = "istio-ingress"
EXTERNAL_SECRETS_NAMESPACE = "external-secrets"
TEAMS_NAMESPACE = "platform-teams"
"""The namespace of the teams' deployers, and of what the platform tells each of them. No pod runs there."""


@dataclass(frozen=True)
class LayerNamespaces:
    """The namespace of each layer that others may have installed, and in which it then may be another one."""

    kyverno: str = KYVERNO_NAMESPACE
    mesh: str = MESH_NAMESPACE
    """The namespace of istiod."""
    cert_manager: str = CERT_MANAGER_NAMESPACE
    external_secrets: str = EXTERNAL_SECRETS_NAMESPACE
    mesh_root: str = MESH_NAMESPACE
    """The root namespace of the mesh, whose objects hold for every workload."""

    @property
    def platform(self) -> tuple[str, ...]:
        """The platform's namespaces and the cluster's own, which no rule looks at. Each is there once."""
        cluster = ("kube-system", "kube-node-lease", "kube-public")
        layers = (self.kyverno, self.mesh, self.mesh_root, self.cert_manager)
        return tuple(dict.fromkeys((*cluster, *layers, VAULT_NAMESPACE, GATEWAY_NAMESPACE)))


OWN_LAYERS = LayerNamespaces()
"""Those of a stack that installs its layers itself."""
PLATFORM_NAMESPACES = OWN_LAYERS.platform

PROXY_CONTAINER = "istio-proxy"
"""The container of the mesh's proxy."""
PLATFORM_CONTAINERS = (
    PROXY_CONTAINER,
    "istio-init",
    "istio-validation",
    "enable-core-dump",
    "vault-agent",
    "vault-agent-init",
    "acmesolver",
)
"""The containers that the mesh's injector, Vault's and cert-manager add. No container of a service has such a name."""

NOT_OF_SERVICES = (*PLATFORM_NAMESPACES, EXTERNAL_SECRETS_NAMESPACE, TEAMS_NAMESPACE, "default")
"""The namespaces that no service may have, beside all that begin with `kube-`."""


def is_for_services(namespace: str) -> bool:
    """Whether services may be in this namespace."""
    return namespace not in NOT_OF_SERVICES and not namespace.startswith("kube-")


NAMESPACE_POLICIES = ("allow-platform", "default-deny")
"""The network policies that the rules make in every namespace. The one of a service has the service's name."""
ROOT_AUTHORITY = "kube-root-ca.crt"
"""The ConfigMap with the authority of the API server, which Kubernetes writes into every namespace."""

DEFAULT_NAMESPACE = "default"
"""The namespace of whoever names none."""

API_SERVER_PORTS = (443, 6443)
"""The ports of the API server's endpoints in most clusters."""

POD_SECURITY = "pod-security.kubernetes.io"
"""The prefix of the labels by which the API server holds a namespace's pods to a Pod Security Standard."""

# Identities of services.
SHARED_ACCOUNTS = ("default", "workload")
"""Accounts that every namespace has. No service is known by one of them."""
IDENTITIES, USE = "service-identities", "use"
"""The policy that protects all other accounts, and the verb on an account that it demands."""
OBJECTS = "service-objects"
"""The policy that protects what belongs to services. It demands the same verb."""
RULE_INTEGRITY = "rule-integrity"
"""The policy that protects what the rules rest on: exceptions, policies of a namespace, and reports."""
ANNOTATION = "zero-trust.dev"
"""The prefix of the platform's own annotations."""
WORKLOAD_LABEL = f"{ANNOTATION}/workload"
"""The label by which the pods of a package's workload are known. A chart has labels of its own, which say less."""

# Teams with stacks of their own. No namespace and no service has an underscore in its name.
TEAM_DEPLOYER = "team-deployer"
"""The ClusterRole that a team's deployer has in each of the team's namespaces."""
TEAM_GRANTS = "team-grants"
"""The policy that holds in the teams' namespaces what the platform has to approve."""
CATALOGUE_KEY = "platform.json"
"""The key of the ConfigMap, of the team's name, that tells a team what its services need of the platform."""
TEAM_SERVICES = "team_services"
"""The policy in Vault of the services of every team; each reads below its own namespace and name alone."""

# Vault.
VAULT_RELEASE = "vault"
VAULT_PORT = 8200
VAULT_CALLER = f"{VAULT_NAMESPACE}/{VAULT_RELEASE}"
"""Vault, among the callers of a service that is a database."""
MESH_PORTS = range(15000, 15100)
"""The ports of the mesh's proxy in each pod: https://istio.io/latest/docs/ops/deployment/application-requirements/"""
VAULT_INBOUND = 18200
"""The port at which Vault reaches a database behind a proxy of the mesh."""
VAULT_TLS_SECRET = "vault-server-tls"  # noqa: S105 - the name of a Secret
"""The Secret with the certificate of Vault's servers that the program has issued."""
AUDIT_DIRECTORY = "/vault/audit"
"""Where Vault's pods have the volume of the audit logs."""
TLS_DIRECTORY = "/vault/tls"
"""Where Vault's pods have the keys of the Secret with their certificate."""
AUTHORITIES_DIRECTORY = "/vault/authorities"
"""Where they have the certificates of further authorities."""
KV_MOUNT = "secret"
DATABASE_MOUNT = "database"
CREDENTIALS = f"{DATABASE_MOUNT}/creds"
"""The path below which each service leases database credentials, by a role with the service's name."""
AUTH_PATH = "kubernetes"
TOKEN_AUDIENCE = "vault"  # noqa: S105 - the audience claim of the token
DEPLOYER = "platform-deployer"
OPERATOR = "platform-operator"
"""The name of the operator's policy, of its role at the Kubernetes login, and of its service account."""
PKI_MOUNT = "pki"
PKI_ROLE = "public-hosts"
PKI_AUTH_ROLE = "cert-manager"

# Certificates and the gateway.
CA_ISSUER = "ca"
VAULT_ISSUER = "vault"
VAULT_ACCOUNT = "vault-issuer"
VAULT_AUDIENCE = f"vault://{VAULT_ISSUER}"
"""The audience of the token with which cert-manager logs in for the ClusterIssuer of that name."""
ACME_SERVERS = MappingProxyType(
    {
        "letsencrypt-prod": "https://acme-v02.api.letsencrypt.org/directory",
        "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
    }
)
CERT_MANAGER_ACCOUNT = "cert-manager"
"""The service account of cert-manager's controller."""
PUBLIC_HOSTS = "public-hosts"
"""The policy that ties each host to a namespace."""
GATEWAY = "public"
GATEWAY_ACCOUNT = f"{GATEWAY}-istio"
"""Istio names the Deployment and the service account of a Gateway after the Gateway and its class."""
GATEWAY_LABEL = "gateway.networking.k8s.io/gateway-name"
"""The label that the pods of a Gateway have: https://gateway-api.sigs.k8s.io/geps/gep-1762/"""

# External Secrets.
EXTERNAL_SECRETS_ACCOUNT = "external-secrets"

# API versions.
SECURITY_API = "security.istio.io/v1"
NETWORKING_API = "networking.istio.io/v1"
ENVOY_FILTER_API = "networking.istio.io/v1alpha3"
EXTENSIONS_API = "extensions.istio.io/v1alpha1"
GATEWAY_API = "gateway.networking.k8s.io/v1"
CERT_MANAGER_API = "cert-manager.io/v1"
EXTERNAL_SECRETS_API = "external-secrets.io/v1"
