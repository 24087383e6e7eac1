"""The Deployment and its companions, written out in full: nothing is left for an admission mutation to fill in.

A field that admission set would show as drift on the next preview; and a service must be as safe on a cluster without
the mutations. Standard: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from components.mesh_security import revision_label
from components.service_args import SecureServiceArgs, metadata
from components.service_network import Manifest
from components.service_vault import (
    SECRETS_DIRECTORY,
    TOKEN_AUDIENCE,
    TOKEN_TTL_SECONDS,
    TOKEN_VOLUME,
    injector_annotations,
    mesh_annotations,
    uses_vault,
)

FS_GROUP = 2000
_METRICS = "http-metrics"
_SCRATCH_LIMIT = "256Mi"
_OWNER_AND_GROUP_READ = 0o440
_OWNER_READ = 0o400


def pod_security_context(args: SecureServiceArgs) -> Manifest:
    """The pod's half of the security context."""
    return {
        "runAsNonRoot": True,
        "runAsUser": args.run_as_user,
        "runAsGroup": args.run_as_user,
        "fsGroup": FS_GROUP,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security_context(args: SecureServiceArgs) -> Manifest:
    """The container's half of the security context."""
    return {
        "runAsNonRoot": True,
        "runAsUser": args.run_as_user,
        "runAsGroup": args.run_as_user,
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def deployment_spec(args: SecureServiceArgs) -> Manifest:
    """The spec of a service's Deployment."""
    template: Manifest = {"labels": {**args.labels, **_revision(args)}}
    if annotations := {**injector_annotations(args), **mesh_annotations(args), **metrics_annotations(args)}:
        template["annotations"] = annotations
    return {
        "replicas": args.replicas,
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": args.selector},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"metadata": template, "spec": _pod_spec(args)},
    }


def _revision(args: SecureServiceArgs) -> dict[str, str]:
    """The label that makes another revision of the mesh roll the pods over to its proxies."""
    return revision_label(args.platform.revision) if args.platform.mesh else {}


def metrics_annotations(args: SecureServiceArgs) -> dict[str, str]:
    """What tells the scraper where the metrics are, on the application's own port.

    The mesh would otherwise merge them with its proxy's and show both in clear text to whoever asks
    (https://istio.io/latest/docs/ops/integrations/prometheus/).
    """
    if not args.metrics.port:
        return {}
    prefix = "prometheus.io"
    notes = {f"{prefix}/scrape": "true", f"{prefix}/port": str(args.metrics.port), f"{prefix}/path": args.metrics.path}
    return {**notes, "prometheus.istio.io/merge-metrics": "false"}


def _extra_ports(args: SecureServiceArgs) -> list[int]:
    """The port of the metrics, where it is not the service's own."""
    return [args.metrics.port] if args.metrics.port not in (0, args.port) else []


def _pod_spec(args: SecureServiceArgs) -> Manifest:
    return {
        "serviceAccountName": args.name,
        "automountServiceAccountToken": False,
        # Service links would list every service of the namespace in the environment.
        "enableServiceLinks": False,
        "securityContext": pod_security_context(args),
        "topologySpreadConstraints": [
            _spread(args, key) for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
        "containers": [_container(args)],
        "volumes": [volume for volume, _ in _mounts(args)],
    }


def _container(args: SecureServiceArgs) -> Manifest:
    return {
        "name": args.name,
        "image": args.image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [
            {"name": args.protocol, "containerPort": args.port, "protocol": "TCP"},
            *({"name": _METRICS, "containerPort": port, "protocol": "TCP"} for port in _extra_ports(args)),
        ],
        "resources": {
            "requests": {"cpu": args.cpu_request, "memory": args.memory_request},
            "limits": {"cpu": args.cpu_limit, "memory": args.memory_limit},
        },
        "securityContext": container_security_context(args),
        "readinessProbe": {**_probe(args), "periodSeconds": 5, "failureThreshold": 3},
        "livenessProbe": {**_probe(args), "initialDelaySeconds": 10, "periodSeconds": 10, "failureThreshold": 6},
        "volumeMounts": [mount for _, mount in _mounts(args) if mount],
    }


def _probe(args: SecureServiceArgs) -> Manifest:
    if args.health:
        return {"httpGet": {"path": args.health, "port": args.port, "scheme": "HTTP"}}
    return {"tcpSocket": {"port": args.port}}


def _spread(args: SecureServiceArgs, key: str) -> Manifest:
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": args.selector},
    }


def _mounts(args: SecureServiceArgs) -> list[tuple[Manifest, Manifest]]:
    """Each volume of the pod with its mount in the application's container (empty: not mounted there)."""
    found: list[tuple[Manifest, Manifest]] = [
        (_scratch(f"scratch-{number}"), {"name": f"scratch-{number}", "mountPath": path})
        for number, path in enumerate(dict.fromkeys(["/tmp", *args.writable]))  # noqa: S108 - the pod's own emptyDir
    ]
    if uses_vault(args):
        # With injection only the agent holds the token; without it the application logs in by itself.
        mount = {
            "name": TOKEN_VOLUME,
            "mountPath": "/var/run/secrets/vault.hashicorp.com/serviceaccount",
            "readOnly": True,
        }
        found.append((_vault_token(), {} if args.platform.injection else mount))
    elif args.secrets:
        items = [{"key": secret.file, "path": secret.file} for secret in args.secrets]
        volume: Manifest = {
            "name": "secrets",
            "secret": {"secretName": args.name, "defaultMode": _OWNER_READ, "items": items},
        }
        found.append((volume, {"name": "secrets", "mountPath": SECRETS_DIRECTORY, "readOnly": True}))
    if args.kubernetes_api:
        mount: Manifest = {
            "name": "api-token",
            "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
            "readOnly": True,
        }
        found.append((_api_token(), mount))
    return found


def _scratch(name: str) -> Manifest:
    return {"name": name, "emptyDir": {"sizeLimit": _SCRATCH_LIMIT}}


def _vault_token() -> Manifest:
    token = {"audience": TOKEN_AUDIENCE, "expirationSeconds": TOKEN_TTL_SECONDS, "path": "token"}
    sources = [{"serviceAccountToken": token}]
    return {"name": TOKEN_VOLUME, "projected": {"defaultMode": _OWNER_AND_GROUP_READ, "sources": sources}}


def _api_token() -> Manifest:
    sources = [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_TTL_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {
            "downwardAPI": {
                "items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]
            }
        },
    ]
    return {"name": "api-token", "projected": {"defaultMode": _OWNER_AND_GROUP_READ, "sources": sources}}


def service_metadata(args: SecureServiceArgs) -> Manifest:
    """The metadata of the Service. The Deployment is what a run waits for: its pods are all that the Service selects.

    Waiting for both costs ten seconds a service, since the provider lets endpoints settle that long
    (https://www.pulumi.com/registry/packages/kubernetes/installation-configuration/).
    """
    return {**metadata(args), "annotations": {"pulumi.com/skipAwait": "true"}}


def service_spec(args: SecureServiceArgs) -> Manifest:
    """The spec of a service's Service."""
    port = {"name": args.protocol, "port": args.port, "targetPort": args.port, "protocol": "TCP"}
    extra = (
        {"name": _METRICS, "port": number, "targetPort": number, "protocol": "TCP", "appProtocol": "http"}
        for number in _extra_ports(args)
    )
    ports = [{**port, "appProtocol": args.protocol}, *extra]
    return {"type": "ClusterIP", "selector": args.selector, "ports": ports}


def disruption_budget_spec(args: SecureServiceArgs) -> Manifest:
    """The spec of the budget of a service with several replicas."""
    return {"maxUnavailable": 1, "selector": {"matchLabels": args.selector}}


def role_rules(args: SecureServiceArgs) -> list[Manifest]:
    """The rules of the service's Role, as its file declares them."""
    return [
        {"apiGroups": list(rule.api_groups), "resources": list(rule.resources), "verbs": list(rule.verbs)}
        for rule in args.kubernetes_api
    ]
