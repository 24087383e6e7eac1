"""A production stack of plain data for `zt attack`: an API server and a Vault that refuse, unless told otherwise."""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.kube.names import IDENTITIES
from tests.support.stacks import ROOT
from tests.unit.zt.attack.packets import PROBES, Packets
from zt.attack.exec_api import no_exec
from zt.attack.kubernetes_api import Answer, Call, Kubernetes
from zt.attack.vault_api import Place, Vault, VaultAnswer, VaultCall

SECRET = "correct-horse-battery-staple"
OWN_PATH = "secret/data/shop/api/database"
PORTS = {"api": 8080, "postgres": 5432, "redis": 6379}
CALLERS = {"api": "istio-ingress/public-istio", "postgres": "shop/api", "redis": "shop/api"}
DEPLOYER = "zt-attack"
PROXY_IMAGE = "docker.io/istio/proxyv2:1.31.0"
PROXY = {"name": "istio-proxy", "image": PROXY_IMAGE, "restartPolicy": "Always"}
NODE = "192.0.2.1"


def write_project(directory: Path, services: Mapping[str, str]) -> Path:
    """The production stack's files with these services, each by name with what its file says beside the usual."""
    (directory / "policies").symlink_to(ROOT / "policies")
    (directory / "Pulumi.production.yaml").symlink_to(ROOT / "Pulumi.production.yaml")
    (directory / "services").mkdir()
    for name, rest in services.items():
        head = f"namespace: shop\nteam: commerce\nimage: registry.example.org/shop/{name}:v1\nport: {PORTS[name]}\n"
        # Postgres and redis speak no HTTP.
        protocol = "" if name == "api" else "protocol: tcp\n"
        (directory / "services" / f"{name}.yaml").write_text(head + protocol + rest)
    return directory


def address(name: str) -> str:
    """The address of a pod: another one for each name of the tests."""
    return f"10.0.{len(name)}.{sum(map(ord, name)) % 250}"


def pod(name: str, namespace: str = "shop") -> dict[str, Any]:
    container: dict[str, Any] = {"name": name, "image": f"registry.example.org/shop/{name}:v1", "env": []}
    return {
        "metadata": {"name": f"{name}-1", "namespace": namespace, "labels": {"app": name}},
        "spec": {"serviceAccountName": name, "initContainers": [PROXY], "containers": [container], "volumes": []},
        "status": {"phase": "Running", "podIP": address(name), "hostIP": NODE},
    }


def network_policy(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def authorization(name: str) -> dict[str, Any]:
    namespace, _, account = CALLERS[name].partition("/")
    source = {"principals": [f"cluster.local/ns/{namespace}/sa/{account}"]}
    rule = {"from": [{"source": source}], "to": [{"operation": {"ports": [str(PORTS[name])]}}]}
    spec = {"selector": {"matchLabels": {"app": name}}, "action": "ALLOW", "rules": [rule]}
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": spec}


class Stack:
    """A production stack of plain data, and a log of what was stored and deleted in it."""

    def __init__(self, audit_logs: list[Path]) -> None:
        self.pods = [*(pod(name) for name in PORTS), pod("istiod", "istio-system")]
        callers = {name: {"podSelector": {"matchLabels": {"app": "api"}}} for name in ("postgres", "redis")}
        self.network = [
            network_policy("default-deny", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
            *(
                network_policy(name, {"podSelector": {"matchLabels": {"app": name}}, "ingress": [{"from": [caller]}]})
                for name, caller in callers.items()
            ),
        ]
        root = {"name": "deny-by-default", "namespace": "istio-system"}
        self.authorization = [{"metadata": root, "spec": {}}, *map(authorization, PORTS)]
        self.mtls = "STRICT"
        self.sidecars: list[dict[str, Any]] = []
        self.served: dict[str, dict[str, Any]] = {}
        self.secrets: list[dict[str, Any]] = []
        self.rights: set[tuple[str, str]] = set()
        self.rules_off: set[str] = set()
        self.vault_paths: dict[str, list[str]] = {OWN_PATH: ["read"]}
        self.audience, self.max_ttl, self.batch = True, 86400, False
        self.audit_logs = audit_logs
        self.revoked: set[str] = set()
        self.made: list[str] = []
        self.usable: set[str] = set()
        self._number = itertools.count()
        self.network_of_packets: Packets | None = None

    # --- the API server

    def cluster(self, _access: object) -> Kubernetes:
        execute = self.network_of_packets.execute if self.network_of_packets else no_exec
        return Kubernetes(self._kubernetes, "context test (https://test)", execute=execute)

    def _kubernetes(self, call: Call) -> Answer:
        path, _, query = call.path.partition("?")
        if call.token:
            return self._as_account(call, path)
        if call.headers.get("Impersonate-User") == DEPLOYER:
            return self._as_deployer(call, path)
        if call.method != "GET" and "dryRun" not in query:
            self.made.append(f"{call.method} {path}")
        if path.endswith("/roles"):
            self.usable = {name for rule in (call.body or {})["rules"] for name in rule.get("resourceNames", [])}
        if path.endswith("/token"):
            return self._token(call, path)
        if self.network_of_packets and path.startswith(PROBES):
            return self.network_of_packets.probe(call)
        return Answer(200, "", self.served.get(path) or {"items": self._items(path)})

    def _items(self, path: str) -> list[dict[str, Any]]:
        names: dict[str, list[str]] = {
            "/api/v1/namespaces": ["shop", "kube-system"],
            "/api/v1/nodes": ["node-0"],
            "/apis/policies.kyverno.io/v1/validatingpolicies": ["disallow-privileged"],
        }
        strict = {"metadata": {"name": "default", "namespace": "istio-system"}, "spec": {"mtls": {"mode": self.mtls}}}
        found: dict[str, list[dict[str, Any]]] = {
            "/api/v1/pods": self.pods,
            "/api/v1/namespaces/shop/secrets": self.secrets,
            "/apis/networking.k8s.io/v1/networkpolicies": self.network,
            "/apis/security.istio.io/v1/authorizationpolicies": self.authorization,
            "/apis/security.istio.io/v1/peerauthentications": [strict],
            "/apis/networking.istio.io/v1/sidecars": self.sidecars,
        }
        return found.get(path) or [{"metadata": {"name": name}} for name in names.get(path, [])]

    def _token(self, call: Call, path: str) -> Answer:
        if "platform-operator" in path:
            return Answer(404, 'serviceaccounts "platform-operator" not found')
        audience = ((call.body or {})["spec"].get("audiences") or ["api"])[0]
        return Answer(201, "", {"status": {"token": f"{audience}.{path.split('/')[6]}.signature"}})

    def _as_account(self, call: Call, path: str) -> Answer:
        if (call.method, path) in self.rights:
            return Answer(200, "")
        return Answer(403, f'x is forbidden: User "{call.token}" cannot {call.method} it')

    def _as_deployer(self, call: Call, path: str) -> Answer:
        if path.endswith("selfsubjectaccessreviews"):
            return Answer(201, "", {"status": {"allowed": True}})
        if path.endswith("authorizationpolicies"):
            return Answer(400, 'admission webhook "validation.istio.io" denied the request: configuration is invalid')
        broken = broken_rules(call.body or {}, self.usable)
        rule = next((rule for rule in broken if rule not in self.rules_off), "")
        if not rule:
            return Answer(201, "")
        policy = rule if rule == IDENTITIES else f"vpol-{rule}"
        said = f"pods is forbidden: ValidatingAdmissionPolicy '{policy}' with binding '{policy}-binding'"
        return Answer(422, f"{said} denied request: it is bad")

    # --- Vault

    def vault(self, _place: Place) -> Vault:
        return Vault(self._vault, "https://vault.example.org:8200")

    def _vault(self, call: VaultCall) -> VaultAnswer:
        refused = VaultAnswer(403, "permission denied", {}, {})
        if call.path == "auth/kubernetes/login":
            return self._login(call.body or {})
        if not call.token.startswith("token-") or call.token in self.revoked:
            return refused
        match call.path:
            case "auth/token/lookup-self":
                return VaultAnswer(200, "", {}, {})
            case "auth/token/revoke-self" if self.batch:
                return VaultAnswer(400, "batch tokens cannot be revoked", {}, {})
            case "auth/token/revoke-self":
                self.revoked.add(call.token)
                return VaultAnswer(204, "", {}, {})
            case "auth/token/renew-self":
                return VaultAnswer(200, "", {}, {"lease_duration": self.max_ttl})
            case "sys/capabilities-self":
                paths: list[str] = (call.body or {})["paths"]
                return VaultAnswer(200, "", {path: self.vault_paths.get(path, ["deny"]) for path in paths}, {})
            case path if call.method == "GET" and "read" in self.vault_paths.get(path, []):
                self._log(path)
                return VaultAnswer(200, "", {"data": {"password": SECRET}}, {})
            case _:
                return refused

    def _login(self, body: dict[str, Any]) -> VaultAnswer:
        audience, _, rest = body["jwt"].partition(".")
        genuine = rest == "api.signature" and (audience == "vault" or not self.audience)
        if body["role"] != "shop.api" or not genuine:
            return VaultAnswer(403, "permission denied", {}, {})
        return VaultAnswer(200, "", {}, {"client_token": f"token-{next(self._number)}", "accessor": "a"})

    def _log(self, path: str) -> None:
        metadata = {"service_account_name": "api", "service_account_namespace": "shop", "role": "shop.api"}
        line = {
            "type": "response",
            "time": "2026-11-25T04:04:07Z",
            "auth": {"metadata": metadata},
            "request": {"id": "1", "operation": "read", "path": path},
            "response": {},
        }
        for log in self.audit_logs:
            with log.open("a") as stream:
                stream.write(json.dumps(line) + "\n")


def broken_rules(body: dict[str, Any], usable: set[str]) -> list[str]:
    spec = body["spec"]
    containers = spec.get("containers") or spec.get("ephemeralContainers")
    images = [container["image"] for container in containers]
    context = containers[0].get("securityContext", {})
    broken = {
        IDENTITIES: not {*usable, None} & {spec.get("serviceAccountName")},
        "restrict-image-registries": any("registry.example.org" not in image for image in images),
        "disallow-privileged": context.get("privileged"),
        "disallow-host-path": any("hostPath" in volume for volume in spec.get("volumes", [])),
        "disallow-host-namespaces": spec.get("hostNetwork"),
        "require-run-as-non-root": not spec.get("securityContext", {"runAsNonRoot": True})["runAsNonRoot"],
        "drop-all-capabilities": context.get("capabilities", {}).get("add"),
        "disallow-token-automount": spec.get("automountServiceAccountToken"),
    }
    return [rule for rule, found in broken.items() if found]
