"""The objects that `pulumi up` of a stack creates, said by the program itself, which runs against a recorder."""

import asyncio
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pulumi
from pulumi.runtime import mocks
from pulumi.runtime.config import set_all_config

from components.kube.names import PROJECT, SECRETS
from components.program.plan import Plan
from components.program.stack import Stack
from zt.project.options import CHECKOUT

_RELEASE = "kubernetes:helm.sh/v3:Release"
_FILE = "kubernetes:yaml/v2:ConfigFile"


@dataclass(frozen=True)
class Object:
    """An object that the program itself creates."""

    api_version: str
    kind: str
    namespace: str
    """Empty for an object without one, and for one whose namespace the program leaves open."""
    name: str
    manifest: Mapping[str, Any] = field(compare=False)


@dataclass(frozen=True)
class Release:
    """A Helm release that the program creates, by the name of its chart."""

    name: str
    namespace: str
    chart: str


@dataclass(frozen=True)
class Created:
    """Everything in the cluster that the program creates; `files` are addresses of files with more objects."""

    objects: tuple[Object, ...] = ()
    releases: tuple[Release, ...] = ()
    files: tuple[str, ...] = ()

    def of(self, kind: str) -> list[Object]:
        """The objects of a kind."""
        return [each for each in self.objects if each.kind == kind]

    def chart(self, name: str) -> Release | None:
        """The release of a chart, if there is one."""
        return next((release for release in self.releases if release.chart == name), None)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that the program creates."""
        return tuple(sorted(each.name for each in self.of("Namespace")))


def created_by(stack: Stack, planned: Plan) -> Created:
    """What the program creates for a plan. It asks no server: values that only one knows stay unknown."""
    create = cast("Callable[[Stack, Plan], object]", runpy.run_path(str(CHECKOUT / "__main__.py"))["create"])
    # The SDK takes the loop of the thread, and not every thread has one.
    asyncio.set_event_loop(asyncio.new_event_loop())
    recorder = _Recorder()
    pulumi.runtime.set_mocks(recorder, PROJECT, "preflight", preview=True)
    names = [database.admin_secret for database in stack.settings.databases.values() if database.admin_secret]
    set_all_config({f"{SECRETS}:{name}": "not known here" for name in names}, [])

    def program() -> None:
        create(stack, planned)

    # The SDK does not type its decorator.
    runtime: Any = pulumi.runtime
    runtime.test(program)()
    return Created(tuple(recorder.objects), tuple(recorder.releases), tuple(recorder.files))


@dataclass
class _Recorder(mocks.Mocks):
    """Keeps the inputs of each resource in the cluster."""

    objects: list[Object] = field(default_factory=list[Object])
    releases: list[Release] = field(default_factory=list[Release])
    files: list[str] = field(default_factory=list[str])

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], None]:
        """Refuse: the program calls no function of a provider."""
        raise NotImplementedError(args.token)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """Record a resource; its outputs are its inputs."""
        inputs = cast("dict[str, Any]", args.inputs)
        metadata: dict[str, Any] = inputs.get("metadata") or {}
        if args.typ == _RELEASE:
            chart = str(inputs["chart"]).rsplit("/", 1)[-1].partition("@")[0]
            self.releases.append(Release(inputs["name"], inputs["namespace"], chart))
        elif args.typ == _FILE:
            self.files.append(str(inputs["file"]))
        elif args.typ.startswith("kubernetes:") and inputs.get("kind"):
            name, namespace = str(metadata.get("name", args.name)), str(metadata.get("namespace", ""))
            self.objects.append(Object(inputs["apiVersion"], inputs["kind"], namespace, name, inputs))
        return f"{args.name}-id", dict(inputs)
