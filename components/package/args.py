"""The arguments of `Package`, from its file and from what its chart renders: each workload with all that surrounds it.

A workload of a package has the arguments of a service, so that the same builders make its policies.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, cast

from pydantic import AfterValidator

from components.ingress.terms import PublicLimits
from components.kube.manifest import Manifest
from components.kube.service_ref import ServiceRef
from components.kube.written import below, items
from components.package.file.keys import PackageCallSpec, PackageSpec
from components.package.rendered.objects import Rendered, Workload
from components.schema.checked import check_fields
from components.schema.fields import IsoDay, Label
from components.service.args.exceptions import ExceptionArgs, exception_args
from components.service.args.network import (
    EgressArgs,
    MetricsArgs,
    Neighbours,
    Peer,
    PortArgs,
    egress_args,
    metrics_args,
    plaintext_args,
)
from components.service.args.platform import PlatformTerms
from components.service.args.public import public_limits
from components.service.args.resolve import callee_of, calling, secret_args
from components.service.args.service import ApiRuleArgs, SecureServiceArgs
from components.service.file.network import CallSpec
from components.service.file.service import ServiceSpec, not_a_service_namespace


@dataclass(frozen=True)
class RenderedPackage:
    """A package, and the objects that its chart renders."""

    spec: PackageSpec
    rendered: Rendered

    def peer(self, workload: Workload, port: int, host: str = "") -> Peer:
        """A workload at one end of a call."""
        ref = ServiceRef(self.spec.namespace, workload.name)
        return Peer(ref, port, package=self.spec.name, account=workload.account, host=host)

    def behind(self, service: str, port: int) -> list[tuple[Workload, int]]:
        """The workloads behind a port of a Service, each with the port of its pods."""
        found = self.rendered.service(service)
        if found is None:
            return []
        return [(workload, workload.port(found.targets[port])) for workload in self.rendered.behind(found)]

    @property
    def routed(self) -> list[Workload]:
        """The workloads behind the public port."""
        public = self.spec.public
        return [workload for workload, _ in self.behind(public.service, public.port)] if public else []

    def chosen(self, names: Sequence[str]) -> list[Workload]:
        """The workloads of these names; all of them without names."""
        return [workload for workload in self.rendered.workloads if not names or workload.name in names]


@dataclass(frozen=True)
class WorkloadExceptionArgs:
    """An exception of one workload from a rule."""

    workload: str
    account: str
    exception: ExceptionArgs


def _namespace(value: str) -> str:
    if reason := not_a_service_namespace(value):
        raise ValueError(reason)
    return value


@dataclass(frozen=True)
class PackageArgs:
    """One package. `identities` are the service accounts behind each of its Services, by the Service's name.

    Raises `FieldError` for a name that no package may have, and for a grant without a last day.
    """

    name: Label
    namespace: Annotated[Label, AfterValidator(_namespace)]
    team: Label
    platform: PlatformTerms
    objects: Rendered
    workloads: Sequence[SecureServiceArgs] = ()
    identities: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    protocols: Mapping[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])
    """The protocol of each exposed port, by Service and number."""
    exceptions: Sequence[WorkloadExceptionArgs] = ()
    grants: Mapping[str, IsoDay] = field(default_factory=dict[str, str])
    """The objects of the chart that reach beyond the package, by kind and name, each with the first day without it."""

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def ref(self) -> ServiceRef:
        """The reference to it, by namespace and name."""
        return ServiceRef(self.namespace, self.name)

    @property
    def keeps_data(self) -> bool:
        """Whether the chart claims volumes in the namespace of the package."""
        return any(each.keeps_data for each in self.objects.objects if each.namespace == self.namespace)

    @property
    def public(self) -> list[SecureServiceArgs]:
        """The workload that the route of the public host is named after: none if the package has no host."""
        return [workload for workload in self.workloads if workload.host][:1]


def known_accounts(args: PackageArgs) -> list[str]:
    """The service accounts by which the chart's objects are known.

    The policy `service-objects` holds a pod with the label `app` to the account of that name. So an account is left out
    whose name the chart gives as that label to the pods of another one.
    """
    workloads = args.objects.workloads
    other = {each.labels.get("app") for each in workloads if each.labels.get("app") != each.account}
    return sorted({each.account for each in workloads} - other)


def neighbours(packages: Sequence[RenderedPackage], services: Sequence[ServiceSpec]) -> Neighbours:
    """The packages at the other ends of services' calls."""
    ports = {spec.ref: spec.called_ports for spec in services}
    callers: dict[ServiceRef, list[Peer]] = {ref: [] for ref in ports}
    for package in packages:
        for callee, call in package.spec.called():
            if callee in ports:
                port, _ = ports[callee][call.port]
                callers[callee] += _callers(package, call, port)
    return Neighbours(_callees(packages), callers)


def packages_args(
    packages: Sequence[RenderedPackage], services: Sequence[ServiceSpec], platform: PlatformTerms
) -> list[PackageArgs]:
    """The arguments of every package. A call makes both ends, whichever of the two is a package."""
    callees = _callees(packages)
    files = {spec.ref: spec for spec in services}
    edges = _Edges()
    for package in packages:
        for callee, call in package.spec.called():
            reached = _with_requests(callees.get((callee, call.port or ""), ()), call)
            if callee in files:
                reached = [callee_of(files[callee], call)]
            for workload in package.chosen(call.workloads):
                edges.call(package, workload, reached)
        for entry in package.spec.between:
            reached = [
                package.peer(each, port, entry.service) for each, port in package.behind(entry.service, entry.port)
            ]
            for workload in package.chosen(entry.workloads):
                edges.call(package, workload, reached)
    for spec in services:
        for callee, call in spec.called():
            for peer in callees.get((callee, call.port or ""), ()):
                edges.called_by.setdefault(peer.service, []).extend(calling(spec, callee, call, peer.port))
    return [_package_args(package, platform, edges) for package in packages]


@dataclass
class _Edges:
    """The calls of all packages, by workload."""

    calls: dict[ServiceRef, list[Peer]] = field(default_factory=dict[ServiceRef, list[Peer]])
    called_by: dict[ServiceRef, list[Peer]] = field(default_factory=dict[ServiceRef, list[Peer]])

    def call(self, package: RenderedPackage, workload: Workload, reached: Iterable[Peer]) -> None:
        """Add the calls of a workload, and the other end of those that lead to a package."""
        for peer in reached:
            caller = replace(package.peer(workload, peer.port), methods=peer.methods, paths=peer.paths)
            calls = self.calls.setdefault(caller.service, [])
            calls += [] if peer in calls else [peer]
            if peer.package:
                called = self.called_by.setdefault(peer.service, [])
                called += [] if caller in called else [caller]


def _callees(packages: Sequence[RenderedPackage]) -> dict[tuple[ServiceRef, str], Sequence[Peer]]:
    return {
        (package.spec.ref, exposed.name or ""): [
            package.peer(workload, port, exposed.service)
            for workload, port in package.behind(exposed.service, exposed.port)
        ]
        for package in packages
        for exposed in package.spec.expose
    }


def _callers(package: RenderedPackage, call: PackageCallSpec, port: int) -> list[Peer]:
    return _with_requests([package.peer(workload, port) for workload in package.chosen(call.workloads)], call)


def _with_requests(peers: Iterable[Peer], call: CallSpec) -> list[Peer]:
    return [replace(peer, methods=call.sent_methods, paths=call.sent_paths) for peer in peers]


def _package_args(package: RenderedPackage, platform: PlatformTerms, edges: _Edges) -> PackageArgs:
    spec, rendered = package.spec, package.rendered
    accounts = {workload.name: workload.account for workload in rendered.workloads}
    behind = {service.name: rendered.behind(service) for service in rendered.services}
    return PackageArgs(
        name=spec.name,
        namespace=spec.namespace,
        team=spec.team,
        platform=platform,
        objects=rendered,
        workloads=[_workload_args(package, workload, platform, edges) for workload in rendered.workloads],
        identities={
            name: sorted({each.account for each in workloads}) for name, workloads in behind.items() if workloads
        },
        protocols={(exposed.service, exposed.port): exposed.protocol for exposed in spec.expose},
        exceptions=[
            WorkloadExceptionArgs(each.workload, accounts[each.workload], exception_args(each))
            for each in spec.exceptions
            if each.rule in platform.rules
        ],
        grants={
            f"{grant.kind} {f'{grant.namespace}/' if grant.namespace else ''}{name}": grant.expires.isoformat()
            for grant in spec.grants
            for name in grant.names
        },
    )


def _workload_args(
    package: RenderedPackage, workload: Workload, platform: PlatformTerms, edges: _Edges
) -> SecureServiceArgs:
    spec = package.spec
    ref = ServiceRef(spec.namespace, workload.name)
    ports = _ports(package, workload)
    routed = workload in package.routed
    return SecureServiceArgs(
        name=workload.name,
        namespace=spec.namespace,
        team=spec.team,
        image=workload.images[0] if workload.images else "",
        host=(spec.public.host or "") if routed and spec.public else "",
        limits=public_limits(spec, platform.ingress.public) if routed else PublicLimits(),
        backend=spec.public.service if routed and spec.public else "",
        backend_port=spec.public.port if routed and spec.public else 0,
        secrets=[
            secret_args(name, secret, secret.fields)
            for name, secret in sorted(spec.secrets.items())
            if secret.workload == workload.name
        ],
        port=ports[0].port if ports else 0,
        platform=platform,
        protocol=ports[0].protocol if ports else "tcp",
        ports=ports[1:],
        calls=edges.calls.get(ref, []),
        called_by=edges.called_by.get(ref, []),
        egress=_egress(spec, workload),
        plaintext_ports=[plaintext_args(each) for each in spec.plaintext_ports if each.workload == workload.name],
        metrics=next((metrics_args(each) for each in spec.metrics if each.workload == workload.name), MetricsArgs()),
        kubernetes_api=_rights(package, workload) if workload.name in spec.kubernetes_api else (),
        package=spec.name,
        account=workload.account,
        probed_ports=workload.probed,
    )


def _ports(package: RenderedPackage, workload: Workload) -> list[PortArgs]:
    """The ports that somebody may call, each once; what is called within the package alone is forwarded as it is."""
    protocols: dict[int, str] = {}
    for exposed in package.spec.expose:
        protocols |= {
            n: exposed.protocol for each, n in package.behind(exposed.service, exposed.port) if each == workload
        }
    for entry in package.spec.between:
        for each, number in package.behind(entry.service, entry.port):
            if each == workload:
                protocols.setdefault(number, "tcp")
    public = package.spec.public
    # The gateway's connections come to the first one.
    behind = package.behind(public.service, public.port) if public else []
    routed = [number for each, number in behind if each == workload]
    numbers = sorted(protocols, key=lambda number: (number not in routed, number))
    return [PortArgs(f"port-{number}", number, protocols[number]) for number in numbers]


def _egress(spec: PackageSpec, workload: Workload) -> list[EgressArgs]:
    chosen = [outside for outside in spec.egress if not outside.workloads or workload.name in outside.workloads]
    return [egress_args(outside) for outside in chosen]


def _rights(package: RenderedPackage, workload: Workload) -> list[ApiRuleArgs]:
    """The rights that the chart gives to a workload's service account; one without resources if it gives none."""
    objects = package.rendered.objects
    rules: list[ApiRuleArgs] = []
    for binding in (each for each in objects if each.kind in ("RoleBinding", "ClusterRoleBinding")):
        subjects = items(binding.manifest, "subjects")
        held = {(s.get("kind"), s.get("namespace", binding.namespace), s.get("name")) for s in subjects}
        if ("ServiceAccount", package.spec.namespace, workload.account) not in held:
            continue
        role = below(binding.manifest, "roleRef")
        for each in objects:
            if (each.kind, each.name) == (role.get("kind"), role.get("name")):
                rules += [
                    _rule(rule, cluster_wide=binding.kind == "ClusterRoleBinding")
                    for rule in items(each.manifest, "rules")
                ]
    return rules or [ApiRuleArgs([], [], [])]


def _rule(rule: Manifest, *, cluster_wide: bool) -> ApiRuleArgs:
    groups, resources, verbs = (cast("list[str]", rule.get(key) or []) for key in ("apiGroups", "resources", "verbs"))
    return ApiRuleArgs(groups, resources, verbs, cluster_wide=cluster_wide)
