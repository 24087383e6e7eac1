"""A cluster, other servers and a stack of plain data for `zt preflight`: a bare cluster that has all it needs."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import Any

from components.program.plan import Plan, plan
from components.program.stack import Stack
from tests.support.stacks import stack
from zt.preflight.cluster import Answer, Call, Cluster
from zt.preflight.created import Created, Object, Release
from zt.preflight.line import Line, Theme
from zt.preflight.session import Outside, Session
from zt.preflight.web import Reply, Request, UnreachedError

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

Body = dict[str, Any]
Answering = Callable[[Request], Reply]


def metadata(name: str, namespace: str = "", **more: Any) -> Body:
    return {"metadata": {"name": name, **({"namespace": namespace} if namespace else {}), **more}}


def helm(release: str, namespace: str) -> Body:
    return {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}


def node(name: str, zone: str = "", system: str = "linux", arch: str = "amd64", **spec: Any) -> Body:
    labels = {"kubernetes.io/os": system, "kubernetes.io/arch": arch, "topology.kubernetes.io/zone": zone or name}
    return {**metadata(name, labels=labels), "spec": spec}


def resources(*kinds: str) -> Body:
    return {"resources": [{"name": f"{kind.lower()}s", "kind": kind} for kind in kinds]}


@dataclass
class FakeCluster:
    """The API server: what is at each path, a list as a list. Nothing else is there."""

    at: dict[str, Any] = field(default_factory=dict)
    denied: Callable[[Body], bool] = lambda _: False
    status: dict[str, int] = field(default_factory=dict)
    date: datetime = NOW
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        policies = resources("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
        nodes = [node("a"), node("b"), node("c")]
        self.at = {"/version": {"gitVersion": "v1.36.3"}, ADMISSION: policies, "/api/v1/nodes": nodes, **self.at}

    def send(self, call: Call) -> Answer:
        self.calls.append(call)
        headers = {"date": format_datetime(self.date, usegmt=True)}
        if call.path in self.status:
            return Answer(self.status[call.path], {"message": f"{call.path} is forbidden"}, headers)
        if call.method == "POST":
            return self._review(call)
        found = self.at.get(call.path)
        if found is None:
            return Answer(404, {"message": "not found"}, headers)
        return Answer(200, {"items": found} if isinstance(found, list) else found, headers)

    def _review(self, call: Call) -> Answer:
        if call.path.endswith("selfsubjectreviews"):
            return Answer(201, {"status": {"userInfo": {"username": "deployer"}}})
        attributes = (call.body or {})["spec"]["resourceAttributes"]
        return Answer(201, {"status": {"allowed": not self.denied(attributes)}})


@dataclass
class FakeWeb:
    """Other servers: what each address replies. Any other address is not reached."""

    at: dict[str, Reply | Exception | Answering] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        self.requests.append(request)
        found = self.at.get(request.url, UnreachedError("no answer in 5 seconds"))
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, Reply) else found(request)


@cache
def planned_of(environment: str, changes: str = "{}") -> tuple[Stack, Plan]:
    """A stack with changes, as JSON text, and its plan, made once for all tests."""
    made = stack(environment, **json.loads(changes))
    return made, plan(made)


def made_object(api_version: str, kind: str, name: str, namespace: str = "", **manifest: Any) -> Object:
    whole = {"apiVersion": api_version, "kind": kind, **metadata(name, namespace), **manifest}
    return Object(api_version, kind, namespace, name, whole)


def namespace(name: str, level: str = "") -> Object:
    labels = {"pod-security.kubernetes.io/enforce": level} if level else {}
    return Object("v1", "Namespace", "", name, {"metadata": {"name": name, "labels": labels}})


CREATED = Created(
    (
        namespace("vault"),
        namespace("istio-system", "privileged"),
        namespace("kyverno", "restricted"),
        namespace("shop"),
        made_object("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "service-identities"),
        made_object("v1", "ServiceAccount", "platform-operator", "vault"),
        made_object("apps/v1", "Deployment", "api", "shop"),
        made_object("gateway.networking.k8s.io/v1", "Gateway", "public", "istio-ingress"),
    ),
    (
        Release("kyverno", "kyverno", "kyverno"),
        Release("istio-base", "istio-system", "base"),
        Release("istiod", "istio-system", "istiod"),
        Release("cert-manager", "cert-manager", "cert-manager"),
        Release("vault", "vault", "vault"),
    ),
    ("https://example.org/gateway-api.yaml",),
)


def session(
    environment: str = "production",
    cluster: FakeCluster | None = None,
    web: FakeWeb | None = None,
    created: Created = CREATED,
    hosts: Mapping[str, tuple[str, ...]] | None = None,
    variables: Mapping[str, str] | None = None,
    project: Path = Path("/nowhere"),
    **changes: object,
) -> Session:
    made, planned = planned_of(environment, json.dumps(changes))
    outside = Outside(
        web or FakeWeb(),
        lambda host: (hosts or {}).get(host, ()),
        lambda: NOW,
        {"HOME": "/nowhere", **(variables or {})},
    )
    answers = Cluster((cluster or FakeCluster()).send, "context test (https://test)")
    return Session(made, planned, created, answers, outside, project)


def lines(theme: Theme, of: Session, name: str = "") -> list[Line]:
    """The lines of a theme's checks, or of one of them."""
    checks = [check for check in theme.checks if check.applies(of) and name in ("", check.name)]
    return [line for check in checks for line in check.ask(of)]


def one(theme: Theme, name: str, of: Session) -> Line:
    found = lines(theme, of, name)
    assert len(found) == 1, found
    return found[0]


def results(found: list[Line]) -> dict[str, str]:
    return {line.about: line.result.value for line in found}


def without_services(of: Session) -> Session:
    return replace(of, planned=replace(of.planned, services=[]))
