"""`SecureService`: an application on the platform, with nothing trusted that its file does not declare."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pulumi
from pulumi_vault.database import SecretBackendRole

from components.config.commit_date import commit_date
from components.kube.bound_role import bound_role
from components.kube.manifest import account_subject, of_kind
from components.kube.names import ANNOTATION
from components.kube.objects import KubernetesObject
from components.schema.problem import ConfigError, FieldError
from components.service.args.document import Platform
from components.service.args.service import SecureServiceArgs
from components.service.args.team import team_args
from components.service.catalogue import vault_provider
from components.service.claims import claims
from components.service.copied_secrets import copied_secrets
from components.service.exception_objects import exception_annotations, exception_objects
from components.service.file.jobs import job_name
from components.service.file.storage import own_config_name
from components.service.kept_secrets import first_values, kept_secrets
from components.service.manifests import route, vault, workload
from components.service.manifests.databases.statements import creation_statements, database_roles, revocation_statements
from components.service.manifests.exceptions import exception_manifest
from components.service.manifests.external_secrets import RULE as COPIES_RULE
from components.service.manifests.external_secrets import copies_exception
from components.service.manifests.peers import peers_service
from components.service.manifests.scaling import autoscaler_spec
from components.service.manifests.secret_env import secret_variables
from components.service.manifests.storage import config_name
from components.service.network_resources import network_resources
from components.service.route_resources import route_resources
from components.service.service_job import ServiceJob, run_resource
from components.service.vault_role import vault_role


class SecureService(pulumi.ComponentResource):
    """One application and everything that follows from its file.

    It creates:

    - a ServiceAccount without a mounted token, a Service if it listens, and a Deployment, or a StatefulSet if each
      replica has a volume, or a Job or CronJob if its program ends; an autoscaler, a ConfigMap and shared claims if
      declared
    - for secrets a Vault policy and role, the first values, and the injector's annotations; with External Secrets a
      SecretStore and ExternalSecrets instead of the annotations; without Vault an annotated Kubernetes Secret
    - for each database the Vault role that creates its users, and that of the owner if a job is one
    - for calls a NetworkPolicy and an AuthorizationPolicy
    - for the mesh a Sidecar, and what outside hosts, users' tokens and plaintext ports need
    - for a public host a route; for rights on the Kubernetes API a Role in its namespace, and a ClusterRole to read
      across the cluster
    - a `ServiceJob` for each job; those that run once must succeed before the new pods start

    Pass the providers of Kubernetes and Vault in `opts.providers`, and the namespace in `opts.depends_on`. `owners` are
    the services whose secrets it reads. Raises `FieldError` for one that is not among them, on a stack without Vault.
    """

    ready: list[pulumi.Resource]
    """The resources that must be ready before the service is up."""
    kept: list[pulumi.Resource]
    """The resources that keep its own secrets, which their readers wait for."""
    values: Mapping[str, pulumi.Output[Mapping[str, str]]]
    """The first values of its own secrets, by their paths."""

    def __init__(
        self,
        name: str,
        args: SecureServiceArgs,
        opts: pulumi.ResourceOptions | None = None,
        owners: Sequence["SecureService"] = (),
    ) -> None:
        super().__init__("zero-trust:platform:SecureService", name, None, opts)
        self._name = name
        self._args = args
        self._owners = owners
        self.kept = []
        self.values = {args.secret_path(secret): first_values(name, secret, self) for secret in args.own_secrets}
        # Pulumi passes `depends_on` and `deleted_with` to no children, and these need the namespace, or Vault.
        self._child = pulumi.ResourceOptions(parent=self, depends_on=opts.depends_on if opts else None)
        self._in_vault = pulumi.ResourceOptions.merge(
            self._child, pulumi.ResourceOptions(deleted_with=opts.deleted_with if opts else None)
        )
        exceptions = self._exceptions()
        controls = [
            *self._identity(),
            *self._secrets(),
            *network_resources(self._name, self._args, self._child),
            *self._storage(),
            *exceptions,
        ]
        jobs = self._jobs(opts, controls)
        pods = self._pods(exception_annotations(exceptions), self._after([*controls, *jobs]))
        self.ready = [pods, *self._services(), *self._availability(), *route_resources(name, args, self._child)]
        self.register_outputs({"name": args.name, "namespace": args.namespace, "url": route.public_url(args)})

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        platform: Platform,
        opts: pulumi.ResourceOptions | None = None,
        as_of: date | None = None,
    ) -> "SecureService":
        """The service of a file, in a team's own stack on a platform that is there.

        Without a provider of Vault among `opts.providers` it logs in as the team's deployer. What has a last day is
        judged by `as_of`, or else by the date of the checked-out commit. Raises `pulumi.RunError` with every problem of
        the file, before anything is created.
        """
        file = Path(path)
        try:
            args = team_args(file, platform, lambda: as_of or commit_date(file.resolve().parent))
        except ConfigError as error:
            raise pulumi.RunError(str(error)) from error
        return cls.of_team(args, platform, opts)

    @classmethod
    def of_team(
        cls, args: SecureServiceArgs, platform: Platform, opts: pulumi.ResourceOptions | None = None
    ) -> "SecureService":
        """A team's service, with a login to Vault of its own unless `opts.providers` has one."""
        options = opts or pulumi.ResourceOptions()
        if vault.uses_vault(args) and not has_provider(options, "vault"):
            provider = vault_provider(f"{args.key}.vault", platform.vault, options.parent)
            options = pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(providers=[provider]))
        return cls(args.key, args, options)

    def value(self, path: str, field: str) -> pulumi.Output[str] | None:
        """The first value of a field that it generates, a secret; `None` without a path."""
        return self.values[path].apply(lambda fields: fields[field]) if path else None

    def _after(self, resources: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=list(resources)))

    def _pods(self, annotations: Mapping[str, Any], opts: pulumi.ResourceOptions) -> pulumi.Resource:
        """What runs the pods: for a program that ends a Job or a CronJob."""
        args = self._args
        if args.ends:
            return run_resource(self._name, args, annotations, opts)
        metadata = {**workload.metadata(args), **({"annotations": annotations} if annotations else {})}
        kind, spec = workload.workload_kind(args), workload.workload_spec(args)
        if args.autoscaling.maximum:
            # Without the number, the API server would take one replica for as long as the autoscaler needs to see it.
            opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["spec.replicas"]))
        return KubernetesObject(self._name, of_kind(kind, metadata=metadata, spec=spec), opts)

    def _identity(self) -> list[pulumi.Resource]:
        args, metadata = self._args, workload.metadata(self._args)
        account = KubernetesObject(
            self._name, of_kind("ServiceAccount", metadata=metadata, automountServiceAccountToken=False), self._child
        )
        subject = account_subject(args.name, args.namespace)
        rights = list[pulumi.Resource]()
        if rules := workload.role_rules(args):
            rights += bound_role(self._name, metadata, rules, [subject], self._child)
        if rules := workload.role_rules(args, cluster_wide=True):
            wide = {"name": args.key, "labels": dict(args.labels)}
            rights += bound_role(self._name, wide, rules, [subject], self._child)
        return [account, *rights]

    def _secrets(self) -> list[pulumi.Resource]:
        args = self._args
        if not vault.uses_vault(args):
            return [self._kubernetes_secret()] if args.secrets else []
        self.kept = kept_secrets(self._name, args, self.values, self._in_vault)
        of_others = [resource for owner in self._owners for resource in owner.kept]
        # What ends has no agent beside it that renews its login.
        lasting = args.run.timeout if args.databases else 0
        in_vault = [*vault_role(self._name, args, self._in_vault, lasting), *self.kept, *of_others]
        return [*in_vault, *copied_secrets(self._name, args, self._child, in_vault), *self._databases()]

    def _databases(self) -> list[pulumi.Resource]:
        """The roles of the service's users in databases, and those of the owners that its jobs are."""
        args, roles = self._args, list[pulumi.Resource]()
        for database in database_roles(args):
            role = SecretBackendRole(
                f"{self._name}{database.role(args.key).removeprefix(args.key)}",
                backend=args.platform.vault.database_mount,
                name=database.role(args.key),
                db_name=database.connection,
                creation_statements=creation_statements(database),
                revocation_statements=revocation_statements(database) or None,
                default_ttl=database.ttl,
                max_ttl=database.max_ttl,
                opts=self._in_vault,
            )
            roles.append(role)
        return roles

    def _kubernetes_secret(self) -> KubernetesObject:
        values = {path: value for service in (*self._owners, self) for path, value in service.values.items()}
        paths = {secret.name: self._args.secret_path(secret) for secret in self._args.secrets}
        if missing := next((path for path in paths.values() if path not in values), ""):
            raise FieldError(f"{self._args.key}.secrets", "its owner is not among owners", missing, sorted(values))
        annotations = {f"{ANNOTATION}/insecure": "kubernetes-secret"}
        metadata = {**workload.metadata(self._args), "annotations": annotations}
        files = {
            secret.file: values[paths[secret.name]].apply(
                lambda fields, template=secret.template: vault.render_file(template, fields)
            )
            for secret in self._args.secrets
        }
        for each in secret_variables(self._args):
            value = values[paths[each.secret]].apply(lambda fields, field=each.field: fields[field])
            # With the line end that the agent writes.
            files[each.file] = pulumi.Output.concat(value, "\n")
        return KubernetesObject(
            self._name, of_kind("Secret", metadata=metadata, type="Opaque", stringData=files), self._child
        )

    def _exceptions(self) -> list[pulumi.Resource]:
        args = self._args
        jobs = [job_name(args.name, job.name) for job in args.jobs]
        manifests = {
            exception.rule: exception_manifest(args.namespace, args.name, exception, args.platform.layers.kyverno, jobs)
            for exception in args.exceptions
        }
        if manifest := copies_exception(args):
            manifests[COPIES_RULE] = manifest
        return exception_objects(self._name, manifests, self._child)

    def _services(self) -> list[pulumi.Resource]:
        args, services = self._args, list[pulumi.Resource]()
        if args.listens:
            metadata, spec = workload.service_metadata(args), workload.service_spec(args)
            services.append(KubernetesObject(self._name, of_kind("Service", metadata=metadata, spec=spec), self._child))
        if manifest := peers_service(args):
            # The pods wait for each other, and Pulumi for no endpoint of a headless Service.
            services.append(KubernetesObject(f"{self._name}.peers", of_kind("Service", **manifest), self._child))
        return services

    def _availability(self) -> list[pulumi.Resource]:
        args, resources = self._args, list[pulumi.Resource]()
        metadata = workload.metadata(args)
        if args.smallest > 1:
            spec = workload.disruption_budget_spec(args)
            resources.append(
                KubernetesObject(self._name, of_kind("PodDisruptionBudget", metadata=metadata, spec=spec), self._child)
            )
        if args.autoscaling.maximum:
            spec = autoscaler_spec(workload.workload_kind(args), args.name, args.autoscaling)
            resources.append(
                KubernetesObject(
                    self._name, of_kind("HorizontalPodAutoscaler", metadata=metadata, spec=spec), self._child
                )
            )
        return resources

    def _storage(self) -> list[pulumi.Resource]:
        args, resources = self._args, list[pulumi.Resource]()
        metadata = workload.metadata(args)
        if args.config.path:
            config_metadata = {**metadata, "name": config_name(args.name)}
            resources.append(
                KubernetesObject(
                    self._name, of_kind("ConfigMap", metadata=config_metadata, data=args.config.files), self._child
                )
            )
        for each in args.containers:
            if each.config.path:
                own = {**metadata, "name": own_config_name(args.name, each.name)}
                config_map = KubernetesObject(
                    f"{self._name}.{each.name}", of_kind("ConfigMap", metadata=own, data=each.config.files), self._child
                )
                resources.append(config_map)
        resources += claims(self._name, args, self._child)
        return resources

    def _jobs(self, opts: pulumi.ResourceOptions | None, controls: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
        """The jobs; those that run once must succeed before the new pods start."""
        deleted_with = opts.deleted_with if opts else None
        jobs = [
            ServiceJob(f"{self._name}.{job.name}", self._args, job, self._after(controls), deleted_with)
            for job in self._args.jobs
        ]
        return [resource for job in jobs for resource in job.ready]


def has_provider(opts: pulumi.ResourceOptions, package: str) -> bool:
    """Whether the options name a provider of a package."""
    given = opts.providers or ()
    return any(each.package == package for each in (given.values() if isinstance(given, Mapping) else given))
