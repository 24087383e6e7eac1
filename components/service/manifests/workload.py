"""The workload of a service, its Service, disruption budget and role rules, with no field left to admission mutations.

A field that a mutation sets would show as drift in the next preview, and a service must be as safe on a cluster without
the mutations. Standard: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from components.kube.manifest import Manifest
from components.kube.mesh_labels import pod_label
from components.kube.names import ANNOTATION, ROOT_AUTHORITY, TOKEN_AUDIENCE
from components.service.args.lifecycle import StopArgs
from components.service.args.service import SecureServiceArgs
from components.service.file.network import peers_name
from components.service.manifests import containers
from components.service.manifests.environment import environment
from components.service.manifests.metadata import metadata, service_port
from components.service.manifests.patch import patched
from components.service.manifests.placement import placement_fields, with_devices
from components.service.manifests.probes import probe_manifests
from components.service.manifests.secret_env import command
from components.service.manifests.secret_files import own_secret_files
from components.service.manifests.security_context import pod_security_context
from components.service.manifests.storage import ca_bundle_mounts, claim_spec, config_mounts, volume_mounts, volume_name
from components.service.manifests.vault import (
    TOKEN_TTL_SECONDS,
    TOKEN_VOLUME,
    injected,
    injector_annotations,
    mesh_annotations,
    reaches_vault,
)
from components.service.manifests.vault_inbound import vault_service_port

_OWNER_AND_GROUP_READ = 0o440
ALL_READ = 0o644
"""The mode of a token's file that every container of its pod reads, as Kubernetes itself has it."""
API_TOKEN_VOLUME = "api-token"  # noqa: S105 - the name of a volume
API_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - where it is mounted


def workload_kind(args: SecureServiceArgs) -> str:
    """The kind of the workload: a StatefulSet if each replica has its own volume, else a Deployment."""
    return "StatefulSet" if args.stateful else "Deployment"


def workload_spec(args: SecureServiceArgs) -> Manifest:
    """The spec of the workload of that kind."""
    return stateful_set_spec(args) if args.stateful else deployment_spec(args)


def deployment_spec(args: SecureServiceArgs) -> Manifest:
    """The spec of a service's Deployment."""
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    return {**_replicated(args), "strategy": strategy}


def stateful_set_spec(args: SecureServiceArgs) -> Manifest:
    """The spec of a service's StatefulSet. Each replica has a claim for each volume, which is never deleted.

    https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/
    """
    # In order, the first of a cluster would wait for a quorum, and the second for the first.
    together = {"podManagementPolicy": "Parallel"} if args.peers and not args.start_in_order else {}
    return {
        **_replicated(args),
        **together,
        # The Service in which each pod has its own name.
        "serviceName": peers_name(args.name) if args.peers else args.name,
        "updateStrategy": {"type": "RollingUpdate"},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "volumeClaimTemplates": [
            {"metadata": {"name": volume_name(volume), "labels": args.selector}, "spec": claim_spec(volume)}
            for volume in args.replica_volumes
        ],
    }


def _mesh_label(args: SecureServiceArgs) -> dict[str, str]:
    platform = args.platform
    return pod_label(platform.mesh.revision, platform.mesh.ambient) if platform.mesh.on else {}


def metrics_annotations(args: SecureServiceArgs) -> dict[str, str]:
    """The pod annotations with the place of the metrics, on the application's port.

    By default the proxy would merge them with its own metrics and serve both in plaintext, to every client
    (https://istio.io/latest/docs/ops/integrations/prometheus/).
    """
    if not args.metrics.port:
        return {}
    prefix = "prometheus.io"
    annotations = {
        f"{prefix}/scrape": "true",
        f"{prefix}/port": str(args.metrics.port),
        f"{prefix}/path": args.metrics.path,
    }
    return annotations | unmerged(args)


def unmerged(args: SecureServiceArgs) -> dict[str, str]:
    """The pod annotation by which the proxy does not serve the metrics of the application; none in the ambient mode."""
    return {} if args.platform.mesh.ambient else {"prometheus.istio.io/merge-metrics": "false"}


def _replicated(args: SecureServiceArgs) -> Manifest:
    return {
        "replicas": args.smallest,
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": args.selector},
        "template": patched({"metadata": pod_metadata(args), "spec": _pod_spec(args)}, args.patch),
    }


def pod_metadata(args: SecureServiceArgs) -> Manifest:
    """The metadata of a pod: its labels, the annotations for injection, and the digest of its configuration."""
    annotations = {**injector_annotations(args), **mesh_annotations(args), **metrics_annotations(args)}
    if args.config.path:
        annotations[f"{ANNOTATION}/config"] = args.config.digest
    configured = (each for each in args.containers if each.config.path)
    annotations |= {f"{ANNOTATION}/config.{each.name}": each.config.digest for each in configured}
    labels: Manifest = {"labels": {**args.labels, **_mesh_label(args)}}
    return {**labels, "annotations": annotations} if annotations else labels


def _pod_spec(args: SecureServiceArgs) -> Manifest:
    ports = [{"name": each.name, "containerPort": each.port, "protocol": "TCP"} for each in args.served_ports]
    probes = probe_manifests(args.probes, args.health, args.probed_port)
    spread = [_spread(args, key) for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")]
    delay = {"lifecycle": {"preStop": {"sleep": {"seconds": args.stop.delay}}}} if args.stop.delay else {}
    grace = {"terminationGracePeriodSeconds": args.stop.within} if args.stop != StopArgs() else {}
    serving = {**container(args), **({"ports": ports} if ports else {}), **probes, **delay}
    return {
        **pod(args),
        **grace,
        "topologySpreadConstraints": spread,
        "containers": [serving, *containers.sidecar_containers(args, delay)],
    }


def pod(args: SecureServiceArgs) -> Manifest:
    """The spec of a pod with the service's identity, without the containers that follow those of `init`."""
    init = [*containers.copy_containers(args), *containers.init_containers(args)]
    return {
        **({"initContainers": init} if init else {}),
        "serviceAccountName": args.name,
        "automountServiceAccountToken": False,
        # Service links would add every Service of the namespace to the environment.
        "enableServiceLinks": False,
        "securityContext": pod_security_context(args),
        **placement_fields(args.place),
        **({"imagePullSecrets": [{"name": name} for name in args.pull_secrets]} if args.pull_secrets else {}),
        "volumes": [*(volume for volume, _ in _mounts(args) if volume), *containers.container_volumes(args)],
    }


def container(args: SecureServiceArgs) -> Manifest:
    """The application's container, without the ports and probes that only a service has."""
    return containers.container(
        args.name,
        args.image,
        args.run_as_user,
        with_devices(containers.resources(args), args.place),
        [mount for _, mount in _mounts(args) if mount],
        command=command(args),
        args=list(args.arguments),
        env=environment(args.name, args.env, args.pod_env),
    )


def _spread(args: SecureServiceArgs, key: str) -> Manifest:
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": args.place.spread,
        "labelSelector": {"matchLabels": args.selector},
    }


def _mounts(args: SecureServiceArgs) -> list[tuple[Manifest, Manifest]]:
    """Each volume of the pod with its mount in the application's container.

    A mount is empty if the application does not mount the volume; a volume is empty if a claim template adds it.
    """
    mounts = [*containers.own_directories(args), *containers.shared_mounts(args)]
    mounts += [
        *volume_mounts(args),
        *config_mounts(args.owner, args.config),
        *ca_bundle_mounts(args.ca_bundle),
    ]
    if reaches_vault(args):
        # With injection only the agent has the token; without it the application logs in itself.
        mount = {
            "name": TOKEN_VOLUME,
            "mountPath": "/var/run/secrets/vault.hashicorp.com/serviceaccount",
            "readOnly": True,
        }
        mounts.append((vault_token(), {} if injected(args) else mount))
    mounts += own_secret_files(args)
    if args.kubernetes_api:
        mounts.append((api_token(), api_token_mount()))
    return mounts


def vault_token(mode: int = _OWNER_AND_GROUP_READ) -> Manifest:
    """The volume with the token by which the agent logs in to Vault. `mode` is that of the file.

    The group is that of a service's pods (`fsGroup`); without one, and with containers of several users, the file is
    root's.
    """
    token = {"audience": TOKEN_AUDIENCE, "expirationSeconds": TOKEN_TTL_SECONDS, "path": "token"}
    sources = [{"serviceAccountToken": token}]
    return {"name": TOKEN_VOLUME, "projected": {"defaultMode": mode, "sources": sources}}


def api_token_mount() -> Manifest:
    """Where a container has the token for the Kubernetes API, as every client looks for it."""
    return {"name": API_TOKEN_VOLUME, "mountPath": API_TOKEN_PATH, "readOnly": True}


def api_token(mode: int = _OWNER_AND_GROUP_READ) -> Manifest:
    """The volume with the token for the Kubernetes API, as Kubernetes itself would mount it, but for its `mode`.

    https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-token-volume
    """
    sources = [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_TTL_SECONDS, "path": "token"}},
        {"configMap": {"name": ROOT_AUTHORITY, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {
            "downwardAPI": {
                "items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]
            }
        },
    ]
    return {"name": API_TOKEN_VOLUME, "projected": {"defaultMode": mode, "sources": sources}}


def service_metadata(args: SecureServiceArgs) -> Manifest:
    """The metadata of the Service. A run waits for the workload only, whose pods are all that the Service selects.

    Waiting for the Service too takes ten more seconds, in which the provider lets endpoints settle
    (https://www.pulumi.com/registry/packages/kubernetes/installation-configuration/).
    """
    return {**metadata(args), "annotations": {"pulumi.com/skipAwait": "true"}}


def service_spec(args: SecureServiceArgs) -> Manifest:
    """The spec of a service's Service."""
    ports = [service_port(each.name, each.port, each.protocol) for each in args.served_ports]
    ports += vault_service_port(args)
    return {"type": "ClusterIP", "selector": args.selector, "ports": ports}


def disruption_budget_spec(args: SecureServiceArgs) -> Manifest:
    """The spec of the PodDisruptionBudget of a service with several replicas."""
    return {"maxUnavailable": 1, "selector": {"matchLabels": args.selector}}


def role_rules(args: SecureServiceArgs, *, cluster_wide: bool = False) -> list[Manifest]:
    """The rules of the service's Role, or of its ClusterRole."""
    return [
        {"apiGroups": list(rule.api_groups), "resources": list(rule.resources), "verbs": list(rule.verbs)}
        for rule in args.kubernetes_api
        if rule.cluster_wide == cluster_wide
    ]
