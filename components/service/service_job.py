"""`ServiceJob`: one job of a service, with its own identity and only the rights that its file declares."""

from collections.abc import Mapping
from typing import Any

import pulumi

from components.kube.manifest import of_kind
from components.kube.objects import KubernetesObject
from components.service.args.jobs import JobArgs
from components.service.args.service import SecureServiceArgs
from components.service.claims import claims
from components.service.copied_secrets import copied_secrets
from components.service.manifests.job import cron_job_spec, job_spec, workload_of
from components.service.manifests.metadata import metadata
from components.service.manifests.network_policy import network_policy_spec
from components.service.manifests.vault import uses_vault
from components.service.mesh_resources import mesh_resources
from components.service.vault_role import vault_role

# Pulumi waits a little longer than the job may take, to see how it ends.
_GRACE_SECONDS = 60


def run_resource(
    name: str, workload: SecureServiceArgs, annotations: Mapping[str, Any], opts: pulumi.ResourceOptions
) -> pulumi.Resource:
    """The CronJob of a program that ends, or its Job if it has no schedule; `opts` name what has to be there first."""
    meta = metadata(workload)
    if workload.run.schedule:
        meta = {**meta, **({"annotations": annotations} if annotations else {})}
        return KubernetesObject(name, of_kind("CronJob", metadata=meta, spec=cron_job_spec(workload)), opts)
    awaited = {**annotations, "pulumi.com/timeoutSeconds": str(workload.run.timeout + _GRACE_SECONDS)}
    meta = {**meta, "annotations": awaited}
    return KubernetesObject(name, of_kind("Job", metadata=meta, spec=job_spec(workload)), opts)


class ServiceJob(pulumi.ComponentResource):
    """One job of a service.

    Creates a ServiceAccount without a mounted token, a Job, or a CronJob if it has a schedule, a NetworkPolicy for its
    calls, and the claims of its own volumes; for secrets or a database a Vault policy and role for those only. `ready`
    holds the Job: resources that depend on it wait until it has succeeded, and fail if it has not by its timeout.
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
        """`args` are the service's; `opts` have parent and dependencies, `deleted_with` is for resources in Vault."""
        super().__init__("zero-trust:platform:ServiceJob", name, None, pulumi.ResourceOptions(parent=opts.parent))
        child = pulumi.ResourceOptions(parent=self, depends_on=opts.depends_on)
        workload = workload_of(args, job)
        meta = metadata(workload)
        controls: list[pulumi.Resource] = [
            KubernetesObject(name, of_kind("ServiceAccount", metadata=meta, automountServiceAccountToken=False), child)
        ]
        if uses_vault(workload):
            in_vault = pulumi.ResourceOptions(deleted_with=deleted_with)
            # The agent has ended before the job begins, so nobody renews its login.
            lasting = job.timeout if workload.databases else 0
            role = vault_role(name, workload, pulumi.ResourceOptions.merge(child, in_vault), lasting)
            controls += [*role, *copied_secrets(name, workload, child, role)]
        if args.platform.network_policies:
            spec = network_policy_spec(workload)
            controls.append(KubernetesObject(name, of_kind("NetworkPolicy", metadata=meta, spec=spec), child))
        controls += [*mesh_resources(name, workload, child), *claims(name, workload, child)]
        after = pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=controls))
        self.ready = [run_resource(name, workload, {}, after)]
        self.register_outputs({"name": workload.name, "namespace": workload.namespace})
