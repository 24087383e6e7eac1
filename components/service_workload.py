"""A service's workload and its companions, written out in full: nothing is left for an admission mutation to fill in.

A field that admission set would show as drift on the next preview; and a service must be as safe on a cluster without
the mutations. Standard: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from components.mesh_metadata import pod_label
from components.policy_exceptions import ANNOTATION
from components.service_args import SecureServiceArgs, metadata
from components.service_environment import environment
from components.service_external_secrets import copy_name
from components.service_network import Manifest
from components.service_probes import probe_manifests
from components.service_storage import (
    ca_bundle_mounts,
    claim_spec,
    config_mounts,
    volume_mounts,
    volume_name,
)
from components.service_vault import (
    SECRETS_DIRECTORY,
    TOKEN_AUDIENCE,
    TOKEN_TTL_SECONDS,
    TOKEN_VOLUME,
    copied,
    injector_annotations,
    mesh_annotations,
    reaches_vault,
)

FS_GROUP = 2000
_METRICS = "http-metrics"
_SCRATCH_LIMIT = "256Mi"
_OWNER_AND_GROUP_READ = 0o440
_OWNER_READ = 0o400


def pod_security_context(args: SecureServiceArgs) -> Manifest:
    """The pod's half of the security context."""
    # Without this every start would walk through a volume that may hold millions of files.
    kept = {"fsGroupChangePolicy": "OnRootMismatch"} if args.volumes else {}
    return {
        "runAsNonRoot": True,
        "runAsUser": args.run_as_user,
        "runAsGroup": args.run_as_user,
        "fsGroup": FS_GROUP,
        **kept,
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


def workload_kind(args: SecureServiceArgs) -> str:
    """The kind of the workload: a StatefulSet where each replica keeps a volume, else a Deployment."""
    return "StatefulSet" if args.stateful else "Deployment"


def workload_spec(args: SecureServiceArgs) -> Manifest:
    """The spec of the workload, of the kind that it is."""
    return stateful_set_spec(args) if args.stateful else deployment_spec(args)


def deployment_spec(args: SecureServiceArgs) -> Manifest:
    """The spec of a service's Deployment."""
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    return {**_replicated(args), "strategy": strategy}


def stateful_set_spec(args: SecureServiceArgs) -> Manifest:
    """The spec of a service's StatefulSet: one claim for each replica and volume, which outlives both.

    https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/
    """
    own = [volume for volume in args.volumes if not volume.shared]
    return {
        **_replicated(args),
        "serviceName": args.name,
        "updateStrategy": {"type": "RollingUpdate"},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "volumeClaimTemplates": [
            {"metadata": {"name": volume_name(volume), "labels": args.selector}, "spec": claim_spec(volume)}
            for volume in own
        ],
    }


def _mesh_label(args: SecureServiceArgs) -> dict[str, str]:
    platform = args.platform
    return pod_label(platform.revision, platform.ambient) if platform.mesh else {}


def metrics_annotations(args: SecureServiceArgs) -> dict[str, str]:
    """What tells the scraper where the metrics are, on the application's own port.

    The mesh would otherwise merge them with its proxy's and show both in clear text to whoever asks
    (https://istio.io/latest/docs/ops/integrations/prometheus/).
    """
    if not args.metrics.port:
        return {}
    prefix = "prometheus.io"
    notes = {f"{prefix}/scrape": "true", f"{prefix}/port": str(args.metrics.port), f"{prefix}/path": args.metrics.path}
    return notes if args.platform.ambient else {**notes, "prometheus.istio.io/merge-metrics": "false"}


def _extra_ports(args: SecureServiceArgs) -> list[int]:
    """The port of the metrics, where it is not the service's own."""
    return [args.metrics.port] if args.metrics.port not in (0, args.port) else []


def _replicated(args: SecureServiceArgs) -> Manifest:
    # What the autoscaler writes must not be anybody else's.
    replicas = {} if args.autoscaling.maximum else {"replicas": args.replicas}
    return {
        **replicas,
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": args.selector},
        "template": {"metadata": pod_metadata(args), "spec": _pod_spec(args)},
    }


def pod_metadata(args: SecureServiceArgs) -> Manifest:
    """The metadata of a pod: its labels, what injection is told, and which configuration it started with."""
    annotations = {**injector_annotations(args), **mesh_annotations(args), **metrics_annotations(args)}
    if args.config.path:
        annotations[f"{ANNOTATION}/config"] = args.config.digest
    labels: Manifest = {"labels": {**args.labels, **_mesh_label(args)}}
    return {**labels, "annotations": annotations} if annotations else labels


def _pod_spec(args: SecureServiceArgs) -> Manifest:
    named = [(args.protocol, args.port), *((_METRICS, port) for port in _extra_ports(args))]
    ports = [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in named]
    probes = probe_manifests(args.probes, args.health, args.port)
    spread = [_spread(args, key) for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")]
    serving = {**container(args), "ports": ports, **probes}
    return {**pod(args), "topologySpreadConstraints": spread, "containers": [serving]}


def pod(args: SecureServiceArgs) -> Manifest:
    """The spec of a pod with the service's identity, all but its containers."""
    return {
        "serviceAccountName": args.name,
        "automountServiceAccountToken": False,
        # Service links would list every service of the namespace in the environment.
        "enableServiceLinks": False,
        "securityContext": pod_security_context(args),
        "volumes": [volume for volume, _ in _mounts(args) if volume],
    }


def container(args: SecureServiceArgs) -> Manifest:
    """The application's container, without what only a service has: a port and probes."""
    made: Manifest = {
        "name": args.name,
        "image": args.image,
        "imagePullPolicy": "IfNotPresent",
        "resources": {
            "requests": {"cpu": args.cpu_request, "memory": args.memory_request},
            "limits": {"cpu": args.cpu_limit, "memory": args.memory_limit},
        },
        "securityContext": container_security_context(args),
        "volumeMounts": [mount for _, mount in _mounts(args) if mount],
    }
    optional = {"command": list(args.command), "args": list(args.arguments), "env": environment(args.env)}
    return {**made, **{key: value for key, value in optional.items() if value}}


def _spread(args: SecureServiceArgs, key: str) -> Manifest:
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": args.selector},
    }


def _mounts(args: SecureServiceArgs) -> list[tuple[Manifest, Manifest]]:
    """Each volume of the pod with its mount in the application's container.

    An empty mount: it is not mounted there; an empty volume: it is not the pod's to name.
    """
    found: list[tuple[Manifest, Manifest]] = [
        (_scratch(f"scratch-{number}"), {"name": f"scratch-{number}", "mountPath": path})
        for number, path in enumerate(dict.fromkeys(["/tmp", *args.writable]))  # noqa: S108 - the pod's own emptyDir
    ]
    found += [
        *volume_mounts(args.name, args.volumes),
        *config_mounts(args.owner, args.config),
        *ca_bundle_mounts(args.ca_bundle),
    ]
    if reaches_vault(args):
        # With injection only the agent holds the token; without it the application logs in by itself.
        mount = {
            "name": TOKEN_VOLUME,
            "mountPath": "/var/run/secrets/vault.hashicorp.com/serviceaccount",
            "readOnly": True,
        }
        found.append((_vault_token(), {} if args.platform.injection else mount))
    elif copied(args):
        sources = [
            {
                "secret": {
                    "name": copy_name(args.name, secret.name),
                    "items": [{"key": secret.file, "path": secret.file}],
                }
            }
            for secret in args.secrets
        ]
        volume = {"name": "secrets", "projected": {"defaultMode": _OWNER_READ, "sources": sources}}
        found.append((volume, {"name": "secrets", "mountPath": SECRETS_DIRECTORY, "readOnly": True}))
    elif args.secrets:
        items = [{"key": secret.file, "path": secret.file} for secret in args.secrets]
        volume = {
            "name": "secrets",
            "secret": {"secretName": args.owner, "defaultMode": _OWNER_READ, "items": items},
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
