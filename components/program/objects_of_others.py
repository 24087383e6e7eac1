"""What is there before the stack creates it, and is not the stack's: it is refused, never taken over silently.

Pulumi's provider applies an object that exists as if it had made it, and removes it with the stack. So the program
looks first: at all of its namespaces before the first resource, and at each object before that is created. A namespace
that the stack file imports is taken with what is in it under the names of the stack's own objects, and outlives the
stack.
https://www.pulumi.com/registry/packages/kubernetes/how-to-guides/managing-resources-with-server-side-apply/
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, cast

import pulumi

from components.config.stack_source import StackSource
from components.kube.cluster import Cluster, UnreadableError
from components.kube.kinds import KUBERNETES_GROUPS
from components.kube.names import (
    CERT_MANAGER_NAMESPACE,
    EXTERNAL_SECRETS_NAMESPACE,
    KYVERNO_NAMESPACE,
    MESH_NAMESPACE,
    VAULT_NAMESPACE,
)
from components.kube.ownership import by_pulumi, by_stack
from components.kube.parts import Manifest, part
from components.kube.resources import path_of
from components.program.plan import Plan
from components.program.stack import Stack
from components.schema.problem import ConfigError, Problem

_NAMESPACES, _POLICIES = "/api/v1/namespaces", "/apis/networking.k8s.io/v1"
_NAMESPACE = "kubernetes:core/v1:Namespace"
# Helm itself takes over nothing, and what is in a file shows only to the provider.
_OF_OTHERS_ALREADY = ("kubernetes:helm.sh/v3:Release", "kubernetes:yaml/v2:ConfigFile")
_LOOKS_AT_ONCE = 8


def own_namespaces(stack: Stack, planned: Plan) -> tuple[str, ...]:
    """The namespaces that the stack creates."""
    gateway, certificates = planned.ingress, planned.certificates
    platform = {
        KYVERNO_NAMESPACE: bool(planned.policies and not planned.policies.existing),
        CERT_MANAGER_NAMESPACE: bool(certificates and not certificates.existing),
        VAULT_NAMESPACE: planned.vault is not None,
        EXTERNAL_SECRETS_NAMESPACE: bool(planned.external_secrets and not planned.external_secrets.existing),
        MESH_NAMESPACE: bool(planned.mesh and not planned.mesh.existing),
        gateway.gateway_namespace: gateway.issuer is not None and gateway.kind == "gateway-api",
    }
    return tuple(sorted({*stack.namespaces, *(name for name, created in platform.items() if created)}))


def namespaces_of_others(stack: Stack, planned: Plan, cluster: Cluster) -> list[str]:
    """The namespaces that the stack would create, which are there and neither its own nor imported.

    Raises `UnreadableError`.
    """
    due, manager = {*own_namespaces(stack, planned)} - {*stack.settings.imports.namespaces}, stack.manager
    return sorted(
        metadata["name"]
        for metadata in cluster.metadata(_NAMESPACES)
        if metadata["name"] in due and not by_stack(metadata, manager) and not _holds_own(cluster, metadata, manager)
    )


def _holds_own(cluster: Cluster, metadata: Manifest, manager: str) -> bool:
    """Whether the stack applied something in a namespace without a mark: one that was applied with nothing but its
    name."""
    if by_pulumi(metadata):
        return False
    within = f"namespaces/{metadata['name']}"
    paths = (f"/api/v1/{within}/serviceaccounts", f"{_POLICIES}/{within}/networkpolicies")
    return any(by_stack(each, manager) for path in paths for each in cluster.metadata(path))


def import_problems(stack: Stack, planned: Plan) -> ConfigError | None:
    """The error for imported namespaces that the stack does not create; `None` without one."""
    own, source = own_namespaces(stack, planned), StackSource(stack.file, stack.line_of)
    problems = [
        source.problem(f"imports.namespaces[{number}]", "the stack creates no such namespace", name, own)
        for number, name in enumerate(stack.settings.imports.namespaces)
        if name not in own
    ]
    return ConfigError(problems) if problems else None


def import_text(names: Sequence[str]) -> str:
    """What to do about namespaces of others."""
    listed = ", ".join(names)
    return f"rename the stack's, or import one at a time: imports.namespaces: [{listed}] (zt adopt says what is there)"


@dataclass
class ObjectsOfOthers:
    """Looks at each object before it is created. `connect` is called when the first one is.

    In a `preview` an identity that may read nothing is warned about once, and the update looks again.
    """

    stack: Stack
    connect: Callable[[], Cluster]
    preview: bool
    warn: Callable[[str], None]
    _cluster: Cluster | None = None
    _warned: set[str] = field(default_factory=set[str])
    _made: dict[tuple[str, str, str, str], str] = field(default_factory=dict[tuple[str, str, str, str], str])
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(_LOOKS_AT_ONCE))

    def refuse_namespaces(self, planned: Plan) -> None:
        """Raise `ConfigError` for namespaces of others, before any resource is registered."""
        if error := import_problems(self.stack, planned):
            raise error
        source = StackSource(self.stack.file, self.stack.line_of)
        try:
            foreign = namespaces_of_others(self.stack, planned, self._connected())
        except (UnreadableError, ConnectionError) as error:
            if not self.preview:
                message = f"whether the stack's namespaces are there already cannot be checked: {error}"
                raise ConfigError([source.problem("imports.namespaces", message)]) from error
            self._warn_once(f"whether the stack's namespaces are there already was not checked: {error}")
            return
        if foreign:
            message = f"there already, and not this stack's: {', '.join(foreign)}; {import_text(foreign)}"
            raise ConfigError([source.problem("imports.namespaces", message)])

    def watch(self) -> None:
        """From now on look at each object in the cluster before the program creates it."""
        hook = pulumi.ResourceHook("objects-of-others", self._look, pulumi.ResourceHookOptions(on_dry_run=True))
        binding = pulumi.ResourceHookBinding(before_create=[hook])

        def watched(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
            if not args.type_.startswith("kubernetes:") or args.type_ in _OF_OTHERS_ALREADY:
                return None
            props = cast("dict[str, Any]", args.props)
            self._refuse_second(args.type_, args.name, props)
            added = pulumi.ResourceOptions(hooks=binding)
            if args.type_ == _NAMESPACE and self._is_imported(props):
                added = pulumi.ResourceOptions(hooks=binding, retain_on_delete=True)
            return pulumi.ResourceTransformationResult(props, pulumi.ResourceOptions.merge(args.opts, added))

        pulumi.runtime.register_stack_transformation(watched)

    def _refuse_second(self, type_: str, name: str, props: Mapping[str, Any]) -> None:
        """Raise `ConfigError` for an object that another resource of the stack is already.

        The provider would apply the second over the first, as a chart's own policy over a rule of the platform's.
        """
        metadata: object = props.get("metadata")
        if not isinstance(metadata, dict) or type_.endswith("Patch"):
            return
        named = cast("dict[str, object]", metadata)
        own, namespace = named.get("name"), named.get("namespace") or ""
        if not isinstance(own, str) or not isinstance(namespace, str):
            return
        _, api, kind = type_.split(":")
        first = self._made.setdefault((api.partition("/")[0], kind, namespace, own), name)
        if first != name:
            where = f"{namespace}/{own}" if namespace else own
            message = f"two resources of the stack are the {kind} {where}, {first} and {name}: leave out one of them"
            raise ConfigError([Problem(self.stack.file, "packages", message)])

    def _is_imported(self, namespace: Mapping[str, Any]) -> bool:
        return part(namespace, "metadata").get("name") in self.stack.settings.imports.namespaces

    async def _look(self, args: pulumi.ResourceHookArgs) -> None:
        inputs, context = dict(args.new_inputs or {}), copy_context()
        # In the loop's own threads the SDK waits for objects to be registered, which wait for this look: with as many
        # objects as threads none would be left for it.
        await asyncio.get_running_loop().run_in_executor(self._threads, lambda: context.run(self.refuse, inputs))

    def refuse(self, inputs: Mapping[str, Any]) -> None:
        """Raise `ConfigError` for an object that is there and that the stack neither applied nor imports."""
        api_version, kind = str(inputs.get("apiVersion", "")), str(inputs.get("kind", ""))
        metadata = part(inputs, "metadata")
        name, namespace = metadata.get("name"), metadata.get("namespace") or ""
        if not (api_version and kind and isinstance(name, str) and isinstance(namespace, str)):
            return
        place = name if kind == "Namespace" else namespace
        if place in self.stack.settings.imports.namespaces:
            return
        try:
            there = self._there(api_version, kind, namespace, name)
        except (UnreadableError, ConnectionError) as error:
            if not self.preview:
                raise
            self._warn_once(f"whether objects of the stack are there already was not checked: {error}")
            return
        if there is None or by_stack(part(there, "metadata"), self.stack.manager):
            return
        what = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
        fix = f"rename or delete it, or import its namespace: imports.namespaces: [{namespace}]"
        fix = fix if namespace in self.stack.namespaces else "rename or delete it"
        source = StackSource(self.stack.file, self.stack.line_of)
        message = f"{what} is there already, and not this stack's: {fix}"
        raise ConfigError([source.problem("imports.namespaces", message)])

    def _there(self, api_version: str, kind: str, namespace: str, name: str) -> Manifest | None:
        """The object, which has no namespace where its kind has none: the provider gives one to kinds that it does not
        know."""
        cluster = self._connected()
        there = cluster.found(path_of(api_version, kind, namespace, name))
        if there is None and namespace and api_version.rpartition("/")[0] not in KUBERNETES_GROUPS:
            return cluster.found(path_of(api_version, kind, "", name))
        return there

    def _connected(self) -> Cluster:
        if self._cluster is None:
            self._cluster = self.connect()
        return self._cluster

    def _warn_once(self, text: str) -> None:
        kind = text.partition(":")[0]
        if kind not in self._warned:
            self._warned.add(kind)
            self.warn(f"{text}. `pulumi up` checks it before it changes anything.")
