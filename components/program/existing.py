"""The layers that others installed: what the stack relies on in each, read from the cluster before anything is created.

`pulumi up`, `pulumi preview` and `zt preflight` ask the same questions. An update begins only when each layer has what
it needs. A preview whose identity may read nothing (ADR 11) says so, and leaves it to the update.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from components.config.stack_source import StackSource
from components.external_secrets.existing import existing_external_secrets
from components.ingress.existing import existing_cert_manager, existing_gateway_api
from components.kube.cluster import Cluster, UnreadableError
from components.kube.finding import Line, Result
from components.kyverno.existing import existing_kyverno
from components.kyverno.platform_images import MESH, images_by_parameter
from components.kyverno.policy_set import rules_on
from components.mesh.existing import MeshUse, existing_mesh
from components.program.plan import Plan
from components.program.stack import Stack
from components.schema.problem import ConfigError, Problem
from components.service.args.service import SecureServiceArgs


@dataclass(frozen=True)
class ExistingLayer:
    """A layer that others installed, the key of the stack file that says so, and what is asked of it."""

    name: str
    title: str
    key: str
    ask: Callable[[Cluster], Iterable[Line]]


def existing_layers(stack: Stack, planned: Plan) -> Iterator[ExistingLayer]:
    """The layers of a stack that others installed. What the posture leaves out is not asked for."""
    policies, mesh, certificates = planned.policies, planned.mesh, planned.certificates
    if policies and policies.existing:
        unjudged, rules, place = policies.unjudged_namespaces, rules_on(policies), policies.namespace
        yield ExistingLayer(
            "existing-kyverno",
            "Kyverno",
            "kyverno.mode",
            lambda cluster: existing_kyverno(cluster, place, unjudged, rules),
        )
    if certificates and certificates.existing:
        yield ExistingLayer(
            "existing-cert-manager",
            "cert-manager",
            "ingress.certManager.mode",
            lambda cluster: existing_cert_manager(cluster, certificates.namespace, certificates.gateway_api),
        )
    if certificates and certificates.gateway_api and not certificates.definitions:
        used = route_fields(planned.services)
        yield ExistingLayer(
            "existing-gateway-api",
            "Gateway API",
            "ingress.gatewayApi.mode",
            lambda cluster: existing_gateway_api(cluster, used),
        )
    if mesh and mesh.existing:
        use = mesh_use(stack)
        yield ExistingLayer("existing-istio", "Istio", "mesh.mode", lambda cluster: existing_mesh(cluster, mesh, use))
    operator = planned.external_secrets
    if operator and operator.existing:
        yield ExistingLayer(
            "existing-external-secrets",
            "External Secrets",
            "vault.externalSecrets.mode",
            lambda cluster: existing_external_secrets(cluster, operator.namespace),
        )


def mesh_use(stack: Stack) -> MeshUse:
    """What a stack takes of a mesh that others installed."""
    settings = stack.settings
    gateway = stack.route == "gateway-api"
    own = (*stack.namespaces, *([settings.ingress.gateway_namespace] if gateway else []))
    return MeshUse(
        proxy_images=images_by_parameter(settings.platform_images)[MESH],
        namespaces=own,
        others=settings.mesh.other_namespaces,
        gateway=gateway,
    )


def route_fields(services: Sequence[SecureServiceArgs]) -> tuple[tuple[str, ...], ...]:
    """The fields of routes that services use and older definitions lack: the kind, then the path in a rule."""
    routes = [route for args in services for public in args.public_ports for route in public.routes]
    used = {
        ("HTTPRoute", "name"): any(not route.plain for route in routes),
        ("HTTPRoute", "timeouts"): any(route.timeout for route in routes),
        ("HTTPRoute", "filters", "cors"): any(route.cors.origins for route in routes),
    }
    return tuple(path for path, needed in used.items() if needed)


def refuse_unfit(
    stack: Stack,
    layers: Iterable[ExistingLayer],
    cluster: Callable[[], Cluster],
    preview: bool,
    warn: Callable[[str], None],
) -> None:
    """Raise `ConfigError` with every line of a layer that fails, and warn about the others that object.

    `cluster` is called only if a layer is asked. What cannot be read is refused, except in a `preview`.
    """
    problems: list[Problem] = []
    source = StackSource(stack.file, stack.line_of)
    there: Cluster | None = None
    for layer in layers:
        try:
            there = there or cluster()
            lines = list(layer.ask(there))
        except (UnreadableError, ConnectionError) as error:
            if preview:
                warn(f"{layer.title} was not checked: {error}. `pulumi up` checks it before it changes anything.")
            else:
                problems.append(source.problem(layer.key, f"{layer.title} cannot be checked: {error}", "existing"))
            continue
        for line in lines:
            if line.result is Result.FAILS:
                problems.append(source.problem(layer.key, sentence(line)))
            elif line.result is Result.WARNS:
                warn(f"{layer.title}: {sentence(line)}")
    if problems:
        raise ConfigError(problems)


def sentence(line: Line) -> str:
    """A line in one sentence: what was found, and what to do."""
    details = f" ({', '.join(line.details)})" if line.details else ""
    return f"{line.about}: {line.found}{details}. To do: {line.fix}"
