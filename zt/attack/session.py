"""One run against one stack: the attacker, the live objects, and what has to be removed afterwards."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from components.config.posture import Posture
from components.kube.names import AUTH_PATH, DATABASE_MOUNT, KV_MOUNT, OWN_LAYERS, TOKEN_AUDIENCE, USE, LayerNamespaces
from components.package.args import PackageArgs
from components.service.file.service import ServiceSpec
from zt.attack.attacker import Attacker
from zt.attack.authorization import Peer
from zt.attack.evidence import Evidence, StackError, UntriedError
from zt.attack.kubernetes_api import Answer, Kubernetes, issued
from zt.attack.network import End, Pod, pod_of
from zt.attack.temporary_rights import NAME, bind
from zt.attack.vault_api import Vault, VaultAnswer
from zt.cluster import plugin_policies
from zt.cluster.manifest import Manifest, part, word

_TOKEN_SECONDS = 600
_SETTLE_SECONDS = 60
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Declared:
    """The stack by the checkout's files: its posture, what runs on it, and the service whose pod is compromised."""

    stack: str
    posture: Posture
    trust_domain: str
    services: tuple[ServiceSpec, ...]
    service: ServiceSpec
    actions: Mapping[str, str] = field(default_factory=dict[str, str])
    """What each rule does on the stack: off, audit, warn or deny."""
    phased: frozenset[str] = frozenset()
    """The rules of the important tier, which move to deny phase by phase."""
    packages: tuple[PackageArgs, ...] = ()
    kv_mount: str = KV_MOUNT
    auth_path: str = AUTH_PATH
    layers: LayerNamespaces = OWN_LAYERS
    database_mount: str = DATABASE_MOUNT
    metadata: tuple[str, ...] = ()
    """The networks of the cluster's own metadata services."""

    @property
    def others(self) -> tuple[ServiceSpec, ...]:
        """Every other service of the stack."""
        return tuple(spec for spec in self.services if spec != self.service)


def _deployer_rules(account: str) -> list[Manifest]:
    return [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]},
        {"apiGroups": [""], "resources": ["pods/ephemeralcontainers"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": [account], "verbs": [USE]},
        {"apiGroups": ["security.istio.io"], "resources": ["authorizationpolicies"], "verbs": ["create"]},
    ]


def key(spec: ServiceSpec) -> str:
    """The name of a service's role and policy in Vault, as `SecureServiceArgs.key`."""
    return spec.ref.key


class Session:
    """The attacker's credentials, created on first use, and the live rules that decide about a pod's network."""

    def __init__(
        self,
        declared: Declared,
        admin: Kubernetes,
        vault: Vault | None,
        audit_logs: tuple[Path, ...] = (),
        operator_token: str = "",
        istiod: str = "",
        clock: Callable[[], float] = time.perf_counter,
        attacker_kind: Attacker = Attacker.POD,
        probe_image: str = "",
        internet: str = "",
    ) -> None:
        self.declared = declared
        self.admin = admin
        self.vault = vault
        self.audit_logs = audit_logs
        self.operator_token = operator_token
        self.istiod = istiod
        self.clock = clock
        self.attacker_kind = attacker_kind
        self.probe_image = probe_image
        self.internet = internet
        self._known: dict[str, Manifest] = {}
        self._undo = ExitStack()

    def __enter__(self) -> "Session":
        """Start the run. Nothing is created yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove everything that the run created."""
        self._undo.close()

    def afterwards(self, undo: Callable[[], object]) -> None:
        """Call `undo` when the run ends."""
        self._undo.callback(undo)

    @property
    def service(self) -> ServiceSpec:
        """The service whose pod is compromised."""
        return self.declared.service

    def token(self, namespace: str, account: str, audience: str = "") -> str:
        """A new token of a service account, like the one in its pod's volume. Raises `StackError`."""
        answer = self.token_request(self.admin, namespace, account, audience)
        if not answer.ok:
            why = f"{answer.status} {answer.message}"
            raise StackError(f"no token of the service account {namespace}/{account}: {why}; is the stack up?")
        return issued(answer, f"{namespace}/{account}", self.admin.where)

    def token_request(self, who: Kubernetes, namespace: str, account: str, audience: str = "") -> Answer:
        """Ask for a token of a service account as the identity `who`."""
        spec: Manifest = {"expirationSeconds": _TOKEN_SECONDS, **({"audiences": [audience]} if audience else {})}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        return who.call("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})

    @cached_property
    def attacker(self) -> Kubernetes:
        """The API server as the compromised pod's service account."""
        return self.admin.as_token(self.token(self.service.namespace, self.service.name))

    @cached_property
    def deployer(self) -> Kubernetes:
        """The API server as somebody who may create the service's pods in its namespace, and nothing else."""
        namespace = self.service.namespace
        bind(self.admin, namespace, NAME, self.afterwards, rules=_deployer_rules(self.service.name))
        deployer = self.admin.as_user(NAME)
        self._wait_for_rights(deployer, namespace)
        return deployer

    @cached_property
    def member(self) -> Kubernetes:
        """The API server as somebody with the attacker's built-in role in the service's namespace, and nothing else.

        Raises `StackError` when the role cannot be given: without its rights everything would look refused.
        """
        namespace, role = self.service.namespace, self.attacker_kind.role
        # A name of its own: what a killed run left in another namespace gives this user nothing.
        user = f"{NAME}-{role}-in-{namespace}"
        answer = bind(self.admin, namespace, user, self.afterwards, role=role)
        if not answer.ok:
            raise StackError(f"the role {role} cannot be given in {namespace}: {answer.status} {answer.message}")
        member = self.admin.as_user(user)
        if not self._wait_for_rights(member, namespace):
            raise StackError(f"the role {role} in {namespace} gives no right to create pods: no attempt would say much")
        return member

    def _wait_for_rights(self, who: Kubernetes, namespace: str) -> bool:
        # A new binding takes effect a moment after it is stored.
        attributes = {"namespace": namespace, "verb": "create", "resource": "pods"}
        review: Manifest = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        deadline = self.clock() + _SETTLE_SECONDS
        while self.clock() < deadline:
            answer = who.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
            if answer.ok and answer.body.get("status", {}).get("allowed"):
                return True
            time.sleep(_POLL_SECONDS)
        return False

    def login(self, vault: Vault) -> VaultAnswer:
        """Log in to Vault as the pod's agent does.

        Raises `UntriedError` for a service that has nothing in Vault, and `StackError` when Vault refuses the login.
        """
        if not (self.service.secrets or self.service.all_databases):
            raise UntriedError(f"{key(self.service)} has nothing in Vault, and so no role there")
        jwt = self.token(self.service.namespace, self.service.name, TOKEN_AUDIENCE)
        answer = vault.login(self.declared.auth_path, key(self.service), jwt)
        if not answer.ok:
            raise StackError(f"Vault does not log {key(self.service)} in: {answer.status} {answer.errors}")
        token: str = answer.auth["client_token"]
        self.afterwards(lambda: vault.call("POST", "auth/token/revoke-self", token))
        return answer

    @cached_property
    def vault_token(self) -> str:
        """The pod's token of Vault. Empty without a Vault."""
        return self.login(self.vault).auth["client_token"] if self.vault else ""

    def known(self, path: str) -> Manifest:
        """An object as the API server showed it first; empty when there is none."""
        if path not in self._known:
            answer = self.admin.call("GET", path)
            self._known[path] = dict(answer.body) if answer.ok else {}
        return self._known[path]

    @cached_property
    def namespaces(self) -> Mapping[str, Mapping[str, str]]:
        """The labels of each namespace."""
        namespaces = self.admin.objects("/api/v1/namespaces")
        return {item["metadata"]["name"]: part(item, "metadata", "labels") for item in namespaces}

    @cached_property
    def pods(self) -> list[Manifest]:
        """Every pod that has not terminated."""
        ended = ("Succeeded", "Failed")
        pods = self.admin.objects("/api/v1/pods")
        return [pod for pod in pods if word(pod, "status", "phase") not in ended]

    def pods_of(self, spec: ServiceSpec) -> list[Manifest]:
        """The pods that run as a service."""
        return [
            pod
            for pod in self.pods
            if (pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName")) == (spec.namespace, spec.name)
        ]

    def end(self, pod: Manifest) -> Pod:
        """A live pod with what policies look at."""
        return pod_of(pod, self.namespaces.get(pod["metadata"]["namespace"], {}))

    def imagined(self, app: str, account: str = "default") -> Pod:
        """A pod in the compromised pod's namespace that no service file declares."""
        namespace = self.service.namespace
        return Pod(namespace, {"app": app}, account, app, "", self.namespaces.get(namespace, {}))

    def peer(self, pod: Pod) -> Peer:
        """A pod's identity in the mesh."""
        return Peer(self.declared.trust_domain, pod.namespace, pod.account)

    @cached_property
    def network_policies(self) -> list[Manifest]:
        """The live NetworkPolicies."""
        return self.admin.listed("/apis/networking.k8s.io/v1/networkpolicies")

    @cached_property
    def _other_network_policies(self) -> list[tuple[str, str]]:
        """The name of each policy of an administrator or of the network plugin, and its namespace if it has one."""
        found = plugin_policies.kinds(lambda path: self.admin.call("GET", path).body)
        return [
            (name, word(each, "metadata", "namespace"))
            for kind, path in found
            for each in self.admin.listed(path)
            for name in plugin_policies.named(kind, [each])
        ]

    def other_network_policies(self, *ends: End) -> list[str]:
        """The policies that are not evaluated and may decide about a connection: one in a namespace is for its pods."""
        namespaces = {"", *(end.namespace for end in ends if isinstance(end, Pod))}
        return [name for name, namespace in self._other_network_policies if namespace in namespaces]

    @cached_property
    def authorization_policies(self) -> list[Manifest]:
        """The live AuthorizationPolicies."""
        return self.admin.listed("/apis/security.istio.io/v1/authorizationpolicies")

    @cached_property
    def sidecars(self) -> list[Manifest]:
        """The live Sidecars of the mesh: what each proxy knows."""
        return self.admin.listed("/apis/networking.istio.io/v1/sidecars")

    @cached_property
    def peer_authentications(self) -> list[Manifest]:
        """The live PeerAuthentications."""
        return self.admin.listed("/apis/security.istio.io/v1/peerauthentications")


Run = Callable[[Session], Evidence]
