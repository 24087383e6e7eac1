"""What the identities of a pipeline may do in the cluster: roles for an administrator to apply.

    python -m components.program.pipeline_roles | kubectl apply --filename -

A preview runs code that nobody has read yet, so its role reads no object: the plan comes from the state, and the API
server only says which kinds it has. A look for drift compares the state with the cluster and runs code of `main`, so
its role reads what the program makes, Helm's records in Secrets among it. Neither writes. An update needs the role
`cluster-admin`. Why it is so: docs/adr/0011-identity-of-a-preview.md.
"""

import sys

import yaml

from components.kube.manifest import Manifest

PREVIEW, DRIFT = "platform-preview", "platform-drift"
"""The names of the roles, and of the groups that have them."""

_RBAC = "rbac.authorization.k8s.io"
_READ = ("get", "list", "watch")
# The kinds that the server has and their schemas. The role `system:discovery` says the same to everybody, unless an
# administrator took it away.
_DISCOVERY = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/")
# In the core group a star would hold `pods/exec`, `nodes/proxy` and `pods/log`: to get one is to run a program or to
# read what it says. What waits for a workload reads its pods and their events.
_CORE = (
    "configmaps",
    "endpoints",
    "events",
    "namespaces",
    "persistentvolumeclaims",
    "pods",
    "secrets",
    "serviceaccounts",
    "services",
)
_GROUPS = (
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apps",
    "autoscaling",
    "batch",
    "cert-manager.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions.istio.io",
    "external-secrets.io",
    "gateway.networking.k8s.io",
    "networking.istio.io",
    "networking.k8s.io",
    "policies.kyverno.io",
    "policy",
    _RBAC,
    "security.istio.io",
    "telemetry.istio.io",
    "wgpolicyk8s.io",
)


def preview_rules() -> list[Manifest]:
    """The rules of a preview's role: no object of any kind."""
    return [{"nonResourceURLs": list(_DISCOVERY), "verbs": ["get"]}]


def drift_rules() -> list[Manifest]:
    """The rules of the role that looks for drift: to read what the program makes, and what tells whether it runs."""
    return [
        *preview_rules(),
        {"apiGroups": [""], "resources": list(_CORE), "verbs": list(_READ)},
        {"apiGroups": list(_GROUPS), "resources": ["*"], "verbs": list(_READ)},
    ]


def manifests() -> list[Manifest]:
    """Both roles, each bound to the group of its name."""
    return [*_role(PREVIEW, preview_rules()), *_role(DRIFT, drift_rules())]


def _role(name: str, rules: list[Manifest]) -> list[Manifest]:
    api = {"apiVersion": f"{_RBAC}/v1"}
    return [
        {**api, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules},
        {
            **api,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"kind": "ClusterRole", "name": name, "apiGroup": _RBAC},
            "subjects": [{"kind": "Group", "name": name, "apiGroup": _RBAC}],
        },
    ]


if __name__ == "__main__":
    sys.stdout.write(yaml.safe_dump_all(manifests(), sort_keys=False))
