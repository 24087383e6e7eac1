"""A service of a running stack with what it would have as a database that Vault makes users in.

Vault is no pod there, so that no stack can have such a database. The objects are the program's own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from components.kube.service_ref import ServiceRef
from components.program.plan import plan
from components.service.args.service import SecureServiceArgs
from components.service.manifests.authorization import authorization_policy, peer_authentication
from components.service.manifests.egress import sidecar
from components.vault.terms import DatabaseServer
from tests.e2e.plane import Plane
from zt.facts.read import stack_of

_SIDECARS = ("networking.istio.io", "v1")
_POLICIES = ("security.istio.io", "v1")


@contextmanager
def vault_comes_in(plane: Plane, service: ServiceRef) -> Iterator[None]:
    """The port for Vault at a service's pods, while this lasts."""
    args, objects = _as_database(plane, service), plane.objects
    listeners, modes, policy = sidecar(args), peer_authentication(args), authorization_policy(args)
    assert listeners
    assert modes
    assert policy
    of_kind = {
        "peerauthentications": modes,
        # A second one beside the service's own: what either of them allows is allowed.
        "authorizationpolicies": {"apiVersion": "/".join(_POLICIES), "kind": "AuthorizationPolicy", **policy},
    }
    name = f"{service.name}-vault"
    _listen(objects, service, listeners["spec"]["ingress"])
    for kind, made in of_kind.items():
        metadata = {**made["metadata"], "name": name}
        objects.create_namespaced_custom_object(*_POLICIES, service.namespace, kind, {**made, "metadata": metadata})
    try:
        yield
    finally:
        for kind in of_kind:
            objects.delete_namespaced_custom_object(*_POLICIES, service.namespace, kind, name)
        _listen(objects, service, None)


def _listen(objects: Any, service: ServiceRef, listeners: Any) -> None:
    patch = {"spec": {"ingress": listeners}}
    objects.patch_namespaced_custom_object(*_SIDECARS, service.namespace, "sidecars", service.name, patch)


def _as_database(plane: Plane, service: ServiceRef) -> SecureServiceArgs:
    planned = plan(stack_of(plane.checkout, "production"))
    args = next(args for args in planned.services if ServiceRef(args.namespace, args.name) == service)
    server = DatabaseServer("orders", f"{service.name}.{service.namespace}.svc", args.port, "orders", service=service)
    return replace(args, platform=replace(args.platform, vault=replace(args.platform.vault, databases=[server])))
