"""What a team's deployer may do in the cluster: what a `SecureService` is made of, in the team's namespaces.

RBAC gives the kinds; what may stand in them is for admission: `service-identities`, `public-hosts`, the rules, and
`team-grants`. There is no right to Secrets where Vault keeps them, to Roles, to a shell in a pod, to a token, or to
anything outside the namespaces. https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from components.kube.manifest import Manifest, rbac_rule
from components.kube.names import USE
from components.service.args.platform import PlatformTerms

_READ = ("get", "list", "watch")
_WRITE = (*_READ, "create", "update", "patch", "delete")


def deployer_rules(terms: PlatformTerms) -> list[Manifest]:
    """The rules of the role that a team's deployer has in each of its namespaces, on a platform with these terms."""
    core = ["configmaps", "persistentvolumeclaims", "serviceaccounts", "services"]
    if not terms.vault.on:
        core.append("secrets")
    rules = [
        rbac_rule("", core, _WRITE),
        # The right to run a program as a service of the namespace.
        rbac_rule("", ["serviceaccounts"], [USE]),
        # What Pulumi looks at while it waits for a workload.
        rbac_rule("", ["endpoints", "events", "pods"], _READ),
        rbac_rule("discovery.k8s.io", ["endpointslices"], _READ),
        rbac_rule("apps", ["deployments", "statefulsets"], _WRITE),
        rbac_rule("apps", ["replicasets"], _READ),
        rbac_rule("autoscaling", ["horizontalpodautoscalers"], _WRITE),
        rbac_rule("batch", ["cronjobs", "jobs"], _WRITE),
        rbac_rule("policy", ["poddisruptionbudgets"], _WRITE),
    ]
    networking = [
        *(["networkpolicies"] if terms.network_policies else []),
        *(["ingresses"] if terms.ingress.route == "ingress" else []),
    ]
    if networking:
        rules.append(rbac_rule("networking.k8s.io", networking, _WRITE))
    if terms.ingress.route == "gateway-api":
        rules.append(rbac_rule("gateway.networking.k8s.io", ["grpcroutes", "httproutes"], _WRITE))
    if terms.mesh.on:
        rules.append(rbac_rule("security.istio.io", ["authorizationpolicies", "requestauthentications"], _WRITE))
    if terms.mesh.sidecars:
        rules.append(rbac_rule("networking.istio.io", ["destinationrules", "serviceentries", "sidecars"], _WRITE))
    return rules


def token_rules(team: str) -> list[Manifest]:
    """The rules of the role by which a pipeline gets tokens of a team's deployer, and of no other account.

    https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-request-v1/
    """
    return [
        rbac_rule("", ["serviceaccounts/token"], ["create"], [team]),
        rbac_rule("", ["serviceaccounts"], [USE], [team]),
    ]


def reader_rules(team: str) -> list[Manifest]:
    """The rules of the role by which a team's deployer reads what the platform says to that team."""
    return [rbac_rule("", ["configmaps"], ["get"], [team])]
