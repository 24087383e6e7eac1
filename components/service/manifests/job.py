"""A program that ends, as a Job or a CronJob: one of a service's jobs, or a service that is such a program itself.

https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

from dataclasses import replace

from components.kube.manifest import Manifest
from components.service.args.database import DatabaseArgs
from components.service.args.jobs import JobArgs
from components.service.args.service import SecureServiceArgs
from components.service.args.storage import VolumeArgs
from components.service.file.jobs import job_name
from components.service.file.storage import claim_name
from components.service.manifests.patch import patched
from components.service.manifests.vault import injected
from components.service.manifests.workload import container, pod, pod_metadata

_COMPONENT = "job"


def workload_of(args: SecureServiceArgs, job: JobArgs) -> SecureServiceArgs:
    """The arguments of a job's pod: those of a service without callers or a public host, with the job's own rights.

    Each field is listed, so that a job gets no other right of its service.
    """
    return SecureServiceArgs(
        name=job_name(args.name, job.name),
        namespace=args.namespace,
        team=args.team,
        image=args.image,
        port=0,
        platform=args.platform,
        protocol="tcp",
        calls=[peer for peer in args.calls if peer.called_as in job.calls],
        egress=[outside for outside in args.egress if outside.host in job.egress],
        secrets=[secret for secret in args.secrets if secret.name in job.secrets],
        databases=_databases(args, job),
        replicas=1,
        cpu_request=job.cpu_request,
        memory_request=job.memory_request,
        cpu_limit=job.cpu_limit,
        memory_limit=job.memory_limit,
        disk_request=job.disk_request,
        disk_limit=job.disk_limit,
        placement=job.placement,
        run_as_user=args.run_as_user,
        writable=args.writable,
        writable_copies=args.writable_copies,
        command=job.command,
        arguments=job.arguments,
        env=args.env,
        pod_env=args.pod_env,
        secret_env=args.secret_env,
        config=args.config,
        volumes=_volumes(args, job),
        ca_bundle=args.ca_bundle,
        run=job.run,
        job_of=args.name,
        component=_COMPONENT,
        cost_center=args.cost_center,
    )


def workloads_of(args: SecureServiceArgs) -> list[SecureServiceArgs]:
    """The arguments of the service itself, and of each of its jobs."""
    return [args, *(workload_of(args, job) for job in args.jobs)]


def _volumes(args: SecureServiceArgs, job: JobArgs) -> list[VolumeArgs]:
    of_service = [
        replace(volume, claim=claim_name(args.name, volume.name), read_only=volume.name in job.reads)
        for volume in args.volumes
        if volume.name in (*job.reads, *job.writes)
    ]
    return [*of_service, *job.own_volumes]


def _databases(args: SecureServiceArgs, job: JobArgs) -> list[DatabaseArgs]:
    return [
        replace(database, as_owner=database.name in job.owns)
        for database in args.databases
        if database.name in (*job.databases, *job.owns)
    ]


def job_spec(workload: SecureServiceArgs) -> Manifest:
    """The spec of a Job, or of the jobs that a CronJob creates, for a program that ends."""
    spec = {**pod(workload), "restartPolicy": "Never", "containers": [container(workload)]}
    return {
        "backoffLimit": workload.run.retries,
        "activeDeadlineSeconds": workload.run.timeout,
        "template": patched({"metadata": _job_pod_metadata(workload), "spec": spec}, workload.patch),
    }


def _job_pod_metadata(workload: SecureServiceArgs) -> Manifest:
    """The metadata of a job's pod: its annotations stop agent and proxy with the application, so that the pod ends."""
    meta = pod_metadata(workload)
    annotations = dict(meta.get("annotations", {}))
    if injected(workload):
        annotations["vault.hashicorp.com/agent-pre-populate-only"] = "true"
    if workload.platform.mesh.sidecars:
        annotations["sidecar.istio.io/nativeSidecar"] = "true"
    return {**meta, "annotations": annotations} if annotations else meta


def cron_job_spec(workload: SecureServiceArgs) -> Manifest:
    """The spec of a CronJob, whose runs never overlap."""
    return {
        "schedule": workload.run.schedule,
        "timeZone": "Etc/UTC",
        "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {"metadata": {"labels": dict(workload.labels)}, "spec": job_spec(workload)},
    }
