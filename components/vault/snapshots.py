"""Snapshots of Vault's raft storage: a CronJob in Vault's namespace takes them and keeps the newest on a volume.

A snapshot is encrypted like the storage: by Vault's barrier, whose keys the seal's key encrypts. The volume without
that key reveals no secret. The job can take a snapshot and nothing else; nobody has a permanent right to restore one
(docs/how-to/vault-recovery.md).
https://developer.hashicorp.com/vault/docs/commands/operator/raft#snapshot-save
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import pulumi
from pulumi_vault import Policy
from pulumi_vault.kubernetes import AuthBackendRole

from components.config.vault import SnapshotCount
from components.kube.cluster_dns import ClusterDns
from components.kube.manifest import Manifest, of_kind, tcp_rule
from components.kube.names import TOKEN_AUDIENCE, VAULT_NAMESPACE, VAULT_PORT, VAULT_RELEASE, VAULT_TLS_SECRET
from components.kube.objects import KubernetesObject
from components.schema.checked import check_fields
from components.schema.fields import Image, ObjectName, Size
from components.schema.schedule import Schedule
from components.vault.policy import SNAPSHOT_PATH, hcl

SNAPSHOTS = "vault-snapshots"
"""The name of the CronJob, its service account, policy and role, and of the volume's claim."""
TOKEN_DIRECTORY = "/var/run/secrets/vault"  # noqa: S105 - where the token's file is
DIRECTORY = "/snapshots"
_HOME = "/home/snapshots"
_TLS = "/vault/tls"
_UID, _GID = 100, 1000
# The shortest life of a token that the API server issues.
_TOKEN_SECONDS = 600
_LOGIN_SECONDS = 300
_RUN_SECONDS = 1800


@dataclass(frozen=True)
class SnapshotArgs:
    """The schedule of snapshots (cron, UTC), the image and its program, how many are kept, and the volume."""

    image: Image
    schedule: Schedule
    keep: SnapshotCount
    size: Size
    program: Literal["vault", "bao"] = "vault"
    storage_class: ObjectName = ""
    tls_secret: ObjectName = VAULT_TLS_SECRET
    dns: ClusterDns = field(default_factory=ClusterDns)

    def __post_init__(self) -> None:
        check_fields(self)


def snapshot_policy() -> str:
    """The job's policy as Vault's HCL: it may take a snapshot."""
    return hcl([(SNAPSHOT_PATH, ("read",))])


def role_fields() -> dict[str, Any]:
    """The fields of the login's role: the token is for one request, and lives for five minutes at most."""
    return {
        "bound_service_account_names": [SNAPSHOTS],
        "bound_service_account_namespaces": [VAULT_NAMESPACE],
        "audience": TOKEN_AUDIENCE,
        "token_policies": [SNAPSHOTS],
        "token_no_default_policy": True,
        "token_ttl": _LOGIN_SECONDS,
        "token_max_ttl": _LOGIN_SECONDS,
        "token_num_uses": 1,
    }


def script(args: SnapshotArgs, auth_path: str) -> str:
    """The shell script of the pod, run in the volume's directory. No token is ever an argument of a command."""
    login = f"auth/{auth_path}/login role={SNAPSHOTS} jwt=@{TOKEN_DIRECTORY}/token"
    return f"""\
set -eu
umask 077
{args.program} write -field=token {login} > "$HOME/.vault-token"
rm -f .new
{args.program} operator raft snapshot save .new
mv .new "vault-$(date -u +%Y%m%dT%H%M%SZ).snap"
ls -r vault-*.snap | tail -n +{args.keep + 1} | xargs rm -f
"""


def cron_job_spec(args: SnapshotArgs, auth_path: str) -> Manifest:
    """The spec of the CronJob, whose runs never overlap."""
    pod = {"metadata": {"labels": _labels()}, "spec": pod_spec(args, auth_path)}
    return {
        "schedule": args.schedule,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"spec": {"backoffLimit": 2, "activeDeadlineSeconds": _RUN_SECONDS, "template": pod}},
    }


def pod_spec(args: SnapshotArgs, auth_path: str) -> Manifest:
    """The spec of the pod: no token for the API server, and one for Vault."""
    token = {"audience": TOKEN_AUDIENCE, "expirationSeconds": _TOKEN_SECONDS, "path": "token"}
    authority = {"secretName": args.tls_secret, "items": [{"key": "ca.crt", "path": "ca.crt"}], "defaultMode": 0o440}
    return {
        "serviceAccountName": SNAPSHOTS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _UID,
            "runAsGroup": _GID,
            "fsGroup": _GID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(args, auth_path)],
        "volumes": [
            {"name": "snapshots", "persistentVolumeClaim": {"claimName": SNAPSHOTS}},
            {"name": "home", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "tls", "secret": authority},
            {
                "name": "vault-token",
                "projected": {"defaultMode": 0o440, "sources": [{"serviceAccountToken": token}]},
            },
        ],
    }


def _container(args: SnapshotArgs, auth_path: str) -> Manifest:
    return {
        "name": "snapshot",
        "image": args.image,
        "command": ["/bin/sh", "-c", script(args, auth_path)],
        "workingDir": DIRECTORY,
        "env": [
            # The active server, since a snapshot through a standby may be cut off.
            {"name": "VAULT_ADDR", "value": f"https://{VAULT_RELEASE}-active.{VAULT_NAMESPACE}.svc:{VAULT_PORT}"},
            # The server's certificate does not have the name of the active server's Service.
            {"name": "VAULT_TLS_SERVER_NAME", "value": f"{VAULT_RELEASE}.{VAULT_NAMESPACE}.svc"},
            {"name": "VAULT_CACERT", "value": f"{_TLS}/ca.crt"},
            {"name": "HOME", "value": _HOME},
        ],
        "resources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "snapshots", "mountPath": DIRECTORY},
            {"name": "home", "mountPath": _HOME},
            {"name": "tls", "mountPath": _TLS, "readOnly": True},
            {"name": "vault-token", "mountPath": TOKEN_DIRECTORY, "readOnly": True},
        ],
    }


def network_policy_spec(dns: ClusterDns) -> Manifest:
    """The pod's NetworkPolicy: nothing may connect to it; it may connect to DNS and to Vault's servers."""
    server = {"matchLabels": {"app.kubernetes.io/name": VAULT_RELEASE, "component": "server"}}
    return {
        "podSelector": {"matchLabels": _labels()},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [
            dns.rule(),
            tcp_rule("to", [{"podSelector": server}], [VAULT_PORT]),
        ],
    }


def claim_spec(args: SnapshotArgs) -> Manifest:
    """The claim of the volume."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": args.size}}}
    return {**spec, "storageClassName": args.storage_class} if args.storage_class else spec


def _labels() -> dict[str, str]:
    return {"app.kubernetes.io/name": SNAPSHOTS}


def snapshots(
    args: SnapshotArgs,
    auth_path: str,
    in_cluster: pulumi.ResourceOptions,
    in_vault: pulumi.ResourceOptions,
    keep: bool | None,
) -> list[pulumi.Resource]:
    """Create the CronJob and all that it needs; the volume's claim is protected and retained while `keep` is set."""
    metadata: Manifest = {"name": SNAPSHOTS, "namespace": VAULT_NAMESPACE, "labels": _labels()}
    # Many storage classes create a volume only for its first pod, which may be hours later.
    unawaited = {**metadata, "annotations": {"pulumi.com/skipAwait": "true"}}
    policy = Policy(SNAPSHOTS, name=SNAPSHOTS, policy=snapshot_policy(), opts=in_vault)
    after = pulumi.ResourceOptions.merge(in_vault, pulumi.ResourceOptions(depends_on=[policy]))
    role = AuthBackendRole(SNAPSHOTS, backend=auth_path, role_name=SNAPSHOTS, **role_fields(), opts=after)
    account = KubernetesObject(
        SNAPSHOTS, of_kind("ServiceAccount", metadata=metadata, automountServiceAccountToken=False), in_cluster
    )
    closed = network_policy_spec(args.dns)
    network = KubernetesObject(SNAPSHOTS, of_kind("NetworkPolicy", metadata=metadata, spec=closed), in_cluster)
    kept = pulumi.ResourceOptions(protect=keep, retain_on_delete=keep)
    claim = KubernetesObject(
        SNAPSHOTS,
        of_kind("PersistentVolumeClaim", metadata=unawaited, spec=claim_spec(args)),
        pulumi.ResourceOptions.merge(in_cluster, kept),
    )
    before = [role, account, network, claim]
    last = pulumi.ResourceOptions.merge(in_cluster, pulumi.ResourceOptions(depends_on=before))
    cron_job = KubernetesObject(
        SNAPSHOTS, of_kind("CronJob", metadata=metadata, spec=cron_job_spec(args, auth_path)), last
    )
    return [*before, cron_job]
