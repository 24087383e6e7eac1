"""A monitor that records what a program registers, with the resource options that `pulumi.runtime.Mocks` cannot see."""

import asyncio
import base64
import contextlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.json_format import MessageToDict
from pulumi.runtime import mocks
from pulumi.runtime.config import set_all_config
from pulumi.runtime.settings import get_root_resource
from pulumi.runtime.stack import Stack

from tests.support.offline_root import request

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"

INTERMEDIATE_REQUEST = request([], ec.generate_private_key(ec.SECP384R1()))
IMPORTED_ISSUER = "the-issuer-of-the-certificate"
AUTHORITY = "the certificate of the authority that cert-manager has"


@dataclass(frozen=True)
class Registered:
    """One resource as the engine would be asked to register it."""

    type: str
    name: str
    urn: str
    inputs: Mapping[str, Any]
    parent: str
    provider: str
    dependencies: frozenset[str]
    deleted_with: str
    protect: bool
    retain_on_delete: bool
    ignore_changes: tuple[str, ...]
    replace_on_changes: tuple[str, ...]
    delete_before_replace: bool
    secret_inputs: frozenset[str]
    hooks: tuple[str, ...]
    before_create: tuple[str, ...]
    aliases: tuple[str, ...]
    """The URNs of the parents that it had before."""
    applied_by: Mapping[str, str]
    """The annotations that say how the provider applies it, which `inputs` are without."""

    @property
    def custom(self) -> bool:
        return not self.type.startswith("zero-trust:")


@dataclass
class Recording:
    """Everything that one run registered, and its stack outputs."""

    resources: list[Registered] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    """The files that it wrote, by name."""

    def of(self, type_: str) -> list[Registered]:
        """The resources whose type ends so: `Deployment`, `vault:index/mount:Mount`."""
        return [made for made in self.resources if made.type == type_ or made.type.endswith(f":{type_}")]

    def one(self, type_: str, name: str = "") -> Registered:
        found = [made for made in self.of(type_) if not name or made.name == name]
        assert len(found) == 1, f"{type_} {name}: {[made.name for made in self.of(type_)]}"
        return found[0]

    def behind(self, made: Registered) -> set[str]:
        """The names of everything that a resource waits for, directly or through others."""
        by_urn = {other.urn: other for other in self.resources}
        seen: set[str] = set()
        todo = list(made.dependencies)
        while todo:
            urn = todo.pop()
            if urn in seen:
                continue
            seen.add(urn)
            todo += by_urn[urn].dependencies
        return {by_urn[urn].name for urn in seen}


class _Provider(mocks.Mocks):
    """Answers like the providers do, where the program reads a computed value."""

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], None]:
        raise AssertionError(f"the program calls no function, and called {args.token}")

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        outputs = dict(args.inputs)
        if args.typ == "random:index/randomPassword:RandomPassword":
            outputs["result"] = f"generated-{args.name}"
        if args.typ.endswith("SecretBackendIntermediateCertRequest"):
            outputs["csr"] = INTERMEDIATE_REQUEST
        if args.typ.endswith("SecretBackendIntermediateSetSigned"):
            outputs["importedIssuers"] = [IMPORTED_ISSUER]
        if args.typ.endswith(":CertificateRequest"):
            outputs["status"] = {"ca": base64.b64encode(AUTHORITY.encode()).decode()}
        if args.typ == "kubernetes:core/v1:Secret" and outputs.get("type") == "kubernetes.io/service-account-token":
            outputs["data"] = {
                "token": base64.b64encode(b"reviewer-token").decode(),
                "ca.crt": base64.b64encode(b"cluster-ca").decode(),
            }
        return f"{args.name}-id", outputs


class RecordingMonitor(mocks.MockMonitor):
    def __init__(self, recording: Recording) -> None:
        super().__init__(_Provider())
        self._recording = recording

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the name that the monitor's protocol gives it
        answer = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            raw = MessageToDict(request.object)
            inputs, applied_by = _without_marks(_plain(raw))
            self._recording.resources.append(
                Registered(
                    type=request.type,
                    name=request.name,
                    urn=answer.urn,
                    inputs=inputs,
                    parent=request.parent,
                    provider=request.provider,
                    dependencies=frozenset(request.dependencies),
                    deleted_with=request.deletedWith,
                    protect=request.protect,
                    retain_on_delete=request.retainOnDelete,
                    ignore_changes=tuple(request.ignoreChanges),
                    replace_on_changes=tuple(request.replaceOnChanges),
                    delete_before_replace=request.deleteBeforeReplace,
                    secret_inputs=frozenset(key for key, value in raw.items() if _holds_secret(value)),
                    hooks=tuple(request.hooks.after_create),
                    before_create=tuple(request.hooks.before_create),
                    aliases=tuple(alias.spec.parentUrn for alias in request.aliases if alias.spec.parentUrn),
                    applied_by=applied_by,
                )
            )
        return answer


def _holds_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get(_SIGNATURE) == _SECRET or any(_holds_secret(inner) for inner in value.values())
    return isinstance(value, list) and any(_holds_secret(inner) for inner in value)


def _without_marks(inputs: Any) -> tuple[Any, dict[str, str]]:
    """The inputs without the annotations that are for the provider alone, and those."""
    metadata = inputs.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    marks = {key: value for key, value in annotations.items() if key.startswith("pulumi.com/patch")}
    if not marks:
        return inputs, {}
    metadata = {**metadata, "annotations": {key: value for key, value in annotations.items() if key not in marks}}
    if not metadata["annotations"]:
        del metadata["annotations"]
    return {**inputs, "metadata": metadata}, marks


def _plain(value: Any) -> Any:
    """A value without secret envelopes, its whole numbers as integers again."""
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            return _plain(value["value"])
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _ensure_event_loop() -> None:
    """The SDK takes the thread's loop, and a test that ran `asyncio.run` leaves none behind."""
    try:
        asyncio.get_event_loop()
    except RuntimeError:
        asyncio.set_event_loop(asyncio.new_event_loop())


def record(
    program: Callable[[], object],
    stack: str = "test",
    config: Mapping[str, str] | None = None,
    recording: Recording | None = None,
    preview: bool = False,
) -> Recording:
    """Run a program against the recording monitor and return what it registered.

    Pass a `recording` to see what a program registered before it failed.
    """
    recording = recording or Recording()
    _ensure_event_loop()
    pulumi.runtime.set_mocks(_Provider(), "zero-trust", stack, preview=preview, monitor=RecordingMonitor(recording))
    set_all_config(dict(config or {}), [])
    root = get_root_resource()
    assert isinstance(root, Stack)
    root.outputs.clear()
    # The runs of a test process share one root: what one registered would change the next.
    root._transformations = []
    # The program writes what it learns of the cluster beside itself.
    with tempfile.TemporaryDirectory() as directory, contextlib.chdir(directory):
        pulumi.runtime.test(lambda: program() and None)()
        recording.written = {path.name: path.read_text() for path in Path(directory).iterdir()}
    recording.outputs = dict(root.outputs)
    return recording
