"""Attack 4: use the Kubernetes API as the pod's service account, on other namespaces, identities and the rules."""

from collections.abc import Callable
from dataclasses import replace

from components.kube.names import VAULT_NAMESPACE
from zt.attack.attempt import Attempt
from zt.attack.evidence import Control, Evidence, not_measured, together
from zt.attack.kubernetes_api import Kubernetes, by_rights, past_authorization
from zt.attack.session import NAME, Session
from zt.cluster.manifest import Manifest

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_KYVERNO = "/apis/policies.kyverno.io/v1"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_NOTHING = "nothing was asked for"

# Method, path and body; every method but GET is sent as a dry run.
Request = tuple[str, str, Manifest | None]


def ask(who: Kubernetes, requests: list[Request]) -> Evidence:
    """Make requests that an identity must have no right to make."""
    tries = [
        by_rights(who.call(method, path, body, dry_run=method != "GET"), f"{method} {path}")
        for method, path, body in requests
    ]
    return together(tries, _NOTHING)


def _reads(*paths: str) -> list[Request]:
    return [("GET", path, None) for path in paths]


def _declared(session: Session, *, cluster_wide: bool) -> set[str]:
    """The kinds that the service file lets it read. Reading them is no attack."""
    rules = [rule for rule in session.service.kubernetes_api if rule.cluster_wide or not cluster_wide]
    return {kind for rule in rules if {"get", "list"} & set(rule.verbs) for kind in rule.resources}


def _other_namespaces(session: Session) -> Evidence:
    others = [name for name in sorted(session.namespaces) if name != session.service.namespace]
    declared = _declared(session, cluster_wide=True)
    kinds = [kind for kind in ("pods", "secrets", "configmaps", "services") if kind not in declared]
    paths = [f"/api/v1/namespaces/{namespace}/{kind}" for namespace in others for kind in kinds]
    return ask(session.attacker, _reads(*paths, *(f"/api/v1/{kind}" for kind in kinds)))


def _own_namespace(session: Session) -> Evidence:
    namespace = session.service.namespace
    declared = _declared(session, cluster_wide=False)
    core = [kind for kind in ("pods", "services", "configmaps", "serviceaccounts", "events") if kind not in declared]
    paths = [f"/api/v1/namespaces/{namespace}/{kind}" for kind in core]
    apps = [] if "deployments" in declared else [f"/apis/apps/v1/namespaces/{namespace}/deployments"]
    return ask(session.attacker, _reads(*paths, *apps))


def _cluster(session: Session) -> Evidence:
    nodes = session.admin.listed("/api/v1/nodes")
    proxied = [f"/api/v1/nodes/{node['metadata']['name']}/proxy/pods" for node in nodes[:1]]
    declared = _declared(session, cluster_wide=True)
    paths = [f"/api/v1/{kind}" for kind in ("nodes", "namespaces") if kind not in declared]
    return ask(session.attacker, _reads(*paths, f"{_RBAC}/clusterroles", *proxied))


def _impersonate(session: Session) -> Evidence:
    path = f"/api/v1/namespaces/{session.service.namespace}/pods"
    headers = (
        {"Impersonate-User": "system:admin", "Impersonate-Group": "system:masters"},
        {"Impersonate-User": "system:serviceaccount:kube-system:default"},
    )
    answers = [replace(session.attacker, headers=header).call("GET", path) for header in headers]
    return together([by_rights(answer, "impersonation") for answer in answers], _NOTHING)


def _escalate(session: Session) -> Evidence:
    namespace, account = session.service.namespace, session.service.name
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    header: Manifest = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": NAME}}
    binding: Manifest = {"roleRef": role, "subjects": [subject]}
    rules = {"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}
    in_namespace = f"{_RBAC}/namespaces/{namespace}"
    return ask(
        session.attacker,
        [
            ("POST", f"{in_namespace}/rolebindings", {**header, "kind": "RoleBinding", **binding}),
            ("POST", f"{_RBAC}/clusterrolebindings", {**header, "kind": "ClusterRoleBinding", **binding}),
            ("POST", f"{in_namespace}/roles", {**header, "kind": "Role", **rules}),
            ("PATCH", f"{_RBAC}/clusterroles/view", rules),
        ],
    )


def _mint(session: Session) -> Evidence:
    others = [(spec.namespace, spec.name) for spec in session.declared.others]
    accounts = [*others, (session.service.namespace, session.service.name), (VAULT_NAMESPACE, "default")]
    tries = [
        by_rights(session.token_request(session.attacker, namespace, account), f"a token of {namespace}/{account}")
        for namespace, account in accounts
    ]
    return together(tries, _NOTHING)


def _exec(session: Session) -> Evidence:
    """Ask for a shell without the protocol upgrade that it needs: nothing runs, even where it is allowed."""
    pods = [pod for spec in session.declared.others for pod in session.pods_of(spec)[:1]]
    subresources = ("exec?command=id&stdout=true", "attach?stdout=true", "portforward?ports=5432")
    tries = [
        past_authorization(session.attacker.call(method, path), path)
        for pod in pods
        for place in [f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"]
        for method, path in [*(("POST", f"{place}/{sub}") for sub in subresources), ("GET", f"{place}/log")]
    ]
    return together(tries, "no pod of another service runs")


def _rules_of_admission(session: Session) -> Evidence:
    collections = (
        f"{_KYVERNO}/validatingpolicies",
        f"{_ADMISSION}/validatingadmissionpolicies",
        f"{_ADMISSION}/validatingadmissionpolicybindings",
        f"{_ADMISSION}/validatingwebhookconfigurations",
        f"{_ADMISSION}/mutatingwebhookconfigurations",
    )
    requests: list[Request] = []
    for collection in collections:
        for item in session.admin.listed(collection)[:1]:
            path = f"{collection}/{item['metadata']['name']}"
            requests += [("DELETE", path, None), ("PATCH", path, {"metadata": {"labels": {NAME: "was-here"}}})]
    if not requests:
        return not_measured("the stack has no rule of admission")
    return ask(session.attacker, requests)


def _rules_of_the_network(session: Session) -> Evidence:
    namespace = session.service.namespace
    policies = [
        *(("networking.k8s.io/v1", "networkpolicies", item) for item in session.network_policies),
        *(("security.istio.io/v1", "authorizationpolicies", item) for item in session.authorization_policies),
        *(("security.istio.io/v1", "peerauthentications", item) for item in session.peer_authentications),
    ]
    requests: list[Request] = []
    for group, plural, item in policies:
        metadata = item["metadata"]
        if metadata["namespace"] in (namespace, session.declared.layers.mesh_root):
            path = f"/apis/{group}/namespaces/{metadata['namespace']}/{plural}/{metadata['name']}"
            requests += [("DELETE", path, None), ("PATCH", path, {"metadata": {"labels": {NAME: "was-here"}}})]
    if not requests:
        return not_measured("the stack has no rule of the network")
    return ask(session.attacker, requests)


def _exception(session: Session) -> Evidence:
    body: Manifest = {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "PolicyException",
        "metadata": {"name": NAME},
        "spec": {"policyRefs": [{"name": "restrict-image-registries", "kind": "ValidatingPolicy"}]},
    }
    places = (session.declared.layers.kyverno, session.service.namespace)
    collections = [f"{_KYVERNO}/namespaces/{place}/policyexceptions" for place in places]
    return ask(session.attacker, [("POST", collection, body) for collection in collections])


_RIGHTS = Control("identity", "SecureService: a service account without rights")


def _attempt(name: str, tried: str, run: Callable[[Session], Evidence]) -> Attempt:
    return Attempt(name, 4, tried, _RIGHTS, run)


ATTEMPTS = (
    _attempt(
        "other-namespaces", "List pods, Secrets, ConfigMaps and Services of every other namespace.", _other_namespaces
    ),
    _attempt("own-namespace", "List what is in the service's own namespace.", _own_namespace),
    _attempt("cluster", "Read nodes, namespaces, cluster roles, and a kubelet through the API server.", _cluster),
    _attempt("impersonate", "Impersonate an administrator and another service account.", _impersonate),
    _attempt("escalate", "Bind {service} to cluster-admin, and widen a role.", _escalate),
    _attempt("mint-token", "Ask for tokens of other service accounts and for a longer one of its own.", _mint),
    _attempt("exec", "Run a command in, attach to, forward a port of and read the log of other services' pods.", _exec),
    _attempt("tamper-admission", "Delete and change the rules and webhooks of admission.", _rules_of_admission),
    _attempt(
        "tamper-network",
        "Delete and change NetworkPolicies, AuthorizationPolicies and mutual TLS.",
        _rules_of_the_network,
    ),
    _attempt("grant-exception", "Grant itself an exception from a rule.", _exception),
)
