"""The input of one run: settings, posture and services, read and checked before any resource is created."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date
from pathlib import Path

import pulumi
from pulumi.runtime import config as runtime_config

from components.config.action import Action
from components.config.commit_date import commit_date
from components.config.overlay import Overlay
from components.config.posture import Posture
from components.config.settings import Settings
from components.config.stack_file import decode_config, parse_settings
from components.config.stack_source import StackSource, lines_beside
from components.kube.charts import ChartSources
from components.kube.manifest import pod_security
from components.kube.mesh_labels import namespace_label
from components.kube.names import DEFAULT_NAMESPACE, PROJECT, VAULT_PORT
from components.kube.ownership import manager_of
from components.kube.service_ref import ServiceRef
from components.kyverno.library import load_library
from components.package.args import RenderedPackage
from components.package.file.directory import read_packages, shared_hosts, shared_namespaces
from components.package.file.keys import PackageSpec
from components.program.stack_databases import database_problems, databases_of
from components.program.stack_exceptions import exception_problems
from components.program.stack_limits import limit_problems
from components.program.stack_packages import render_packages
from components.program.stack_parameters import parameter_problems
from components.program.stack_teams import elsewhere, team_problems
from components.schema.problem import ConfigError, LineOf, Problem, no_line
from components.service.file.conditions import Conditions
from components.service.file.directory import Admission, read_files, specs_of
from components.service.file.limits import LIMIT_RANGE, QUOTA, NamespaceLimits
from components.service.file.party import PartyFile
from components.service.file.service import ServiceSpec
from components.vault.terms import Delivery

OVERLAY_VARIABLE = "ZERO_TRUST_OVERLAY"


@dataclass(frozen=True)
class Stack:
    """The whole input of a run."""

    file: str
    settings: Settings
    posture: Posture
    services: tuple[ServiceSpec, ...]
    line_of: LineOf = no_line
    packages: tuple[RenderedPackage, ...] = ()
    files: tuple[PartyFile, ...] = ()
    """The files of the services and packages, where they were read from some."""

    @property
    def name(self) -> str:
        """The name that its file has it by."""
        return stack_name(self.file)

    @property
    def manager(self) -> str:
        """The field manager of its objects in the cluster."""
        return manager_of(PROJECT, self.name)

    @property
    def charts(self) -> ChartSources:
        """Where the charts come from."""
        return self.settings.charts.sources

    @property
    def mesh(self) -> bool:
        """Whether a mesh runs."""
        return self.posture.mtls is not None

    @property
    def ambient(self) -> bool:
        """Whether the mesh has a proxy on each node and none in the pods."""
        return self.mesh and self.settings.mesh.data_plane == "ambient"

    @property
    def route(self) -> str:
        """The kind of route of public services; empty without one. An Ingress without an issuer has no TLS."""
        kind = self.settings.ingress.kind
        return kind if self.posture.issuer != "none" or kind == "ingress" else ""

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces of the services and packages, those of teams among them."""
        return tuple(sorted({*(spec.namespace for spec in self.tenants), *elsewhere(self.settings)}))

    @property
    def tenants(self) -> tuple[ServiceSpec | PackageSpec, ...]:
        """The services, and the packages."""
        return (*self.services, *(package.spec for package in self.packages))

    def namespace_labels(self, namespace: str) -> dict[str, str]:
        """The labels of a service namespace: the team, if all its services have the same, and the mesh's.

        The Pod Security Standard only warns there: the critical rules enforce it, and know the exceptions from it.
        """
        teams = {spec.team for spec in self.tenants if spec.namespace == namespace}
        teams |= {name for owned, name in elsewhere(self.settings).items() if owned == namespace}
        labels = {**({"team": teams.pop()} if len(teams) == 1 else {}), **pod_security("restricted", "warn", "audit")}
        return {**labels, **namespace_label(self.settings.mesh.revision or "", self.ambient)} if self.mesh else labels

    @property
    def public(self) -> tuple[ServiceSpec | PackageSpec, ...]:
        """The services and packages with a public host."""
        return tuple(spec for spec in self.tenants if spec.hosts)


def load_stack(root: Path) -> Stack:
    """The input of the run that Pulumi started. Raises `ConfigError` with every problem."""
    file = f"Pulumi.{pulumi.get_stack()}.yaml"
    # The SDK has no public list of a stack's keys, which is needed to refuse an unknown key.
    config = {**runtime_config.get_config_env(), **runtime_config.CONFIG.get()}
    secret_keys = frozenset(
        key
        for key in config
        if runtime_config.is_config_secret(key) or key in runtime_config.get_config_secret_keys_env()
    )
    overlay = read_overlay(os.environ.get(OVERLAY_VARIABLE))
    line_of = lines_beside(root, file)
    values = decode_config(config, secret_keys, file, line_of)
    settings = parse_settings(values, file, overlay, line_of, lambda problem: pulumi.log.warn(str(problem)))
    return read_stack(root, file, settings, lambda: settings.as_of or commit_date(root), line_of)


def read_stack(
    root: Path,
    file: str,
    settings: Settings,
    as_of: Callable[[], date | None] = lambda: None,
    line_of: LineOf = no_line,
) -> Stack:
    """The input of a run with these settings and the service and package files below `root`, without Pulumi.

    `as_of` returns the day for the expiry of exceptions; without it none is expired. Charts are rendered, which needs
    `helm` if there are some. Raises `ConfigError` with every problem of the service and package files, or of what the
    stack file takes out of the rules.
    """
    posture = settings.decisions()
    source = StackSource(file, line_of)
    if wrong := [*parameter_problems(settings, source)]:
        raise ConfigError(wrong)
    known = conditions(settings, posture)
    alone = Admission(
        **{each.name: getattr(known, each.name) for each in fields(Conditions)},
        as_of=as_of,
        stack=stack_name(file),
        stacks=sorted(stack_name(path.name) for path in root.glob("Pulumi.*.yaml")),
    )
    files = read_packages(root, alone)
    admission = replace(alone, packages=files)
    service_files = read_files(root / "services", admission)
    services, packaged = specs_of(service_files), [each.spec for each in files]
    problems = [
        *_gateway_problems(settings, [*services, *packaged], source),
        *_dns_problems(settings, [*services, *packaged], source),
        *_scraper_problems(settings, posture, services, packaged, source),
        *limit_problems(settings, posture, sum(len(each.hosts) for each in (*services, *packaged)), source),
        *exception_problems(settings, services, as_of, source),
        *database_problems(settings, services, source),
        *team_problems(settings, [*services, *packaged], source),
        *shared_hosts(files, services),
        *shared_namespaces(files, (spec.namespace for spec in services)),
    ]
    if problems:
        raise ConfigError(problems)
    rules = load_library().rules.values() if files else ()
    packages = render_packages(root, settings.charts.sources, files, rules, settings.mesh.own_labels)
    return Stack(file, settings, posture, services, line_of, packages, (*service_files, *files))


def conditions(settings: Settings, posture: Posture) -> Conditions:
    """The conditions of these settings for service files, wherever the files are."""
    return Conditions(
        # A stack that only reports violations may run any image.
        registries=settings.registries if posture.critical is Action.DENY else (),
        api_server_reachable=bool(settings.api_server_cidrs) or not posture.network_policies,
        vault=posture.vault,
        databases=databases_of(settings),
        unsupported=settings.ingress.unsaid_of_a_service,
        pki_domains=settings.vault.pki.domains if settings.vault.pki and posture.issuer == "vault" else None,
        scraper=settings.mesh.scraper is not None or not posture.closed,
        ambient=settings.mesh.data_plane == "ambient",
        limits=_namespace_limits(settings, posture),
        gateway_api=settings.ingress.kind == "gateway-api",
        domain=settings.ingress.domain or "",
        bypassed_port=_bypassed_port(settings, posture),
        delivery=delivery(settings, posture),
        placements={name: made.namespaces for name, made in settings.placement.items()},
        elsewhere=elsewhere(settings),
        reserved=(*settings.layers.platform, settings.layers.external_secrets),
        metadata=settings.metadata_cidrs,
    )


def _gateway_problems(
    settings: Settings, tenants: Sequence[ServiceSpec | PackageSpec], source: StackSource
) -> Iterator[Problem]:
    """A namespace that is the gateway's and a service's: whoever runs there could read the keys of every host."""
    own = settings.ingress.gateway_namespace
    if tenant := next((spec for spec in tenants if spec.namespace == own), None):
        message = f"{tenant.ref} runs there, who could read the keys of every public host: give the gateway its own"
        yield source.problem("ingress.gatewayNamespace", message, own)
    if own in elsewhere(settings):
        yield source.problem("ingress.gatewayNamespace", f"it is that of team {elsewhere(settings)[own]}", own)


def _scraper_problems(
    settings: Settings,
    posture: Posture,
    services: Sequence[ServiceSpec],
    packages: Sequence[PackageSpec],
    source: StackSource,
) -> Iterator[Problem]:
    """A reader of metrics that no file lets reach what it reads: it connects to each pod, by its address."""
    scraper = settings.mesh.scraper
    if scraper is None or not posture.closed:
        return
    own = ServiceRef(scraper.namespace, scraper.service_account)
    message = (
        "would reach what its file names alone, and no pod whose metrics it is to read: install it beside the "
        "platform, in a namespace that no service and no package has"
    )
    if any(spec.ref == own for spec in services):
        yield source.problem("mesh.scraper", f"the service {own} {message}", str(own))
    elif package := next((spec for spec in packages if spec.namespace == own.namespace), None):
        yield source.problem("mesh.scraper", f"the package {package.ref} {message}", str(own))


def _dns_problems(
    settings: Settings, tenants: Sequence[ServiceSpec | PackageSpec], source: StackSource
) -> Iterator[Problem]:
    """A namespace in which tenants could stand for the servers of DNS: every pod may ask those with their labels."""
    dns = settings.dns
    taken = {*(spec.namespace for spec in tenants), *elsewhere(settings), DEFAULT_NAMESPACE}
    if dns.labels and dns.namespace in taken:
        message = "its tenants could give a pod these labels, and hear what every pod asks: name the cluster's own"
        yield source.problem("dns.namespace", message, dns.namespace)


def stack_name(file: str) -> str:
    """The name of the stack that a file such as `Pulumi.staging.yaml` is of."""
    return file.removeprefix("Pulumi.").removesuffix(".yaml")


def delivery(settings: Settings, posture: Posture) -> Delivery:
    """How secrets come to the pods of services."""
    if not posture.vault:
        return Delivery.KUBERNETES_SECRET
    if settings.vault.delivery == "external-secrets":
        return Delivery.EXTERNAL_SECRETS
    return Delivery.AGENT if posture.injection else Delivery.APPLICATION


def _bypassed_port(settings: Settings, posture: Posture) -> int:
    # An external Vault is known by its addresses, so that its port says nothing.
    in_pods = posture.vault and settings.vault.delivery == "injector" and settings.vault.mode == "helm"
    sidecars = posture.mtls is not None and settings.mesh.data_plane == "sidecar"
    return VAULT_PORT if in_pods and sidecars else 0


def _namespace_limits(settings: Settings, posture: Posture) -> NamespaceLimits:
    if not posture.generate:
        return NamespaceLimits()
    rules = load_library().rules
    container, namespace = (
        {**rules[name].parameters, **settings.kyverno.parameters.get(name, {})} for name in (LIMIT_RANGE, QUOTA)
    )
    return NamespaceLimits(container, namespace, settings.services.replicas)


def read_overlay(path: str | None) -> Overlay | None:
    """The overlay at a path; `None` without a path. Raises `ConfigError` for a file that is missing or no overlay."""
    if not path:
        return None
    try:
        return Overlay.read(Path(path))
    except OSError as error:
        raise ConfigError([Problem(OVERLAY_VARIABLE, path, error.strerror or "cannot be read")]) from error
