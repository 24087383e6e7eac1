"""The production stack of plain data, as somebody with a built-in role in one of its namespaces finds it."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from components.kube.names import IDENTITIES, SHARED_ACCOUNTS
from tests.unit.zt.attack.stack import PORTS, Stack
from zt.attack.faults import FAULTS, good_pod
from zt.attack.kubernetes_api import Answer, Call, Kubernetes

HOST, AUTHORITY = "api.example.org", "istio-ca-root-cert"
OBJECTS, HOSTS, INTEGRITY = "service-objects", "public-hosts", "rule-integrity"
PROXY, IMAGES = "disallow-proxy-user", "restrict-image-registries"
ADDRESSES = "disallow-external-ips"
CONNECTS = ("pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy")
CORE = "pods configmaps secrets serviceaccounts serviceaccounts/token services"
APPS = "deployments deployments/scale replicasets statefulsets statefulsets/scale daemonsets"
EDIT = {
    *f"{CORE} persistentvolumeclaims replicationcontrollers".split(),
    *CONNECTS,
    *(f"{name}.apps" for name in APPS.split()),
    *("jobs.batch", "cronjobs.batch", "horizontalpodautoscalers.autoscaling", "poddisruptionbudgets.policy"),
    *("ingresses.networking.k8s.io", "networkpolicies.networking.k8s.io"),
}
ADMIN = EDIT | {"roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io"}
KYVERNO_KINDS = (
    *("policyexceptions", "policies", "cleanuppolicies", "policyreports", "ephemeralreports", "updaterequests"),
    *(f"namespaced{kind}policies" for kind in ("validating", "mutating", "generating", "deleting", "imagevalidating")),
)
CONTROLLERS = (
    *("deployments", "replicasets", "statefulsets", "daemonsets"),
    *("replicationcontrollers", "jobs", "cronjobs"),
)


@dataclass(frozen=True)
class Asked:
    """A request, taken apart."""

    method: str
    resource: str
    """With its subresource and its group: `deployments/scale.apps`."""
    namespace: str
    name: str
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        return self.resource.partition(".")[0].partition("/")[0]


def taken_apart(call: Call) -> Asked:
    words = call.path.partition("?")[0].strip("/").split("/")
    group, rest = ("", words[2:]) if words[0] == "api" else (words[1], words[3:])
    namespace = rest[1] if rest[0] == "namespaces" and len(rest) > 1 else ""
    if namespace and len(rest) > 2:
        rest = rest[2:]
    resource, name, subresource = [*rest, "", ""][:3]
    full = f"{resource}/{subresource}" if subresource else resource
    return Asked(call.method, f"{full}.{group}" if group else full, namespace, name, call.body or {})


class NamespaceStack(Stack):
    """The stack with every control that stops a namespace's member. `rules_off` switches policies off."""

    def __init__(self, audit_logs: list[Path]) -> None:
        super().__init__(audit_logs)
        self.extra_rights: set[str] = set()
        """Resources of the namespace that the role has beside its own."""
        self.everywhere = False
        """Whether the role is bound in the whole cluster."""
        self.accounts_may: set[str] = set()
        """Resources that a service's account may write."""
        self.bound: dict[tuple[str, str], str] = {}
        self.calls: list[Asked] = []

    def cluster(self, _access: object) -> Kubernetes:
        return Kubernetes(self.answer, "context test (https://test)")

    def answer(self, call: Call) -> Answer:
        user = call.headers.get("Impersonate-User", "")
        asked = taken_apart(call)
        if user.startswith("system:serviceaccount:"):
            return self._as_service_account(asked)
        if user:
            self.calls.append(asked)
            assert (
                asked.method == "GET"
                or "dryRun=All" in call.path
                or asked.kind == "selfsubjectaccessreviews"
                or asked.resource in CONNECTS
            ), f"{call.method} {call.path} would be stored"
            return self._as_member(asked, user)
        if asked.kind == "rolebindings" and asked.method == "POST":
            self.made.append(f"POST {call.path}")
            return self._bind(asked)
        if asked.kind == "rolebindings" and asked.method == "DELETE":
            self.made.append(f"DELETE {call.path}")
            return Answer(200, "") if self.bound.pop((asked.namespace, asked.name), "") else Answer(404, "not found")
        if asked.kind == "services" and asked.name:
            return Answer(200, "", {"spec": {"selector": {"app": asked.name}}})
        return Answer(200, "", {"items": self._items(call.path)})

    def _bind(self, asked: Asked) -> Answer:
        key = (asked.namespace, asked.body["metadata"]["name"])
        if key in self.bound:
            return Answer(409, "rolebindings already exists")
        self.bound[key] = f"{asked.body['subjects'][0]['name']} {asked.body['roleRef']['name']}"
        return Answer(201, "")

    def _items(self, path: str) -> list[dict[str, Any]]:
        plural = path.rpartition("/")[2]
        own = [
            {"metadata": {"name": name, "namespace": "shop", "labels": {"app.kubernetes.io/name": name, "app": name}}}
            for name in PORTS
        ]
        template = {"template": {"spec": {"serviceAccountName": "api", "containers": [{"name": "api", "image": "i"}]}}}
        items: dict[str, list[dict[str, Any]]] = {
            **dict.fromkeys(("services", "serviceaccounts", "poddisruptionbudgets", "authorizationpolicies"), own),
            **{key: [{**item, "spec": template} for item in own] for key in ("deployments", "statefulsets")},
            "configmaps": [{"metadata": {"name": AUTHORITY}, "data": {"root-cert.pem": "x"}}],
            "clusterissuers": [{"metadata": {"name": "letsencrypt-prod"}}],
            "gateways": [{"metadata": {"name": "public"}, "spec": {"listeners": [{"name": f"https-{HOST}"}]}}],
            "customresourcedefinitions": [
                _definition("security.istio.io", "AuthorizationPolicy", "authorizationpolicies")
            ],
            "secrets": [{"metadata": {"name": "istio-ca-secret"}, "data": {"key": "correct-horse-battery-staple"}}],
            "replicasets": [],
        }
        # The policies of the whole cluster are the stack's own.
        if "/namespaces/" not in path and plural in ("authorizationpolicies", "networkpolicies"):
            return super()._items(path)
        return items.get(plural) or super()._items(path)

    def _as_service_account(self, asked: Asked) -> Answer:
        if asked.resource in self.accounts_may:
            return Answer(201, "")
        return Answer(403, f'{asked.resource} is forbidden: User "x" cannot {asked.method} it')

    def _as_member(self, asked: Asked, user: str) -> Answer:
        role = next((text.partition(" ")[2] for text in self.bound.values() if text.startswith(f"{user} ")), "")
        if asked.kind == "selfsubjectaccessreviews":
            return Answer(201, "", {"status": {"allowed": bool(role)}})
        rights = (ADMIN if role == "admin" else EDIT if role == "edit" else set[str]()) | self.extra_rights
        if asked.resource not in rights or (asked.namespace != "shop" and not self.everywhere):
            return Answer(403, f'{asked.resource} is forbidden: User "{user}" cannot {asked.method} it')
        if asked.kind in ("roles", "rolebindings") and "escalate" not in rights:
            return Answer(
                403, f'x is forbidden: user "{user}" is attempting to grant RBAC permissions not currently held'
            )
        rule = next((rule for rule in refusing(asked) if rule not in self.rules_off), "")
        if not rule:
            return Answer(201, "", asked.body)
        of_library = rule in {*FAULTS, ADDRESSES}
        policy = f"vpol-{rule}" if of_library else rule
        said = (
            f"it is forbidden: ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: it is bad"
        )
        return Answer(422 if of_library else 403, said)


def _definition(group: str, kind: str, plural: str) -> dict[str, Any]:
    names = {"kind": kind, "plural": plural}
    versions = [{"name": "v1", "storage": True}]
    return {
        "metadata": {"name": plural},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": versions},
    }


def refusing(asked: Asked) -> Iterator[str]:
    """The policies that refuse what a member asks for, who has no right to `use` any account."""
    if asked.kind in KYVERNO_KINDS:
        yield INTEGRITY
    at_service = "'kind': 'Service'" in str(asked.body)
    if asked.kind in ("ingresses", "certificates", "httproutes") and asked.method == "POST" and not at_service:
        yield from _by_hosts(asked)
    if asked.kind in ("pods", *CONTROLLERS) and asked.method == "POST" and not asked.name:
        yield from _by_pod(asked)
    elif _runs_or_has_a_token(asked):
        yield IDENTITIES
    elif asked.kind not in KYVERNO_KINDS and _of_service(asked):
        external = {"externalIPs", "loadBalancerIP"} & set(asked.body.get("spec", {}))
        yield ADDRESSES if external and asked.method == "POST" else OBJECTS


def _runs_or_has_a_token(asked: Asked) -> bool:
    program = asked.kind in ("pods", *CONTROLLERS) and "containers" in str(asked.body).lower()
    token = asked.body.get("type") == "kubernetes.io/service-account-token"
    return program or token or asked.resource in (*CONNECTS, "serviceaccounts/token")


def _of_service(asked: Asked) -> bool:
    """Whether an object is a service's, or reaches for one: by its name here, or by what it says."""
    names = {*PORTS, *(f"{name}-1" for name in PORTS), AUTHORITY}
    opening = asked.kind in ("networkpolicies", "endpoints", "endpointslices", "authorizationpolicies")
    opening |= asked.kind in ("resourcequotas", "limitranges", "persistentvolumeclaims")
    opening |= asked.kind == "httproutes" and "'kind': 'Service'" in str(asked.body)
    new = asked.kind in ("services", "horizontalpodautoscalers", "poddisruptionbudgets")
    return opening or asked.name in names or (new and asked.method == "POST")


def _by_hosts(asked: Asked) -> Iterator[str]:
    text = str(asked.body)
    if HOST not in text or "*" in text:
        yield HOSTS
    elif asked.kind == "ingresses":
        yield OBJECTS


def _by_pod(asked: Asked) -> Iterator[str]:
    spec = asked.body["spec"]
    if asked.kind == "cronjobs":
        spec = spec["jobTemplate"]["spec"]
    whole = asked.body if asked.kind == "pods" else spec["template"]
    pod = whole["spec"]
    yield from broken(pod)
    if pod["serviceAccountName"] not in SHARED_ACCOUNTS:
        yield IDENTITIES
    if whole["metadata"].get("labels", {}).get("app") in PORTS or "claimName" in str(pod) or "dataSource" in str(pod):
        yield OBJECTS
    if "1337" in str(pod):
        yield PROXY
    if "proxyv2" in str(pod) or "docker.io" in str(pod):
        yield IMAGES


def broken(spec: dict[str, Any]) -> list[str]:
    """The rules of the library that a pod breaks, each by the fields that its fault sets."""
    return [rule for rule, fields in FIELDS.items() if all(_has(spec, path, value) for path, value in fields)]


_ABSENT = object()
Keys = tuple[str | int, ...]


def _differences(good: Any, bad: Any, path: Keys = ()) -> Iterator[tuple[Keys, Any]]:
    """Each place where a bad pod says something else, and what."""
    if isinstance(good, dict) and isinstance(bad, dict):
        for key in bad:
            yield from _differences(good.get(key, _ABSENT), bad[key], (*path, key))
    elif isinstance(good, list) and isinstance(bad, list) and len(good) == len(bad):
        for number, (one, other) in enumerate(zip(good, bad, strict=True)):
            yield from _differences(one, other, (*path, number))
    elif good != bad:
        yield path, bad


def _fields() -> Iterator[tuple[str, list[tuple[Keys, Any]]]]:
    service = SimpleNamespace(name=SHARED_ACCOUNTS[-1], image="registry.example.org/shop/good:v1", port=8080)
    good = good_pod(SimpleNamespace(service=service))  # pyright: ignore[reportArgumentType] - all that is read of it
    for rule, fault in FAULTS.items():
        bad = deepcopy(good)
        fault(bad)
        yield rule, list(_differences(good["spec"], bad["spec"]))


def _has(spec: Any, path: Keys, value: Any) -> bool:
    for key in path:
        try:
            spec = spec[key]
        except (KeyError, IndexError, TypeError):
            return False
    return spec == value


FIELDS = dict(_fields())
