"""The arguments of `MeshSecurity` and the terms of the mesh, from a stack."""

from components.kube.service_ref import ServiceRef
from components.mesh.security import AutoscalingArgs, MeshSecurityArgs, TracingArgs
from components.mesh.terms import MeshTerms
from components.program.plans.network import mesh_policies
from components.program.stack import Stack
from components.program.stack_keys import stack_keys


@stack_keys(
    mtls="posture.mtls",
    authorization="posture.authorization",
    replicas="mesh.replicas",
    autoscaling="mesh.autoscaling",
    tracing="mesh.tracing",
    namespace="mesh.namespace",
    root="mesh.rootNamespace",
)
def mesh_args(stack: Stack) -> MeshSecurityArgs | None:
    """The arguments of `MeshSecurity`; `None` without mTLS."""
    settings, mtls = stack.settings, stack.posture.mtls
    if mtls is None:
        return None
    mesh = settings.mesh
    autoscaling, tracing = mesh.autoscaling, mesh.tracing
    return MeshSecurityArgs(
        charts=stack.charts,
        mtls=mtls,
        authorization=stack.posture.authorization,
        replicas=autoscaling.min if autoscaling else mesh.replicas or 1,
        autoscaling=AutoscalingArgs(autoscaling.max, autoscaling.cpu) if autoscaling else None,
        trust_domain=settings.trust_domain,
        hub=mesh.hub,
        platform=mesh.platform,
        revision=mesh.revision or "",
        tracing=TracingArgs(tracing.namespace, tracing.service, tracing.port, tracing.sampling) if tracing else None,
        ambient=stack.ambient,
        network_policies=mesh_policies(stack),
        existing=mesh.mode == "existing",
        namespace=stack.settings.layers.mesh,
        root=stack.settings.layers.mesh_root,
    )


def mesh_terms(stack: Stack) -> MeshTerms:
    """The terms of the mesh for the stack's services."""
    mesh = stack.settings.mesh
    scraper, tracing = mesh.scraper, mesh.tracing
    return MeshTerms(
        on=stack.mesh,
        ambient=stack.ambient,
        strict=stack.posture.mtls == "STRICT",
        authorization=stack.posture.authorization,
        trust_domain=stack.settings.trust_domain,
        revision=mesh.revision or "",
        scraper=ServiceRef(scraper.namespace, scraper.service_account) if scraper else ServiceRef(),
        collector=ServiceRef(tracing.namespace, tracing.service) if tracing else ServiceRef(),
        collector_port=tracing.port if tracing else 0,
    )
