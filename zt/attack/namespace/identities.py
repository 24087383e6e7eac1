"""Attack 8: run a program as a service, or have a token of its service account."""

from copy import deepcopy

from components.kube.names import IDENTITIES, TOKEN_AUDIENCE
from zt.attack.attempt import Attempt
from zt.attack.evidence import Control, Evidence, blocked, together
from zt.attack.faults import first_container, good_pod, without_probes
from zt.attack.kubernetes_api import by_answer, past_authorization
from zt.attack.namespace.requests import (
    Request,
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
from zt.cluster.manifest import Manifest, part

_AUDIENCES = (TOKEN_AUDIENCE, "istio-ca", "")
_NO_POD = "no pod of a service of the namespace runs"
_FOREIGN_COMMAND = ["sh", "-c", "id"]


def _pods(session: Session) -> list[Request]:
    requests: list[Request] = []
    for spec in targets(session):
        body = own_pod(session)
        body["spec"]["serviceAccountName"] = spec.name
        requests.append(Request("POST", pods_path(session), body))
    return requests


def _makers_of_pods(session: Session) -> list[Request]:
    requests: list[Request] = []
    for spec in targets(session):
        body = own_pod(session)
        body["spec"]["serviceAccountName"] = spec.name
        requests += controllers(session, body)
    return requests


def _workloads(session: Session) -> list[Request]:
    """Another program in what makes a service's pods."""
    accounts = {spec.name for spec in targets(session)}
    requests: list[Request] = []
    for plural in ("deployments", "statefulsets", "replicasets"):
        collection = path_of("apps/v1", plural, session.service.namespace)
        for item in session.admin.listed(collection):
            pod = item["spec"]["template"]["spec"]
            if pod.get("serviceAccountName") not in accounts:
                continue
            path = f"{collection}/{item['metadata']['name']}"
            for change in ({"command": _FOREIGN_COMMAND}, {"image": session.service.image + "-debug"}):
                containers = deepcopy(pod["containers"])
                containers[0] |= change
                template = {"spec": {"containers": containers}}
                requests.append(Request("PATCH", path, {"spec": {"template": template}}))
    return requests


def _images(session: Session) -> list[Request]:
    """Another image in a running pod, the one field of a container that may change."""
    requests: list[Request] = []
    for spec in targets(session):
        for pod in session.pods_of(spec)[:1]:
            containers = deepcopy(pod["spec"]["containers"])
            containers[0]["image"] = f"{spec.image}-debug"
            path = f"{pods_path(session)}/{pod['metadata']['name']}"
            requests.append(Request("PATCH", path, {"spec": {"containers": containers}}))
    return requests


def _debug(session: Session) -> list[Request]:
    container = without_probes(first_container(own_pod(session)), name=NAME)
    del container["resources"]
    return [
        Request(
            "PATCH",
            f"{pods_path(session)}/{pod['metadata']['name']}/ephemeralcontainers",
            {"spec": {"ephemeralContainers": [container]}},
        )
        for spec in targets(session)
        for pod in session.pods_of(spec)[:1]
    ]


def _shell(session: Session) -> Evidence:
    """Ask for a shell without the protocol upgrade that it needs: nothing runs, even where it is allowed."""
    paths = [
        f"{pods_path(session)}/{pod['metadata']['name']}/{subresource}"
        for spec in targets(session)
        for pod in session.pods_of(spec)[:1]
        for subresource in ("exec?command=id&stdout=true", "attach?stdout=true")
    ]
    tried = [past_authorization(session.member.call("POST", path), path) for path in paths]
    return together(tried, _NO_POD)


def _past_the_mesh(session: Session) -> Evidence:
    """Ask for a way to a port of a pod through the API server: without a protocol, to a pod and to a port that are not.

    Nothing is connected to, even where it is allowed.
    """
    requests = [Request("GET", f"{pods_path(session)}/{NAME}/proxy/")]
    for spec in targets(session):
        requests.append(Request("GET", f"{path_of('v1', 'services', spec.namespace, spec.name)}:{NAME}/proxy/"))
        for pod in session.pods_of(spec)[:1]:
            path = f"{pods_path(session)}/{pod['metadata']['name']}"
            requests += [Request("POST", f"{path}/portforward?ports={port}") for port in spec.open_ports]
    tried = [past_authorization(session.member.call(one.method, one.path), one.what) for one in requests]
    return together(tried, _NO_POD)


def _tokens(session: Session) -> list[Request]:
    return [
        Request(
            "POST",
            f"{path_of('v1', 'serviceaccounts', session.service.namespace, spec.name)}/token",
            _token_request([audience] if audience else []),
        )
        for spec in targets(session)
        for audience in _AUDIENCES
    ]


def _token_request(audiences: list[str]) -> Manifest:
    spec = {"expirationSeconds": 600, **({"audiences": audiences} if audiences else {})}
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}


def _token_secrets(session: Session) -> list[Request]:
    kind = {"type": "kubernetes.io/service-account-token"}
    return [
        create(
            "v1",
            "Secret",
            "secrets",
            session.service.namespace,
            kind,
            {"annotations": {"kubernetes.io/service-account.name": spec.name}},
        )
        for spec in targets(session)
    ]


def _impersonate(session: Session) -> Evidence:
    """Act as each account, which `edit` may do towards the API server, where the account itself may do anything."""
    tried: list[Evidence] = []
    for spec in targets(session):
        # One impersonation cannot be inside another one: the right to it is asked for, and used by the run itself.
        account = f"system:serviceaccount:{spec.namespace}:{spec.name}"
        review = session.member.call("POST", _REVIEWS, _review(spec.namespace, spec.name))
        if review.ok and not part(review.body, "status").get("allowed"):
            tried.append(blocked(f"the member may not impersonate {account}"))
            continue
        who, token = session.admin.as_user(account), path_of("v1", "serviceaccounts", spec.namespace, spec.name)
        requests = (
            Request("POST", f"{token}/token", _token_request([TOKEN_AUDIENCE])),
            Request("GET", path_of("v1", "secrets", spec.namespace)),
            Request("POST", pods_path(session), good_pod(session)),
        )
        for request in requests:
            answer = who.call(request.method, request.path, request.body, dry_run=request.method != "GET")
            tried.append(by_answer(answer, f"as {account}: {request.what}"))
    return together(tried, "the namespace has no service")


_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def _review(namespace: str, account: str) -> Manifest:
    attributes = {"namespace": namespace, "verb": "impersonate", "resource": "serviceaccounts", "name": account}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }


_IDENTITY = Control("critical", f"ServiceIdentities: {IDENTITIES}")
_ACCOUNT = Control("identity", "SecureService: a service account without rights")

ATTEMPTS = (
    Attempt("pod-as-service", 8, "Create a pod with the account of each service.", _IDENTITY, tries_pods(_pods)),
    Attempt(
        "controller-as-service",
        8,
        "Create each kind of object that makes pods, with the account of each service.",
        _IDENTITY,
        tries_pods(_makers_of_pods),
    ),
    Attempt(
        "change-workload",
        8,
        "Put another command and another image into the workload of each service.",
        _IDENTITY,
        tries(_workloads, "no workload of a service of the namespace runs"),
    ),
    Attempt(
        "change-image", 8, "Put another image into a running pod of each service.", _IDENTITY, tries(_images, _NO_POD)
    ),
    Attempt("debug-service", 8, "Add a debug container to a pod of each service.", _IDENTITY, tries(_debug, _NO_POD)),
    Attempt("shell", 8, "Run a command in a pod of each service, and attach to it.", _IDENTITY, _shell),
    Attempt("past-the-mesh", 8, "Reach a port of each service through the API server.", _IDENTITY, _past_the_mesh),
    Attempt("token-of-service", 8, "Ask for tokens of each service's account.", _IDENTITY, tries(_tokens)),
    Attempt("token-secret", 8, "Have a token of it written into a Secret.", _IDENTITY, tries(_token_secrets)),
    Attempt("impersonate-service", 8, "Do as each service's account what it may not itself.", _ACCOUNT, _impersonate),
)
