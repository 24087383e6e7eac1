"""Snapshots of Vault's raft storage: a CronJob beside Vault takes them, and keeps the newest ones on a volume.

A snapshot is encrypted as the storage is: by Vault's barrier, whose keys the seal's key encrypts. Whoever has the
volume and not that key has no secret. The job may take a snapshot and nothing else; nobody has a standing right to
restore one (docs/how-to/vault-recovery.md).
https://developer.hashicorp.com/vault/docs/commands/operator/raft#snapshot-save
"""

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob
from pulumi_kubernetes.core.v1 import PersistentVolumeClaim, ServiceAccount
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pulumi_vault import Policy
from pulumi_vault.kubernetes import AuthBackendRole

from components.service_vault import TOKEN_AUDIENCE
from components.vault_policy import SNAPSHOT_PATH, hcl
from components.vault_values import NAMESPACE, PORT, RELEASE

SNAPSHOTS = "vault-snapshots"
"""The policy, the role and the service account of whoever takes them, and the volume's claim."""
TOKEN_DIRECTORY = "/var/run/secrets/vault"  # noqa: S105 - where the token's file is
DIRECTORY = "/snapshots"
_HOME = "/home/snapshots"
_TLS = "/vault/tls"
_UID, _GID = 100, 1000
# The API server gives no shorter one.
_TOKEN_SECONDS = 600
_LOGIN_SECONDS = 300
_RUN_SECONDS = 1800

Manifest = dict[str, Any]


@dataclass(frozen=True)
class SnapshotArgs:
    """When a snapshot is taken (cron, UTC), by which image and program, how many stay and on what they are kept."""

    image: str
    schedule: str
    keep: int
    size: str
    program: str = "vault"
    storage_class: str = ""
    tls_secret: str = "vault-server-tls"  # noqa: S105 - the name of a Secret


def snapshot_policy() -> str:
    """The policy as Vault's HCL: it takes a snapshot."""
    return hcl([(SNAPSHOT_PATH, ("read",))])


def role_fields() -> dict[str, Any]:
    """The fields of the login's role: its token lives for one request, and for five minutes at most."""
    return {
        "bound_service_account_names": [SNAPSHOTS],
        "bound_service_account_namespaces": [NAMESPACE],
        "audience": TOKEN_AUDIENCE,
        "token_policies": [SNAPSHOTS],
        "token_no_default_policy": True,
        "token_ttl": _LOGIN_SECONDS,
        "token_max_ttl": _LOGIN_SECONDS,
        "token_num_uses": 1,
    }


def script(args: SnapshotArgs, auth_path: str) -> str:
    """What the pod runs in the volume's directory. The token goes from file to file, never through an argument."""
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
    """The pod: no right of its own, and a token that is for Vault alone."""
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
            # A standby would hand the request on, and a snapshot that is cut off there is none.
            {"name": "VAULT_ADDR", "value": f"https://{RELEASE}-active.{NAMESPACE}.svc:{PORT}"},
            # The name that the server's certificate has for everybody else.
            {"name": "VAULT_TLS_SERVER_NAME", "value": f"{RELEASE}.{NAMESPACE}.svc"},
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


def network_policy_spec() -> Manifest:
    """Nobody reaches the pod; it reaches name resolution and Vault's servers."""
    dns = {"podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}, **_namespace("kube-system")}
    server = {"matchLabels": {"app.kubernetes.io/name": RELEASE, "component": "server"}}
    return {
        "podSelector": {"matchLabels": _labels()},
        "policyTypes": ["Ingress", "Egress"],
        "egress": [
            {"to": [dns], "ports": [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]},
            {"to": [{"podSelector": server}], "ports": [{"port": PORT, "protocol": "TCP"}]},
        ],
    }


def claim_spec(args: SnapshotArgs) -> Manifest:
    """The claim of the volume."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": args.size}}}
    return {**spec, "storageClassName": args.storage_class} if args.storage_class else spec


def _labels() -> dict[str, str]:
    return {"app.kubernetes.io/name": SNAPSHOTS}


def _namespace(name: str) -> Manifest:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def snapshots(
    args: SnapshotArgs,
    auth_path: str,
    in_cluster: pulumi.ResourceOptions,
    in_vault: pulumi.ResourceOptions,
    keep: bool | None,
) -> list[pulumi.Resource]:
    """Create all of it; the volume's claim is protected and retained while `keep` is set."""
    # The SDK's types spell the keys of the same schema in another case.
    metadata: Any = {"name": SNAPSHOTS, "namespace": NAMESPACE, "labels": _labels()}
    network: Any = network_policy_spec()
    claimed: Any = claim_spec(args)
    # Many a class makes the volume once there is a pod for it, which is hours from here.
    unawaited: Any = {**metadata, "annotations": {"pulumi.com/skipAwait": "true"}}
    runs: Any = cron_job_spec(args, auth_path)
    policy = Policy(SNAPSHOTS, name=SNAPSHOTS, policy=snapshot_policy(), opts=in_vault)
    after = pulumi.ResourceOptions.merge(in_vault, pulumi.ResourceOptions(depends_on=[policy]))
    role = AuthBackendRole(SNAPSHOTS, backend=auth_path, role_name=SNAPSHOTS, **role_fields(), opts=after)
    account = ServiceAccount(SNAPSHOTS, metadata=metadata, automount_service_account_token=False, opts=in_cluster)
    closed = NetworkPolicy(SNAPSHOTS, metadata=metadata, spec=network, opts=in_cluster)
    kept = pulumi.ResourceOptions(protect=keep, retain_on_delete=keep)
    claim = PersistentVolumeClaim(
        SNAPSHOTS,
        metadata=unawaited,
        spec=claimed,
        opts=pulumi.ResourceOptions.merge(in_cluster, kept),
    )
    before = [role, account, closed, claim]
    last = pulumi.ResourceOptions.merge(in_cluster, pulumi.ResourceOptions(depends_on=before))
    return [*before, CronJob(SNAPSHOTS, metadata=metadata, spec=runs, opts=last)]
