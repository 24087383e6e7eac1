"""Controls of the production stack, each with a way to switch it off for a while on a living plane."""

import contextlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from components.kube.names import IDENTITIES
from tests.e2e import pods
from tests.e2e.plane import Plane
from tests.support.waiting import eventually

SHOP, MESH, NAME = "shop", "istio-system", "weakened"
ACCOUNT = {"kind": "ServiceAccount", "name": "api", "namespace": SHOP}
NETWORKING, ISTIO, KYVERNO = "networking.k8s.io/v1", "security.istio.io/v1", "policies.kyverno.io/v1"
ADMISSION, RBAC = "admissionregistration.k8s.io/v1", "rbac.authorization.k8s.io/v1"
DEFAULT_ACCOUNT = {"kind": "ServiceAccount", "name": "default", "namespace": SHOP}

Weaken = Callable[[Plane], AbstractContextManager[object]]


def call(plane: Plane, method: str, path: str, body: Any = None, fails: bool = True) -> Any:
    """A request as the administrator."""
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    api: Any = plane.api
    headers = {"Content-Type": kind, "Accept": "application/json"}
    answer = api.call_api(method, f"{api.configuration.host}{path}", header_params=headers, body=body)
    read = json.loads(answer.read())
    assert answer.status < 400 or not fails, f"{method} {path}: {read.get('message')}"
    return read


def collection(api_version: str, plural: str, namespace: str = "") -> str:
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"/{'apis' if '/' in api_version else 'api'}/{api_version}{place}/{plural}"


def stored(made: dict[str, Any]) -> dict[str, Any]:
    """An object as it can be created again."""
    metadata = {
        key: made["metadata"][key] for key in ("name", "namespace", "labels", "annotations") if key in made["metadata"]
    }
    return {**{key: value for key, value in made.items() if key != "status"}, "metadata": metadata}


@contextmanager
def added(plane: Plane, path: str, body: dict[str, Any]) -> Iterator[None]:
    name = body["metadata"]["name"]
    call(plane, "POST", path, body)
    try:
        yield
    finally:
        call(plane, "DELETE", f"{path}/{name}", {"gracePeriodSeconds": 0})
        eventually(lambda: call(plane, "GET", f"{path}/{name}", fails=False).get("code") == 404, f"{name} is gone")


@contextmanager
def removed(plane: Plane, path: str, names: list[str]) -> Iterator[None]:
    kept = [stored(call(plane, "GET", f"{path}/{name}")) for name in names]
    for name in names:
        call(plane, "DELETE", f"{path}/{name}")
    try:
        yield
    finally:
        for body in kept:
            call(plane, "POST", path, body)


@contextmanager
def patched(plane: Plane, path: str, spec: dict[str, Any], back: dict[str, Any]) -> Iterator[None]:
    call(plane, "PATCH", path, {"spec": spec})
    try:
        yield
    finally:
        call(plane, "PATCH", path, {"spec": back})


# --- the network and the mesh


def network_policy(spec: dict[str, Any]) -> Weaken:
    body = {"apiVersion": NETWORKING, "kind": "NetworkPolicy", "metadata": {"name": NAME}, "spec": spec}
    return lambda plane: added(plane, collection(NETWORKING, "networkpolicies", SHOP), body)


def allow(spec: dict[str, Any], name: str = NAME) -> Weaken:
    body = {"apiVersion": ISTIO, "kind": "AuthorizationPolicy", "metadata": {"name": name}, "spec": spec}
    return lambda plane: added(plane, collection(ISTIO, "authorizationpolicies", SHOP), body)


def without_deny_by_default(plane: Plane) -> AbstractContextManager[None]:
    return removed(plane, collection(ISTIO, "authorizationpolicies", MESH), ["deny-by-default"])


def permissive(plane: Plane) -> AbstractContextManager[None]:
    path = collection(ISTIO, "peerauthentications", MESH)
    return patched(plane, f"{path}/default", {"mtls": {"mode": "PERMISSIVE"}}, {"mtls": {"mode": "STRICT"}})


@contextmanager
def without_istiods_webhook(plane: Plane) -> Iterator[None]:
    path = collection(ADMISSION, "validatingwebhookconfigurations")
    names = [
        item["metadata"]["name"] for item in call(plane, "GET", path)["items"] if "istio" in item["metadata"]["name"]
    ]
    with removed(plane, path, names):
        yield


# --- the service's account


def cluster_rights(*rules: tuple[str, str, str], account: dict[str, str] = ACCOUNT, role: str = "") -> Weaken:
    """Rights in the whole cluster, each of a group, resources and verbs; or those of a cluster role that there is."""

    @contextmanager
    def off(plane: Plane) -> Iterator[None]:
        head = {"apiVersion": RBAC, "metadata": {"name": NAME}}
        written = [
            {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
            for group, resources, verbs in rules
        ]
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role or NAME}
        binding = {**head, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": [account]}
        with contextlib.ExitStack() as stack:
            if not role:
                path = collection(RBAC, "clusterroles")
                stack.enter_context(added(plane, path, {**head, "kind": "ClusterRole", "rules": written}))
            stack.enter_context(added(plane, collection(RBAC, "clusterrolebindings"), binding))
            yield

    return off


# --- admission


def without_rule(*rules: str) -> Weaken:
    """Removes rules; Kyverno takes their native policies away."""

    @contextmanager
    def off(plane: Plane) -> Iterator[None]:
        # A rule that only audits on this stack has none.
        parts = [path for rule in rules for path in native_parts(rule)]
        native = [path for path in parts if "spec" in call(plane, "GET", path, fails=False)]
        with removed(plane, collection(KYVERNO, "validatingpolicies"), list(rules)):
            # Kyverno keeps a part that is still on its way out, and does not make it again once it is gone.
            for path in native:
                eventually(
                    lambda path=path: call(plane, "GET", path, fails=False).get("code") == 404, f"{path} is gone"
                )
            yield
        for path in native:
            eventually(lambda path=path: "spec" in call(plane, "GET", path, fails=False), f"{path} is back")

    return off


def native_parts(rule: str) -> tuple[str, str]:
    """What Kyverno makes of a rule inside the API server: the policy and its binding."""
    return (
        f"{collection(ADMISSION, 'validatingadmissionpolicies')}/vpol-{rule}",
        f"{collection(ADMISSION, 'validatingadmissionpolicybindings')}/vpol-{rule}-binding",
    )


def without_identities(plane: Plane) -> AbstractContextManager[None]:
    """Leaves the identities to whoever may create pods."""
    return removed(plane, collection(ADMISSION, "validatingadmissionpolicybindings"), [IDENTITIES])


def sloppy_exception(plane: Plane) -> AbstractContextManager[None]:
    """An exception that knows a pod by its label, which is whatever the pod's author writes."""
    condition = {"name": "by-label", "expression": "object.metadata.?labels[?'app'].orValue('') == 'api'"}
    body = {
        "apiVersion": KYVERNO,
        "kind": "PolicyException",
        "metadata": {"name": NAME},
        "spec": {
            "policyRefs": [{"name": "restrict-image-registries", "kind": "ValidatingPolicy"}],
            "matchConditions": [condition],
        },
    }
    return added(plane, collection(KYVERNO, "policyexceptions", "kyverno"), body)


def pod_of_api(change: Callable[[dict[str, Any]], object]) -> Weaken:
    """A pod that runs as the service and was not made by the platform."""
    body = {**pods.pod(NAME), "metadata": {"name": NAME, "labels": {"app": NAME, "sidecar.istio.io/inject": "false"}}}
    change(body["spec"])
    return lambda plane: added(plane, collection("v1", "pods", SHOP), body)


def secret_in_environment(spec: dict[str, Any]) -> None:
    spec["containers"][0]["env"] = [
        {"name": "DB", "valueFrom": {"secretKeyRef": {"name": "database", "key": "password"}}}
    ]


def token_in_container(spec: dict[str, Any]) -> None:
    source = {"serviceAccountToken": {"audience": "vault", "path": "token"}}
    spec["volumes"] = [{"name": "vault-token", "projected": {"sources": [source]}}]
    spec["containers"][0]["volumeMounts"] = [{"name": "vault-token", "mountPath": "/token"}]


@contextmanager
def secret_copied(plane: Plane) -> Iterator[None]:
    """The service's secret where Kubernetes keeps its own."""
    vault = plane.vault_as_service(SHOP, "api", "shop.api")
    found = vault.secrets.kv.v2.read_secret_version("shop/api/database", raise_on_deleted_version=True)
    values = {"password": found["data"]["data"]["password"]}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME}, "stringData": values}
    with added(plane, collection("v1", "secrets", SHOP), body):
        yield


# --- Vault


def vault_policy(more: str) -> Weaken:
    @contextmanager
    def off(plane: Plane) -> Iterator[None]:
        deployer: Any = plane.vault_as_deployer()
        before = deployer.sys.read_acl_policy("shop.api")["data"]["policy"]
        deployer.sys.create_or_update_acl_policy("shop.api", f"{before}\n{more}")
        try:
            yield
        finally:
            deployer.sys.create_or_update_acl_policy("shop.api", before)

    return off


def vault_role(role: str = "shop.api", **changes: Any) -> Weaken:
    @contextmanager
    def off(plane: Plane) -> Iterator[None]:
        deployer: Any = plane.vault_as_deployer()
        path = f"auth/kubernetes/role/{role}"
        found = deployer.read(path)["data"]
        kept = (
            *("bound_service_account_names", "bound_service_account_namespaces", "audience"),
            *("token_policies", "token_ttl", "token_max_ttl", "token_type"),
        )
        before = {key: found.get(key) for key in kept if found.get(key) is not None}
        deployer.write_data(path, data={**before, **changes})
        try:
            yield
        finally:
            deployer.delete(path)
            deployer.write_data(path, data=before)

    return off


@contextmanager
def without_second_audit_device(plane: Plane) -> Iterator[None]:
    deployer: Any = plane.vault_as_deployer()
    before = deployer.sys.list_enabled_audit_devices()["data"]["audit-2/"]
    deployer.sys.disable_audit_device("audit-2")
    try:
        yield
    finally:
        deployer.sys.enable_audit_device("file", path="audit-2", options=before["options"])


def rule(path: str, *verbs: str) -> str:
    return f'path "{path}" {{ capabilities = [{", ".join(json.dumps(verb) for verb in verbs)}] }}\n'
