"""`Package`: a chart of somebody else on the platform, with nothing trusted that its file does not declare."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from components.kube.manifest import of_kind
from components.kube.objects import KubernetesObject
from components.kube.written import below
from components.package.args import PackageArgs
from components.package.manifests import applied, default_deny, destination_rules, exceptions
from components.package.rendered.objects import DEFINITION, RenderedObject
from components.package.rendered.reach import comes_last
from components.service.exception_objects import exception_annotations, exception_objects
from components.service.kept_secrets import first_values, kept_secrets
from components.service.manifests.vault import uses_vault
from components.service.network_resources import network_resources
from components.service.route_resources import route_resources
from components.service.vault_role import vault_role


class Package(pulumi.ComponentResource):
    """One package and everything that follows from its file.

    It creates:

    - the NetworkPolicy that closes the namespace, and for each workload the NetworkPolicy, the objects for the mesh and
      the AuthorizationPolicy of its calls
    - for each Service the DestinationRule with the service accounts behind it
    - the exceptions from rules, each before the workload that needs it
    - the objects of the chart, one resource each: definitions first, then what has no pods, the jobs that Helm would
      run before the release, the workloads, those that it would run after, and at the end what the workloads answer
      for. Definitions and claims to volumes stay when the package goes.

    - for secrets a Vault policy and role for the workload's service account, and the first values
    - for a public host the route

    Pass the providers of Kubernetes and Vault in `opts.providers`, and the namespace in `opts.depends_on`.
    """

    ready: list[pulumi.Resource]
    """The resources that must be ready before the package is up."""

    def __init__(self, name: str, args: PackageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("zero-trust:platform:Package", name, None, opts)
        self._name = name
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self, depends_on=opts.depends_on if opts else None)
        self._in_vault = pulumi.ResourceOptions.merge(
            self._child, pulumi.ResourceOptions(deleted_with=opts.deleted_with if opts else None)
        )
        excepted = {
            workload: exception_objects(f"{name}.{workload}", manifests, self._child)
            for workload, manifests in exceptions(args).items()
        }
        annotations = {workload: exception_annotations(made) for workload, made in excepted.items()}
        controls = [*self._policies(), *self._secrets(), *(made for each in excepted.values() for made in each)]
        self.ready = self._objects(annotations, controls)
        for workload in args.public:
            self.ready += route_resources(f"{name}.{workload.name}", workload, self._child)
        self.register_outputs({"name": args.name, "namespace": args.namespace})

    def _policies(self) -> list[pulumi.Resource]:
        args, resources = self._args, list[pulumi.Resource]()
        if args.platform.network_policies:
            closed = default_deny(args)
            resources.append(
                KubernetesObject(f"{self._name}.default-deny", of_kind("NetworkPolicy", **closed), self._child)
            )
        for workload in args.workloads:
            resources += network_resources(f"{self._name}.{workload.name}", workload, self._child)
        for rule in destination_rules(args):
            service = rule["metadata"]["name"]
            resources.append(KubernetesObject(f"{self._name}.{service}.destinationrule", rule, self._child))
        return resources

    def _secrets(self) -> list[pulumi.Resource]:
        """What Vault keeps for each workload, and the role by which that may read it."""
        resources: list[pulumi.Resource] = []
        for workload in self._args.workloads:
            name = f"{self._name}.{workload.name}"
            if uses_vault(workload):
                values = {workload.secret_path(each): first_values(name, each, self) for each in workload.own_secrets}
                resources += kept_secrets(name, workload, values, self._in_vault)
                resources += vault_role(name, workload, self._in_vault)
        return resources

    def _objects(
        self, annotations: Mapping[str, Mapping[str, Any]], controls: Sequence[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        """The objects of the chart, each step after the one before it."""
        made: list[pulumi.Resource] = []
        before = list(controls)
        for step in _steps(self._args.objects.objects):
            after = pulumi.ResourceOptions.merge(self._child, pulumi.ResourceOptions(depends_on=before))
            resources = [self._object(each, annotations.get(each.name, {}), after) for each in step]
            made += resources
            before = resources or before
        return made

    def _object(
        self, each: RenderedObject, annotations: Mapping[str, Any], opts: pulumi.ResourceOptions
    ) -> pulumi.Resource:
        manifest = applied(self._args, each)
        if each.template is not None and annotations:
            meta = below(manifest, "metadata")
            manifest["metadata"] = {**meta, "annotations": {**below(meta, "annotations"), **annotations}}
        if each.kind == DEFINITION or each.is_claim:
            # With a definition go all objects of its kind, whosever they are, and with a claim goes its data.
            opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(retain_on_delete=True))
        return KubernetesObject(self._resource_name(each), manifest, opts)

    def _resource_name(self, each: RenderedObject) -> str:
        elsewhere = f".{each.namespace}" if each.namespace not in ("", self._args.namespace) else ""
        group = f".{each.group}" if each.group and "." in each.group else ""
        return f"{self._name}.{each.kind.lower()}{group}{elsewhere}.{each.name}"


def _steps(objects: Sequence[RenderedObject]) -> list[list[RenderedObject]]:
    """The objects in the order of their creation; those of one step need nothing of each other.

    What has no pods and is a hook stands with the rest of its kind: it is there before any pod.
    """
    places: dict[tuple[int, int], list[RenderedObject]] = {}
    for each in objects:
        places.setdefault(_place(each), []).append(each)
    return [places[place] for place in sorted(places)]


def _place(each: RenderedObject) -> tuple[int, int]:
    when, weight = each.order
    if each.kind == DEFINITION:
        return 0, 0
    if comes_last(each):
        return 5, 0
    if each.template is None:
        return 1, 0
    return (3, 0) if not when else (2, weight) if when < 0 else (4, weight)
