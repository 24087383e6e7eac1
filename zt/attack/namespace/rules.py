"""Attack 7: switch a rule off, or have the engine of the rules work for oneself."""

from zt.attack.attempt import Attempt
from zt.attack.evidence import Control, Evidence, blocked, not_measured, succeeded, together
from zt.attack.namespace.requests import Request, Requests, create, path_of, targets, tries
from zt.attack.session import Session
from zt.attack.temporary_rights import NAME
from zt.cluster.manifest import Manifest

_CEL, _KYVERNO, _OLD = "policies.kyverno.io/v1", "kyverno.io/v2", "kyverno.io/v1"
_NETWORKING = "networking.k8s.io/v1"
_ADMISSION = "admissionregistration.k8s.io/v1"
_RULE = "restrict-image-registries"
_NEVER = "0 0 31 2 *"
PLATFORM_GROUPS = (
    "kyverno.io",
    "wgpolicyk8s.io",
    "openreports.io",
    "istio.io",
    "gateway.networking.k8s.io",
    "cert-manager.io",
    "external-secrets.io",
)
"""The API groups of the platform's charts, or what their names end with."""

_PODS: Manifest = {
    "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
}
_KEY = """-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZC4ezUHghWJw3x4bVc6tHO6YsDBJ
CUsq9xHJ+2cnVUbn7xqbpBiVwGFE/Cc/Ag8PHWP7UIq4H9OuLqBoVTI+JA==
-----END PUBLIC KEY-----
"""


def _exceptions(namespace: str) -> list[Request]:
    everything = [{"name": "everything", "expression": "true"}]
    match = {"any": [{"resources": {"kinds": ["Pod"], "namespaces": [namespace]}}]}
    by_cel: Manifest = {"policyRefs": [{"name": _RULE, "kind": "ValidatingPolicy"}], "matchConditions": everything}
    by_match: Manifest = {"exceptions": [{"policyName": _RULE, "ruleNames": ["*"]}], "match": match}
    return [
        create(_CEL, "PolicyException", "policyexceptions", namespace, {"spec": by_cel}),
        create(_KYVERNO, "PolicyException", "policyexceptions", namespace, {"spec": by_match}),
    ]


def _own_exceptions(session: Session) -> list[Request]:
    return _exceptions(session.service.namespace)


def _platform_exceptions(session: Session) -> list[Request]:
    return _exceptions(session.declared.layers.kyverno)


# Every kind of policy that a namespace can hold, as small as it may be.
_MUTATION = 'Object{metadata: Object.metadata{labels: Object.metadata.labels{zt: "attack"}}}'
_COPIES = '[{"apiVersion": dyn("v1"), "kind": dyn("ConfigMap"), "metadata": dyn({"name": "zt-attack"})}]'
_ANY_POD = {"any": [{"resources": {"kinds": ["Pod"]}}]}
_MARKS: Manifest = {"name": "marks", "match": _ANY_POD, "validate": {"message": "m", "pattern": {"kind": "Pod"}}}
POLICIES: dict[tuple[str, str], Manifest] = {
    (_CEL, "NamespacedValidatingPolicy"): {"matchConstraints": _PODS, "validations": [{"expression": "true"}]},
    # Without controllers it changes the pods that a controller makes for an account, and not what they are made from.
    (_CEL, "NamespacedMutatingPolicy"): {
        "matchConstraints": _PODS,
        "autogen": {"podControllers": {"controllers": []}},
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": _MUTATION}}],
    },
    (_CEL, "NamespacedGeneratingPolicy"): {
        "matchConstraints": _PODS,
        "variables": [{"name": "copies", "expression": _COPIES}],
        "generate": [{"expression": "generator.apply(variables.copies)"}],
    },
    (_CEL, "NamespacedDeletingPolicy"): {"matchConstraints": _PODS, "schedule": _NEVER},
    (_CEL, "NamespacedImageValidatingPolicy"): {
        "matchConstraints": _PODS,
        "matchImageReferences": [{"glob": "*"}],
        "attestors": [{"name": "any", "cosign": {"key": {"data": _KEY}}}],
        "validations": [{"expression": "true"}],
    },
    (_OLD, "Policy"): {"rules": [_MARKS]},
    (_KYVERNO, "CleanupPolicy"): {"match": _ANY_POD, "schedule": _NEVER},
}


def _policies(session: Session) -> list[Request]:
    return [
        create(version, kind, _plural(kind), session.service.namespace, {"spec": spec})
        for (version, kind), spec in POLICIES.items()
    ]


def _plural(kind: str) -> str:
    return f"{kind.lower().removesuffix('y')}ies"


def _reports(session: Session) -> list[Request]:
    namespace = session.service.namespace
    owner = {"apiVersion": "v1", "kind": "Pod", "name": NAME, "uid": NAME}
    summary = {"pass": 1000, "fail": 0, "warn": 0, "error": 0, "skip": 0}
    report: Manifest = {"summary": summary, "results": []}
    ephemeral: Manifest = {"spec": {"owner": owner, **report}}
    requests = [
        create("wgpolicyk8s.io/v1alpha2", "PolicyReport", "policyreports", namespace, report),
        create("reports.kyverno.io/v1", "EphemeralReport", "ephemeralreports", namespace, ephemeral),
    ]
    collection = path_of("wgpolicyk8s.io/v1alpha2", "policyreports", namespace)
    for written in session.admin.listed(collection)[:1]:
        path = f"{collection}/{written['metadata']['name']}"
        requests += [Request("PATCH", path, {"summary": summary, "results": []}), Request("DELETE", path)]
    return requests


def _update_requests(session: Session) -> list[Request]:
    work: Manifest = {
        "requestType": "mutate",
        "policy": NAME,
        "rule": NAME,
        "deleteDownstream": False,
        "context": {},
        "resource": {"kind": "Pod", "apiVersion": "v1", "namespace": session.service.namespace, "name": NAME},
    }
    places = (session.service.namespace, session.declared.layers.kyverno)
    return [create(_KYVERNO, "UpdateRequest", "updaterequests", place, {"spec": work}) for place in places]


def _network_policies(session: Session) -> list[Request]:
    """What there is in the namespace: the default deny, what the platform needs, and that of each service."""
    requests: list[Request] = []
    for item in session.network_policies:
        metadata = item["metadata"]
        if metadata["namespace"] == session.service.namespace:
            path = path_of(_NETWORKING, "networkpolicies", metadata["namespace"], metadata["name"])
            requests += [Request("DELETE", path), Request("PATCH", path, {"spec": {"ingress": [{}], "egress": [{}]}})]
    return requests


def _open_network(session: Session) -> list[Request]:
    everything: Manifest = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]}
    services = [{**everything, "podSelector": {"matchLabels": {"app": spec.name}}} for spec in targets(session)]
    namespace = session.service.namespace
    return [
        create(_NETWORKING, "NetworkPolicy", "networkpolicies", namespace, {"spec": spec})
        for spec in (everything, *services)
    ]


def _admission(session: Session) -> list[Request]:
    collections = (
        f"/apis/{_CEL}/validatingpolicies",
        *(
            f"/apis/{_ADMISSION}/{plural}"
            for plural in (
                "validatingadmissionpolicies",
                "validatingadmissionpolicybindings",
                "validatingwebhookconfigurations",
                "mutatingwebhookconfigurations",
            )
        ),
    )
    return [
        request
        for collection in collections
        for item in session.admin.listed(collection)[:1]
        for path in [f"{collection}/{item['metadata']['name']}"]
        for request in (Request("DELETE", path), Request("PATCH", path, {"metadata": {"labels": {NAME: "was-here"}}}))
    ]


def _platform_kinds(session: Session) -> Evidence:
    """Ask for each kind of the platform's API groups, by a request without content.

    Rights are judged before content: only who has them is told that the object is incomplete.
    """
    definitions = session.admin.listed("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    answers: list[Evidence] = []
    for definition in definitions:
        spec = definition["spec"]
        kind = spec["names"]["kind"]
        versions = [version["name"] for version in spec["versions"] if version["storage"]]
        ours = any(spec["group"] == group or spec["group"].endswith(f".{group}") for group in PLATFORM_GROUPS)
        if spec["scope"] != "Namespaced" or not ours or kind in _ASKED_WITH_CONTENT:
            continue
        api_version, plural = f"{spec['group']}/{versions[0]}", spec["names"]["plural"]
        create_it = create(api_version, kind, plural, session.service.namespace, {})
        delete_it = Request("DELETE", path_of(api_version, plural, session.service.namespace, NAME))
        for request in (create_it, delete_it):
            answer = session.member.call(request.method, request.path, request.body, dry_run=True)
            # A webhook that finds it incomplete has let it pass, too.
            refused = answer.unauthorized
            answers.append(blocked(answer.message) if refused else succeeded(f"{request.what}: authorized"))
    return together(answers, "the cluster has no kind of the platform's API groups")


# Rights are not all that stops these: they have attempts of their own, with complete objects.
_ASKED_WITH_CONTENT = frozenset(
    {kind for _, kind in POLICIES} | {"PolicyException", "PolicyReport", "EphemeralReport", "UpdateRequest"}
)


def _rule_or_not(session: Session) -> Evidence:
    if requests := _admission(session):
        return tries(lambda _: requests)(session)
    return not_measured("the stack has no rule of admission")


RIGHTS = Control("identity", "the built-in roles: no right of the platform's API groups")
_KEPT = Control("critical", "KyvernoPlatform: exceptions, policies of a namespace and reports are the platform's")
_NETWORK = Control("network_policies", "ServiceObjects: service-objects")


def _attempt(name: str, tried: str, control: Control, requests: Requests) -> Attempt:
    return Attempt(name, 7, tried, control, tries(requests))


ATTEMPTS = (
    _attempt("exception-own", "Write an exception from a rule in its own namespace.", _KEPT, _own_exceptions),
    _attempt("exception-platform", "Write one where the platform's are.", RIGHTS, _platform_exceptions),
    _attempt("namespaced-policies", "Write each kind of policy that a namespace can hold.", _KEPT, _policies),
    _attempt("policy-reports", "Write the reports that promote a rule.", _KEPT, _reports),
    _attempt("update-requests", "Have Kyverno's background controller change objects.", _KEPT, _update_requests),
    Attempt(
        "platform-kinds", 7, "Create or delete an object of each other kind of the platform.", RIGHTS, _platform_kinds
    ),
    Attempt("admission", 7, "Delete and change the rules and webhooks of admission.", RIGHTS, _rule_or_not),
    _attempt("network-policies", "Delete and widen each NetworkPolicy of the namespace.", _NETWORK, _network_policies),
    _attempt("open-network", "Add a NetworkPolicy that opens everything.", _NETWORK, _open_network),
)
