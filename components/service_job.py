"""A job of a service: a workload that ends, under an identity of its own.

Jobs: https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

from typing import Any

import pulumi
from pulumi_kubernetes.batch.v1 import CronJob, Job
from pulumi_kubernetes.core.v1 import ServiceAccount
from pulumi_kubernetes.networking.v1 import NetworkPolicy

from components.custom_object import custom_object
from components.service_args import SecureServiceArgs, metadata
from components.service_database import DatabaseArgs
from components.service_external_secrets import copied_secrets
from components.service_jobs import JobArgs, job_name
from components.service_network import Manifest, mesh_objects, network_policy_spec
from components.service_vault import reaches_vault, uses_vault
from components.service_vault_role import vault_role
from components.service_workload import container, pod, pod_metadata

_COMPONENT = "job"
# Pulumi has to wait a little longer than the job may take, or it would not see how it ended.
_GRACE_SECONDS = 60


def workload_of(args: SecureServiceArgs, job: JobArgs) -> SecureServiceArgs:
    """A job as a service that nobody calls, has no door, and may do what the job asks for alone.

    Every field is named: what the service may do beside these, the job may not.
    """
    return SecureServiceArgs(
        name=job_name(args.name, job.name),
        namespace=args.namespace,
        team=args.team,
        image=args.image,
        port=args.port,
        platform=args.platform,
        protocol="tcp",
        calls=[peer for peer in args.calls if f"{peer.namespace}/{peer.name}" in job.calls],
        egress=[outside for outside in args.egress if outside.host in job.egress],
        secrets=[secret for secret in args.secrets if secret.name in job.secrets],
        database=args.database if job.database else DatabaseArgs(),
        replicas=1,
        cpu_request=job.cpu_request,
        memory_request=job.memory_request,
        cpu_limit=job.cpu_limit,
        memory_limit=job.memory_limit,
        run_as_user=args.run_as_user,
        writable=args.writable,
        command=job.command,
        arguments=job.arguments,
        env=args.env,
        config=args.config,
        ca_bundle=args.ca_bundle,
        job_of=args.name,
        component=_COMPONENT,
        cost_center=args.cost_center,
    )


def job_spec(args: SecureServiceArgs, job: JobArgs) -> Manifest:
    """The spec of a Job, or of the jobs that a CronJob makes."""
    made = workload_of(args, job)
    spec = {**pod(made), "restartPolicy": "Never", "containers": [container(made)]}
    return {
        "backoffLimit": job.retries,
        "activeDeadlineSeconds": job.timeout,
        "template": {"metadata": _ending(pod_metadata(made), made), "spec": spec},
    }


def _ending(meta: Manifest, made: SecureServiceArgs) -> Manifest:
    """A pod's metadata with what lets the pod end: neither the agent nor the proxy goes on without the application."""
    annotations = dict(meta.get("annotations", {}))
    if reaches_vault(made) and made.platform.injection:
        annotations["vault.hashicorp.com/agent-pre-populate-only"] = "true"
    if made.platform.sidecars:
        annotations["sidecar.istio.io/nativeSidecar"] = "true"
    return {**meta, "annotations": annotations} if annotations else meta


def cron_job_spec(args: SecureServiceArgs, job: JobArgs) -> Manifest:
    """The spec of a CronJob, whose runs never overlap."""
    return {
        "schedule": job.schedule,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"metadata": {"labels": dict(workload_of(args, job).labels)}, "spec": job_spec(args, job)},
    }


def _any(manifest: Manifest) -> Any:
    """A manifest as the SDK takes it: its types spell the keys of the same schema in another case."""
    return manifest


def _runs(name: str, args: SecureServiceArgs, job: JobArgs, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    meta = metadata(workload_of(args, job))
    if job.schedule:
        return CronJob(name, metadata=_any(meta), spec=_any(cron_job_spec(args, job)), opts=opts)
    waits = {"pulumi.com/timeoutSeconds": str(job.timeout + _GRACE_SECONDS)}
    return Job(name, metadata=_any({**meta, "annotations": waits}), spec=_any(job_spec(args, job)), opts=opts)


class ServiceJob(pulumi.ComponentResource):
    """One job of a service.

    Creates a ServiceAccount without a mounted token and a Job, or a CronJob when it has a schedule; for secrets or a
    database a Vault policy and role that read those alone; a NetworkPolicy with the calls that it makes. `ready` is the
    Job: whatever depends on it waits until it has succeeded, and fails when it has not by its timeout.
    """

    ready: list[pulumi.Resource]

    def __init__(
        self,
        name: str,
        args: SecureServiceArgs,
        job: JobArgs,
        opts: pulumi.ResourceOptions,
        deleted_with: pulumi.Resource | None = None,
    ) -> None:
        """`args` are those of the service; `opts` its children's, and what is in Vault goes with `deleted_with`."""
        super().__init__("zero-trust:platform:ServiceJob", name, None, pulumi.ResourceOptions(parent=opts.parent))
        child = pulumi.ResourceOptions(parent=self, depends_on=opts.depends_on)
        made = workload_of(args, job)
        controls: list[pulumi.Resource] = [
            ServiceAccount(name, metadata=_any(metadata(made)), automount_service_account_token=False, opts=child)
        ]
        if uses_vault(made):
            in_vault = pulumi.ResourceOptions(deleted_with=deleted_with)
            role = vault_role(name, made, pulumi.ResourceOptions.merge(child, in_vault))
            controls += [*role, *copied_secrets(name, made, child, role)]
        if args.platform.network_policies:
            spec = network_policy_spec(made)
            controls.append(NetworkPolicy(name, metadata=_any(metadata(made)), spec=_any(spec), opts=child))
        for mesh_object in mesh_objects(made):
            suffix = f".{mesh_object['spec']['hosts'][0]}" if mesh_object["kind"] == "ServiceEntry" else ""
            controls.append(custom_object(f"{name}.{mesh_object['kind'].lower()}{suffix}", mesh_object, child))
        after = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=controls))
        self.ready = [_runs(name, args, job, after)]
        self.register_outputs({"name": made.name, "namespace": made.namespace})
