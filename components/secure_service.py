"""`SecureService`: an application on the platform, with nothing trusted that its file does not declare."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.apps.v1 import Deployment, StatefulSet
from pulumi_kubernetes.autoscaling.v2 import HorizontalPodAutoscaler
from pulumi_kubernetes.core.v1 import ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount
from pulumi_kubernetes.networking.v1 import Ingress, NetworkPolicy
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget
from pulumi_kubernetes.rbac.v1 import Role, RoleBinding
from pulumi_random import RandomPassword
from pulumi_vault.database import SecretBackendRole
from pulumi_vault.kv import SecretV2

from components import service_network as network
from components import service_route as route
from components import service_vault as vault
from components import service_workload as workload
from components.custom_object import custom_object
from components.policy_exceptions import ANNOTATION, exception_manifest
from components.service_args import SecretArgs, SecureServiceArgs
from components.service_calls import authorization_policy
from components.service_database import creation_statements, revocation_statements
from components.service_external_secrets import RULE as COPIES_RULE
from components.service_external_secrets import copied_secrets, copies_exception
from components.service_job import ServiceJob
from components.service_jobs import job_name
from components.service_scaling import autoscaler_spec
from components.service_storage import claim_name, claim_spec, config_name
from components.service_vault_role import vault_role

GENERATED_LENGTH = 32
# Kyverno writes a new exception into the native policy, and the API server reads that one, each within a second or two.
SETTLE_SECONDS = 5


def _typed(manifest: network.Manifest) -> Any:
    """A manifest as the SDK takes it: its types spell the keys of the same schema in another case."""
    return manifest


def _excepted(exceptions: Sequence[pulumi.Resource]) -> dict[str, Any]:
    """The annotation that names the exceptions a Deployment lives by.

    The ids of new ones are unknown to a preview, which so asks the API server nothing that it would refuse today.
    """
    if not exceptions:
        return {}
    ids = pulumi.Output.all(*(cast("pulumi.CustomResource", exception).id for exception in exceptions))
    return {"annotations": {f"{ANNOTATION}/exceptions": ids.apply(", ".join)}}


async def settle(_: pulumi.ResourceHookArgs) -> None:
    """Wait until a new exception is in force: nothing in the cluster says when it is."""
    await asyncio.sleep(SETTLE_SECONDS)


class SecureService(pulumi.ComponentResource):
    """One application and everything that its declaration implies.

    Creates a ServiceAccount without a mounted token, a Service, and a Deployment or, where each replica keeps a volume,
    a StatefulSet; the autoscaler, ConfigMap and shared claims that it asks for, and a `ServiceJob` for each job, those
    that run once before the new pods; for secrets a Vault policy and role,
    the first values and the injector's annotations (a marked Kubernetes Secret on a stack without Vault; a SecretStore
    and an ExternalSecret for each where those deliver); for a
    database the Vault role that makes its users, and the policy and annotations to get one; for calls a
    NetworkPolicy and an AuthorizationPolicy; for the mesh a Sidecar, and what its outside hosts, its users' tokens and
    its clear-text ports need; for a public host a route; for rights on the API a Role in its namespace.
    The providers of Kubernetes and Vault come with `opts.providers`, the namespace with `opts.depends_on`.
    """

    ready: list[pulumi.Resource]
    """What must stand before the service is up."""

    def __init__(self, name: str, args: SecureServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:SecureService", name, None, opts)
        self._name = name
        self._args = args
        # Pulumi hands neither on to children, and each of them lives in a namespace the component does not create.
        self._child = pulumi.ResourceOptions(parent=self, depends_on=opts.depends_on if opts else None)
        self._in_vault = pulumi.ResourceOptions.merge(
            self._child, pulumi.ResourceOptions(deleted_with=opts.deleted_with if opts else None)
        )
        exceptions = self._exceptions()
        controls = [*self._identity(), *self._secrets(), *self._network(), *self._storage(), *exceptions]
        jobs = self._jobs(opts, controls)
        kind = StatefulSet if args.stateful else Deployment
        pods = kind(
            name,
            metadata=_typed({**workload.metadata(args), **_excepted(exceptions)}),
            spec=_typed(workload.workload_spec(args)),
            opts=self._after([*controls, *jobs]),
        )
        service = Service(
            name,
            metadata=_typed(workload.service_metadata(args)),
            spec=_typed(workload.service_spec(args)),
            opts=self._child,
        )
        self.ready = [pods, service, *self._availability(), *self._route()]
        self.register_outputs({"name": args.name, "namespace": args.namespace, "url": route.public_url(args)})

    def _after(self, resources: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=list(resources)))

    def _identity(self) -> list[pulumi.Resource]:
        args, metadata = self._args, _typed(workload.metadata(self._args))
        account = ServiceAccount(self._name, metadata=metadata, automount_service_account_token=False, opts=self._child)
        if not args.kubernetes_api:
            return [account]
        role = Role(
            self._name, metadata=metadata, rules=[_typed(rule) for rule in workload.role_rules(args)], opts=self._child
        )
        binding = RoleBinding(
            self._name,
            metadata=metadata,
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": args.name},
            subjects=[{"kind": "ServiceAccount", "name": args.name, "namespace": args.namespace}],
            opts=self._after([role]),
        )
        return [account, role, binding]

    def _secrets(self) -> list[pulumi.Resource]:
        args = self._args
        values = {secret.name: self._first_values(secret) for secret in args.secrets}
        if not vault.uses_vault(args):
            return [self._kubernetes_secret(values)] if values else []
        stored = [
            SecretV2(
                f"{self._name}.{secret.name}",
                mount=args.platform.kv_mount,
                name=args.secret_path(secret.name),
                data_json=pulumi.Output.secret(values[secret.name]).apply(lambda v: json.dumps(v, sort_keys=True)),
                # First values only: what rotates them later is undone neither by a refresh nor by a later write.
                disable_read=True,
                options={"cas": str(secret.replaces)},
                opts=self._in_vault,
            )
            for secret in args.secrets
        ]
        in_vault = [*vault_role(self._name, args, self._in_vault), *stored]
        return [*in_vault, *copied_secrets(self._name, args, self._child, in_vault), *self._database()]

    def _database(self) -> list[pulumi.Resource]:
        args, database = self._args, self._args.database
        if not database.connection:
            return []
        role = SecretBackendRole(
            self._name,
            backend=args.platform.database_mount,
            name=args.key,
            db_name=database.connection,
            creation_statements=creation_statements(database),
            revocation_statements=revocation_statements(),
            default_ttl=database.ttl,
            max_ttl=database.max_ttl,
            opts=self._in_vault,
        )
        return [role]

    def _first_values(self, secret: SecretArgs) -> pulumi.Output[Mapping[str, str]]:
        generated = {
            field: RandomPassword(
                f"{self._name}.{secret.name}.{field}",
                length=GENERATED_LENGTH,
                # No character that a connection string or a shell file would have to quote.
                special=False,
                opts=pulumi.ResourceOptions(parent=self),
            ).result
            for field in secret.generate
        }
        return pulumi.Output.secret(pulumi.Output.all(**{**secret.values, **generated}))

    def _kubernetes_secret(self, values: Mapping[str, pulumi.Output[Mapping[str, str]]]) -> Secret:
        marked = {"annotations": {"zero-trust.dev/insecure": "kubernetes-secret"}}
        metadata = _typed({**workload.metadata(self._args), **marked})
        files = {
            secret.file: values[secret.name].apply(
                lambda found, template=secret.template: vault.render_file(template, found)
            )
            for secret in self._args.secrets
        }
        return Secret(self._name, metadata=metadata, type="Opaque", string_data=files, opts=self._child)

    def _exceptions(self) -> list[pulumi.Resource]:
        args = self._args
        jobs = [job_name(args.name, job.name) for job in args.jobs]
        wanted = {e.rule: exception_manifest(args.namespace, args.name, e, jobs) for e in args.exceptions}
        if own := copies_exception(args):
            wanted[COPIES_RULE] = own
        if not wanted:
            return []
        hook = pulumi.ResourceHook(f"{self._name}.settle", settle)
        settled = pulumi.ResourceOptions(hooks=pulumi.ResourceHookBinding(after_create=[hook], after_update=[hook]))
        return [
            custom_object(f"{self._name}.{rule}", made, pulumi.ResourceOptions.merge(self._child, settled))
            for rule, made in wanted.items()
        ]

    def _network(self) -> list[pulumi.Resource]:
        args, found = self._args, list[pulumi.Resource]()
        if args.platform.network_policies:
            found.append(
                NetworkPolicy(
                    self._name,
                    metadata=_typed(workload.metadata(args)),
                    spec=_typed(network.network_policy_spec(args)),
                    opts=self._child,
                )
            )
            if challenge := network.challenge_policy(args):
                found.append(NetworkPolicy(f"{self._name}.acme", opts=self._child, **_typed(challenge)))
        for made in network.mesh_objects(args):
            suffix = f".{made['spec']['hosts'][0]}" if made["kind"] == "ServiceEntry" else ""
            found.append(custom_object(f"{self._name}.{made['kind'].lower()}{suffix}", made, self._child))
        if policy := authorization_policy(args):
            found.append(
                CustomResource(
                    f"{self._name}.authorization",
                    api_version="security.istio.io/v1",
                    kind="AuthorizationPolicy",
                    opts=self._child,
                    **policy,
                )
            )
        return found

    def _availability(self) -> list[pulumi.Resource]:
        args, found = self._args, list[pulumi.Resource]()
        metadata = _typed(workload.metadata(args))
        if args.smallest > 1:
            spec = _typed(workload.disruption_budget_spec(args))
            found.append(PodDisruptionBudget(self._name, metadata=metadata, spec=spec, opts=self._child))
        if args.autoscaling.maximum:
            spec = _typed(autoscaler_spec(workload.workload_kind(args), args.name, args.autoscaling))
            found.append(HorizontalPodAutoscaler(self._name, metadata=metadata, spec=spec, opts=self._child))
        return found

    def _storage(self) -> list[pulumi.Resource]:
        args, found = self._args, list[pulumi.Resource]()
        metadata = workload.metadata(args)
        if args.config.path:
            named = _typed({**metadata, "name": config_name(args.name)})
            found.append(ConfigMap(self._name, metadata=named, data=args.config.files, opts=self._child))
        # Data outlives the program, and a storage class that binds with the first pod is not waited for.
        kept = pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(retain_on_delete=True))
        for volume in args.volumes:
            if volume.shared:
                skip = {"annotations": {"pulumi.com/skipAwait": "true"}}
                named = _typed({**metadata, "name": claim_name(args.name, volume.name), **skip})
                claim = PersistentVolumeClaim(
                    f"{self._name}.{volume.name}", metadata=named, spec=_typed(claim_spec(volume)), opts=kept
                )
                found.append(claim)
        return found

    def _jobs(self, opts: pulumi.ResourceOptions | None, controls: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
        """The jobs; those that run once are to succeed before the new pods start."""
        deleted_with = opts.deleted_with if opts else None
        made = [
            ServiceJob(f"{self._name}.{job.name}", self._args, job, self._after(controls), deleted_with)
            for job in self._args.jobs
        ]
        return [resource for job in made for resource in job.ready]

    def _route(self) -> list[pulumi.Resource]:
        args = self._args
        if not args.public:
            return []
        if args.platform.route == "ingress":
            ingress = Ingress(self._name, opts=self._child, **route.ingress_manifest(args))
            return [ingress]
        return [
            CustomResource(
                f"{self._name}.route",
                api_version="gateway.networking.k8s.io/v1",
                kind="HTTPRoute",
                metadata=_typed(workload.metadata(args)),
                spec=route.http_route_spec(args),
                opts=self._child,
            )
        ]
