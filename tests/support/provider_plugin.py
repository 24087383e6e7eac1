"""A small engine that drives a provider plugin over gRPC as pulumi does."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc
import pytest
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "embedded" / "providers" / "bin"
# The wire format of a secret, spelled out here so that the tests don't share the code they test.
SIGNATURE, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


def secret(value: object) -> dict[str, object]:
    """A value as the SDK sends it when the program marked it as secret."""
    return {SIGNATURE: SECRET, "value": value}


class Plugin:
    """A provider plugin in a process of its own, and its calls."""

    def __init__(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        bare = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": "/nonexistent"}
        self.process = subprocess.Popen(
            [str(PLUGINS / f"pulumi-resource-{name}"), "127.0.0.1:1"],
            stdout=subprocess.PIPE,
            env={**bare, **(environment or {})},
        )
        assert self.process.stdout
        port = int(self.process.stdout.readline())
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = provider_pb2_grpc.ResourceProviderStub(self.channel)

    def configure(self, settings: Mapping[str, object]) -> None:
        """Check the configuration and configure, as the engine does before the first resource."""
        urn = f"urn:pulumi:test::test::pulumi:providers:{self.name}::explicit"
        checked = self.stub.CheckConfig(provider_pb2.CheckRequest(urn=urn, news=struct(settings)))
        if checked.failures:
            raise AssertionError("; ".join(failure.reason for failure in checked.failures))
        self.stub.Configure(
            provider_pb2.ConfigureRequest(args=checked.inputs, acceptSecrets=True, acceptResources=True)
        )

    def stop(self) -> int:
        self.channel.close()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=600)


@contextmanager
def running_plugin(
    name: str, settings: Mapping[str, object] | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[Plugin]:
    plugin = Plugin(name, environment)
    try:
        if settings is not None:
            plugin.configure(settings)
        yield plugin
    finally:
        plugin.stop()


def struct(values: Mapping[str, object]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    json_format.ParseDict(dict(values), message)
    return message


def plain(message: struct_pb2.Struct) -> dict[str, object]:
    """The properties of a message, secrets unwrapped."""
    return {name: _unwrapped(value) for name, value in json_format.MessageToDict(message).items()}


def secret_names(message: struct_pb2.Struct) -> set[str]:
    values = json_format.MessageToDict(message)
    return {name for name, value in values.items() if isinstance(value, dict) and value.get(SIGNATURE) == SECRET}


def _unwrapped(value: object) -> object:
    return value["value"] if isinstance(value, dict) and value.get(SIGNATURE) == SECRET else value


def _said(value: Mapping[str, object]) -> dict[str, object]:
    within = {name: _said(item) if isinstance(item, dict) else _unwrapped(item) for name, item in value.items()}
    return {name: item for name, item in within.items() if item not in (None, "", [], {})}


class CheckError(Exception):
    """The plugin refused the inputs."""


@dataclass
class Managed:
    """One resource, taken through its life as the engine would: its state is what the plugin answered last."""

    plugin: Plugin
    token: str
    name: str = "it"
    id: str = ""
    inputs: struct_pb2.Struct = field(default_factory=struct_pb2.Struct)
    outputs: struct_pb2.Struct = field(default_factory=struct_pb2.Struct)

    @property
    def urn(self) -> str:
        return f"urn:pulumi:test::test::zero-trust:platform:X${self.token}::{self.name}"

    @property
    def state(self) -> dict[str, object]:
        return plain(self.outputs)

    def checked(self, inputs: Mapping[str, object]) -> struct_pb2.Struct:
        request = provider_pb2.CheckRequest(urn=self.urn, olds=self.inputs, news=struct(inputs), randomSeed=b"seed")
        answer = self.plugin.stub.Check(request)
        if answer.failures:
            raise CheckError("; ".join(f"{failure.property}: {failure.reason}" for failure in answer.failures))
        return answer.inputs

    def diff(self, inputs: Mapping[str, object]) -> provider_pb2.DiffResponse:
        return self._diff(self.checked(inputs))

    def _diff(self, news: struct_pb2.Struct) -> provider_pb2.DiffResponse:
        request = provider_pb2.DiffRequest(
            id=self.id, urn=self.urn, olds=self.outputs, news=news, old_inputs=self.inputs
        )
        return self.plugin.stub.Diff(request)

    def preview(self, inputs: Mapping[str, object]) -> dict[str, object]:
        request = provider_pb2.CreateRequest(urn=self.urn, properties=self.checked(inputs), preview=True)
        return plain(self.plugin.stub.Create(request).properties)

    def up(self, inputs: Mapping[str, object], *, delete_first: bool = False) -> str:
        """Bring the object to these inputs; what it took: create, same, update or replace.

        `delete_first` is the program's `delete_before_replace`.
        """
        news = self.checked(inputs)
        if not self.id:
            return self._create(news, "create")
        diff = self._diff(news)
        if diff.changes == provider_pb2.DiffResponse.DIFF_NONE:
            return "same"
        if diff.replaces:
            old = replace(self)
            if delete_first or diff.deleteBeforeReplace:
                old.destroy()
                return self._create(news, "replace")
            self._create(news, "replace")
            old.destroy()
            return "replace"
        request = provider_pb2.UpdateRequest(
            id=self.id, urn=self.urn, olds=self.outputs, news=news, old_inputs=self.inputs
        )
        self.inputs, self.outputs = news, self.plugin.stub.Update(request).properties
        return "update"

    def _create(self, news: struct_pb2.Struct, verb: str) -> str:
        answer = self.plugin.stub.Create(provider_pb2.CreateRequest(urn=self.urn, properties=news))
        self.id, self.inputs, self.outputs = answer.id, news, answer.properties
        return verb

    def refresh(self) -> str:
        """Read the object: same, changed or gone. What was null may be empty now, as with every bridged provider."""
        request = provider_pb2.ReadRequest(id=self.id, urn=self.urn, properties=self.outputs, inputs=self.inputs)
        answer = self.plugin.stub.Read(request)
        if not answer.id:
            self.id = ""
            return "gone"
        before = self.outputs
        self.inputs, self.outputs = answer.inputs, answer.properties
        return "same" if _said(plain(answer.properties)) == _said(plain(before)) else "changed"

    def take_over(self, object_id: str) -> "Managed":
        """Import an existing object by its id alone."""
        answer = self.plugin.stub.Read(provider_pb2.ReadRequest(id=object_id, urn=self.urn))
        return Managed(self.plugin, self.token, self.name, answer.id, answer.inputs, answer.properties)

    def destroy(self) -> None:
        request = provider_pb2.DeleteRequest(id=self.id, urn=self.urn, properties=self.outputs, old_inputs=self.inputs)
        self.plugin.stub.Delete(request)
        self.id = ""


def failure(call) -> str:
    """The text of the error that a call to a plugin ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return str(caught.value.details())


def as_json(value: object) -> str:
    """JSON as a program would write it."""
    return json.dumps(value)
