"""The arguments of services, from their files: both ends of each call, the stack's defaults, the database."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from components.kube.service_ref import ServiceRef
from components.schema.fields import seconds
from components.schema.problem import FieldError
from components.service.args.containers import init_args, scratch_args, sidecar_args
from components.service.args.database import DatabaseArgs, GrantArgs, KeyGrantArgs, default_template, owner_role
from components.service.args.exceptions import exception_args
from components.service.args.jobs import RunArgs, job_args, run_args
from components.service.args.lifecycle import stop_args
from components.service.args.network import (
    EgressArgs,
    JwtArgs,
    Neighbours,
    Peer,
    PortArgs,
    egress_args,
    jwt_args,
    metrics_args,
    plaintext_args,
    sticky_args,
)
from components.service.args.patch import patch_args
from components.service.args.platform import PlatformTerms
from components.service.args.probes import probes_args
from components.service.args.public import public_limits
from components.service.args.routes import routes_args
from components.service.args.scaling import autoscaling_args
from components.service.args.secret_env import secret_env_args
from components.service.args.service import ApiRuleArgs, SecretArgs, SecureServiceArgs
from components.service.args.storage import ca_bundle_args, config_args, volume_args
from components.service.file.database import GrantSpec
from components.service.file.jobs import job_callees, job_name
from components.service.file.kubernetes_api import ApiRule
from components.service.file.network import CallSpec
from components.service.file.secrets import SecretSpec
from components.service.file.service import ServiceSpec
from components.service.file.sharing import SharedSecret, fields_of, shared_by
from components.vault.terms import DatabaseServer

_ALONE = Neighbours()


def services_args(
    specs: Sequence[ServiceSpec],
    platform: PlatformTerms,
    replicas: int,
    packages: Neighbours = _ALONE,
    elsewhere: Collection[str] = (),
) -> list[SecureServiceArgs]:
    """The arguments of every service. A call in a caller's file makes both its `calls` and the callee's `called_by`.

    Of a call to or from a service of another stack each stack makes its own half: the caller's from `calls`, which has
    the number of the port, and the callee's from `callers`, for every request at that port. `elsewhere` are the
    namespaces of other stacks.
    """
    known = {spec.ref: spec for spec in specs}
    ports = {spec.ref: {name: port for name, (port, _) in spec.called_ports.items()} for spec in specs}
    fields = fields_of(specs)
    callers: dict[ServiceRef, list[Peer]] = {
        spec.ref: [*packages.callers.get(spec.ref, ()), *_from_elsewhere(spec, ports[spec.ref], elsewhere)]
        for spec in specs
    }
    for spec in specs:
        for callee, call in spec.called():
            if callee in ports:
                callers[callee] += calling(spec, callee, call, ports[callee][call.port])
    return [
        _service_args(
            spec,
            platform,
            replicas,
            [peer for callee, call in spec.called() for peer in _called(callee, call, known.get(callee), packages)],
            callers[spec.ref],
            fields,
        )
        for spec in specs
    ]


def calling(spec: ServiceSpec, callee: ServiceRef, call: CallSpec, port: int) -> list[Peer]:
    """A service as the caller of a port, and each of its jobs that calls it too."""
    caller = Peer(spec.ref, port, call.sent_methods, call.sent_paths)
    jobs = [name for name, job in spec.jobs.items() if callee in job_callees(spec.namespace, job.calls)]
    return [caller, *(replace(caller, service=ServiceRef(spec.namespace, job_name(spec.name, job))) for job in jobs)]


def callee_of(spec: ServiceSpec, call: CallSpec) -> Peer:
    """The service of a file as the callee of a call."""
    port, _ = spec.called_ports[call.port]
    return Peer(spec.ref, port, call.sent_methods, call.sent_paths, each=port in spec.peers)


def _called(callee: ServiceRef, call: CallSpec, spec: ServiceSpec | None, packages: Neighbours) -> list[Peer]:
    """What a call leads to: a service, or the workloads behind a port of a package."""
    if spec is not None:
        return [callee_of(spec, call)]
    if call.number:
        return [Peer(callee, call.number, call.sent_methods, call.sent_paths)]
    behind = packages.callees.get((callee, call.port or ""), ())
    return [replace(peer, methods=call.sent_methods, paths=call.sent_paths) for peer in behind]


def _from_elsewhere(spec: ServiceSpec, ports: Mapping[str | None, int], namespaces: Collection[str]) -> list[Peer]:
    """The callers that another stack deploys, to which the service agrees."""
    return [Peer(caller, ports[port]) for caller, port in spec.allowed_callers() if caller.namespace in namespaces]


def _service_args(
    spec: ServiceSpec,
    platform: PlatformTerms,
    replicas: int,
    calls: Sequence[Peer],
    called_by: Sequence[Peer],
    fields: Mapping[SharedSecret, tuple[str, ...]],
) -> SecureServiceArgs:
    database_egress = {name: _database_egress(spec, name, platform) for name in spec.all_databases}
    hosts = {name: [outside.host for outside in outsides] for name, outsides in database_egress.items()}
    return SecureServiceArgs(
        name=spec.name,
        namespace=spec.namespace,
        team=spec.team,
        image=spec.image,
        port=spec.port or 0,
        platform=platform,
        protocol=spec.protocol,
        ports=[
            PortArgs(
                name=name,
                port=port.port,
                protocol=port.protocol,
                sticky=sticky_args(port.sticky),
                host=port.host or "",
                paths=port.public_paths,
                routes=routes_args(port.paths),
            )
            for name, port in spec.ports.items()
        ],
        sticky=sticky_args(spec.sticky),
        host=spec.host or "",
        aliases=spec.aliases,
        paths=spec.public_paths,
        routes=routes_args(spec.paths),
        limits=public_limits(spec, platform.ingress.public),
        calls=calls,
        called_by=called_by,
        peers=spec.peers,
        start_in_order=spec.start_in_order,
        egress=_egress(spec, database_egress),
        jwt=jwt_args(spec.tokens[0]) if spec.tokens else JwtArgs(),
        other_jwt=[jwt_args(token) for token in spec.tokens[1:]],
        plaintext_ports=[plaintext_args(plaintext) for plaintext in spec.plaintext_ports],
        metrics=metrics_args(spec.metrics),
        secrets=_secrets(spec, fields),
        databases=[_database(spec, name, platform) for name in spec.all_databases],
        kubernetes_api=[_api_rule(rule) for rule in spec.api_rules],
        replicas=1 if spec.run else spec.replicas or replicas,
        autoscaling=autoscaling_args(spec.autoscaling),
        cpu_request=spec.resources.requests.cpu,
        memory_request=spec.resources.requests.memory,
        cpu_limit=spec.resources.limits.cpu,
        memory_limit=spec.resources.limits.memory,
        disk_request=spec.resources.requests.ephemeral_storage or "",
        disk_limit=spec.resources.limits.ephemeral_storage or "",
        placement=spec.placement.class_ if spec.placement else "",
        health=spec.health or "",
        probes=probes_args(spec.probes),
        run_as_user=spec.run_as_user,
        writable=spec.writable,
        writable_copies=spec.writable_copies,
        command=spec.command,
        arguments=spec.args,
        env=spec.env,
        pod_env=spec.pod_env,
        secret_env=secret_env_args(spec.secret_env),
        stop=stop_args(spec.stop),
        run=run_args(spec.run) if spec.run else RunArgs(),
        config=config_args(spec.config),
        scratch=scratch_args(spec.scratch),
        volumes=volume_args(spec.volumes),
        ca_bundle=ca_bundle_args(spec.ca_bundle),
        init=init_args(spec),
        sidecars=sidecar_args(spec),
        jobs=job_args(spec.namespace, spec.jobs, hosts),
        patch=patch_args(spec.patch),
        component=spec.component,
        cost_center=spec.cost_center or "",
        exceptions=[exception_args(exception) for exception in spec.exceptions if exception.rule in platform.rules],
    )


def _secrets(spec: ServiceSpec, fields: Mapping[SharedSecret, tuple[str, ...]]) -> list[SecretArgs]:
    shared = shared_by(spec)
    return [
        replace(
            secret_args(name, secret, fields[shared[name]] if name in shared else secret.fields),
            owner=shared[name].owner if name in shared else ServiceRef(),
            owned_as=shared[name].name if name in shared else "",
        )
        for name, secret in sorted(spec.secrets.items())
    ]


def secret_args(name: str, secret: SecretSpec, fields: Sequence[str]) -> SecretArgs:
    """The arguments of a secret with these fields, as its owner has it."""
    template = secret.template or _lines(fields)
    file = secret.file or name
    return SecretArgs(name, file, secret.values, secret.generate, template, secret.replaces, secret.external)


def _lines(fields: Sequence[str]) -> str:
    return "".join(f"{field.upper()}={{{{ .Data.data.{field} }}}}\n" for field in fields)


def _api_rule(rule: ApiRule) -> ApiRuleArgs:
    expires = rule.expires.isoformat() if rule.expires else ""
    return ApiRuleArgs(rule.api_groups, rule.resources, rule.verbs, expires, rule.cluster_wide)


def _egress(spec: ServiceSpec, databases: Mapping[str, Sequence[EgressArgs]]) -> list[EgressArgs]:
    """All egress; two databases may be one connection, which is open once."""
    egress = [*map(egress_args, spec.egress)]
    for outside in (outside for outsides in databases.values() for outside in outsides):
        egress += [] if outside in egress else [outside]
    return egress


def _database_egress(spec: ServiceSpec, name: str, platform: PlatformTerms) -> list[EgressArgs]:
    """The egress to a database outside the cluster; a database that is a service is among the calls."""
    connection = spec.all_databases[name].connection
    egress: list[EgressArgs] = []
    for server in platform.vault.databases:
        if server.name != connection:
            continue
        if server.has_external_name and not server.networks and (platform.mesh.on or platform.network_policies):
            message = (
                f"required for {spec.ref}: nothing can hold a connection to the name {server.host}, "
                "only to its networks"
            )
            raise FieldError(f"databases.{server.name}.cidrs", message)
        if server.networks:
            egress.append(EgressArgs(egress_host(server), server.port, "tcp", server.networks))
    return egress


def egress_host(server: DatabaseServer) -> str:
    """The host by which the mesh knows a database outside the cluster.

    It needs a name for an address too; names below `invalid` never exist (RFC 2606).
    """
    return server.host if server.has_external_name else f"{server.name}.invalid"


def _database(service: ServiceSpec, name: str, platform: PlatformTerms) -> DatabaseArgs:
    spec = service.all_databases[name]
    servers = {server.name: server for server in platform.vault.databases}
    if spec.connection not in servers:
        message = f"{service.ref} has users in a database that is not there"
        raise FieldError("databases", message, spec.connection, sorted(servers))
    server = servers[spec.connection]
    owned = service.has_owner(name)
    return DatabaseArgs(
        connection=server.name,
        database=server.database,
        engine=server.engine,
        # Within the cluster the mesh encrypts what services send to it.
        encrypted=server.tls and not server.service,
        grants=[_grant(grant) for grant in spec.grants],
        keys=[KeyGrantArgs(grant.prefix, grant.privileges) for grant in spec.keys],
        channels=spec.channels,
        scripts=spec.scripts,
        name=name,
        owner=owner_role(server.database, service.ref.key) if owned else "",
        schemas=spec.schemas if owned else (),
        ttl=seconds(spec.ttl),
        max_ttl=seconds(spec.max_ttl),
        file=spec.file or name,
        template=spec.template or default_template(server),
        files=spec.files,
    )


def _grant(grant: GrantSpec) -> GrantArgs:
    return GrantArgs(
        schema=grant.schema_,
        privileges=grant.privileges,
        all_tables=grant.tables == "all",
        tables=() if grant.tables == "all" else grant.tables,
        all_sequences=grant.sequences == "all",
        sequences=() if grant.sequences == "all" else grant.sequences,
    )
