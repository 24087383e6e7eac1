"""The gRPC ``ResourceProvider`` that ``pulumi`` talks to: one for every table, as the provider protocol asks.

Protocol: pulumi/pulumi, ``proto/pulumi/provider.proto``. The process prints the port it listens on, and ends with the
engine that started it.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Collection
from concurrent import futures
from dataclasses import dataclass
from typing import Protocol

import grpc
from google.protobuf import empty_pb2, message
from pulumi.runtime.proto import plugin_pb2, provider_pb2

from . import engine
from .rows import ProviderError, Row, Values
from .wire import decode, encode

# Keys that the engine keeps among the inputs of a provider resource.
_ENGINE_KEYS = ("version", "pluginDownloadURL")
# Above pulumi's default of parallel operations on small machines; threads are only made as they are needed.
_WORKERS = 32
_PARENT_CHECK = 1.0
# What pulumi allows its own plugins (rpcutil.GrpcChannelOptions).
_LIMITS = (("grpc.max_receive_message_length", 400 << 20), ("grpc.max_send_message_length", 400 << 20))


class Backend(Protocol):
    """What carries a row out. ``state`` is the outputs as last known; reading None means that the object is gone."""

    def create(self, row: Row, inputs: Values) -> tuple[str, dict[str, object]]:
        """Make the object; its id and outputs."""
        ...

    def read(self, row: Row, object_id: str, state: Values) -> tuple[str, dict[str, object]] | None:
        """The object as it is, by its id alone (import) or with the state known so far (refresh)."""
        ...

    def update(self, row: Row, object_id: str, state: Values, old_inputs: Values, inputs: Values) -> dict[str, object]:
        """Change the object in place; its new outputs."""
        ...

    def delete(self, row: Row, object_id: str, state: Values) -> None:
        """Remove the object; no error when it is gone already."""
        ...

    def close(self) -> None:
        """Give back what was taken (a login)."""
        ...


@dataclass(frozen=True)
class Package:
    """A Pulumi package: its SDK's distribution, its table, its configuration, and how to connect with it.

    ``fills_defaults``: its inputs have the defaults, as those of a provider that upstream's SDK for plugins describes.
    """

    distribution: str
    rows: tuple[Row, ...]
    config: Row
    connect: Callable[[Values], Backend]
    decode_config: Callable[[Values], Values] = dict
    complete_config: Callable[[Values], Values] = dict
    fills_defaults: bool = False

    @property
    def version(self) -> str:
        """The version of the installed SDK, which is the plugin version that it asks for."""
        import importlib.metadata  # here, because it costs a fifth of the start

        return importlib.metadata.version(self.distribution)


class Provider:
    """Answers the engine's calls from the table of one package."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._backend: Backend | None = None

    @property
    def backend(self) -> Backend:
        """The connection that ``Configure`` prepared."""
        if self._backend is None:
            raise ProviderError("the provider was asked for a resource before it was configured")
        return self._backend

    def close(self) -> None:
        """Give back what the connection took."""
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()

    def handshake(self, _: provider_pb2.ProviderHandshakeRequest) -> provider_pb2.ProviderHandshakeResponse:
        """Say what values this provider understands."""
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True, accept_outputs=True)

    def info(self, _: empty_pb2.Empty) -> plugin_pb2.PluginInfo:
        """The plugin's version."""
        return plugin_pb2.PluginInfo(version=self._package.version)

    def check_config(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
        """Validate the provider's own configuration."""
        bag = decode(request.news)
        settings = {name: value for name, value in bag.values.items() if name not in _ENGINE_KEYS}
        failures = engine.check(self._package.config, self._package.decode_config(settings))
        secrets = bag.secrets | self._package.config.secrets
        inputs = self._package.complete_config(bag.values)
        return provider_pb2.CheckResponse(inputs=encode(inputs, secrets), failures=_failures(failures))

    def diff_config(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        """Compare configurations. No change of the connection replaces what it made."""
        olds, news = decode(request.old_inputs).values, decode(request.news).values
        changed = sorted(name for name in {*olds, *news} if olds.get(name) != news.get(name))
        verdict = provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=verdict, diffs=changed)

    def configure(self, request: provider_pb2.ConfigureRequest) -> provider_pb2.ConfigureResponse:
        """Keep the configuration; the connection itself is made when a resource first needs it."""
        values = decode(request.args).values
        settings = {name: value for name, value in values.items() if name not in _ENGINE_KEYS}
        self.close()
        self._backend = self._package.connect(self._package.decode_config(settings))
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True, acceptOutputs=True)

    def check(self, request: provider_pb2.CheckRequest) -> provider_pb2.CheckResponse:
        """Validate a resource's inputs and fill in the name it may leave to the provider."""
        row, bag = self._row(request.urn), decode(request.news)
        failures = engine.check(row, bag.values)
        if failures:
            return provider_pb2.CheckResponse(failures=_failures(failures))
        olds = decode(request.olds).values
        inputs = engine.complete(row, bag.values, olds, request.urn.split("::")[-1], request.randomSeed)
        inputs = engine.filled(row, inputs) if self._package.fills_defaults else inputs
        return provider_pb2.CheckResponse(inputs=encode(inputs, bag.secrets | row.secrets))

    def diff(self, request: provider_pb2.DiffRequest) -> provider_pb2.DiffResponse:
        """Say which properties differ, and whether the object has to be replaced for them."""
        row = self._row(request.urn)
        state, news = decode(request.olds).values, decode(request.news).values
        resource = request.urn.split("::")[-1]
        ignored = {path.split(".")[0].split("[")[0] for path in request.ignoreChanges}
        changes = engine.diff(row, state, decode(request.old_inputs).values, news, ignored)
        replaces = [change.prop.name for change in changes if change.replaces]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changes else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=[change.prop.name for change in changes],
            replaces=replaces,
            deleteBeforeReplace=bool(replaces) and engine.named_by_program(row, news, resource),
            hasDetailedDiff=True,
            detailedDiff={change.prop.name: _detail(change) for change in changes},
        )

    def create(self, request: provider_pb2.CreateRequest) -> provider_pb2.CreateResponse:
        """Make an object, or, in a preview, say what it will look like."""
        row, bag = self._row(request.urn), decode(request.properties)
        secrets = bag.secrets | row.secrets
        if request.preview:
            return provider_pb2.CreateResponse(properties=encode(engine.planned(row, bag.values, None), secrets))
        object_id, state = self.backend.create(row, bag.values)
        return provider_pb2.CreateResponse(id=object_id, properties=encode(state, secrets))

    def read(self, request: provider_pb2.ReadRequest) -> provider_pb2.ReadResponse:
        """Read an object for a refresh or an import; an empty id when it is gone."""
        row, known, said = self._row(request.urn), decode(request.properties), decode(request.inputs)
        found = self.backend.read(row, request.id, known.values)
        if found is None:
            return provider_pb2.ReadResponse()
        object_id, state = found
        secrets = known.secrets | said.secrets | row.secrets
        inputs = engine.refreshed_inputs(row, state, said.values)
        return provider_pb2.ReadResponse(
            id=object_id, properties=encode(state, secrets), inputs=encode(inputs, secrets)
        )

    def update(self, request: provider_pb2.UpdateRequest) -> provider_pb2.UpdateResponse:
        """Change an object in place, or, in a preview, say what it will look like."""
        row, state, news = self._row(request.urn), decode(request.olds), decode(request.news)
        secrets = news.secrets | row.secrets
        if request.preview:
            return provider_pb2.UpdateResponse(
                properties=encode(engine.planned(row, news.values, state.values), secrets)
            )
        old_inputs = decode(request.old_inputs).values
        outputs = self.backend.update(row, request.id, state.values, old_inputs, news.values)
        return provider_pb2.UpdateResponse(properties=encode(outputs, secrets))

    def delete(self, request: provider_pb2.DeleteRequest) -> empty_pb2.Empty:
        """Remove an object."""
        self.backend.delete(self._row(request.urn), request.id, decode(request.properties).values)
        return empty_pb2.Empty()

    def invoke(self, request: provider_pb2.InvokeRequest) -> provider_pb2.InvokeResponse:
        """Refuse a function by its name: the stand-ins only have resources."""
        raise ProviderError(f"the embedded stand-in has no function {request.tok}: only the official plugin has it")

    def cancel(self, _: empty_pb2.Empty) -> empty_pb2.Empty:
        """The run was interrupted: calls under way end by themselves, and the login with the process."""
        return empty_pb2.Empty()

    def attach(self, _: plugin_pb2.PluginAttach) -> empty_pb2.Empty:
        """Attach to an engine (debugging). Nothing here needs to reach it."""
        return empty_pb2.Empty()

    def _row(self, urn: str) -> Row:
        # urn:pulumi:<stack>::<project>::<parent types>$<type>::<name>
        return engine.find(self._package.rows, urn.split("::")[2].split("$")[-1])


def _failures(failures: Collection[engine.Failure]) -> list[provider_pb2.CheckFailure]:
    return [provider_pb2.CheckFailure(property=failure.property, reason=failure.reason) for failure in failures]


def _detail(change: engine.Change) -> provider_pb2.PropertyDiff:
    name = "ADD" if change.added else "DELETE" if change.removed else "UPDATE"
    kind = provider_pb2.PropertyDiff.Kind.Value(f"{name}_REPLACE" if change.replaces else name)
    return provider_pb2.PropertyDiff(kind=kind)


def _calls(provider: Provider) -> dict[str, tuple[Callable[..., message.Message], type[message.Message]]]:
    """The protocol's calls: name, what answers it, and the request's type. Any other is unimplemented."""
    return {
        "Handshake": (provider.handshake, provider_pb2.ProviderHandshakeRequest),
        "GetPluginInfo": (provider.info, empty_pb2.Empty),
        "CheckConfig": (provider.check_config, provider_pb2.CheckRequest),
        "DiffConfig": (provider.diff_config, provider_pb2.DiffRequest),
        "Configure": (provider.configure, provider_pb2.ConfigureRequest),
        "Check": (provider.check, provider_pb2.CheckRequest),
        "Diff": (provider.diff, provider_pb2.DiffRequest),
        "Create": (provider.create, provider_pb2.CreateRequest),
        "Read": (provider.read, provider_pb2.ReadRequest),
        "Update": (provider.update, provider_pb2.UpdateRequest),
        "Delete": (provider.delete, provider_pb2.DeleteRequest),
        "Invoke": (provider.invoke, provider_pb2.InvokeRequest),
        "Cancel": (provider.cancel, empty_pb2.Empty),
        "Attach": (provider.attach, plugin_pb2.PluginAttach),
    }


def _answering(
    call: Callable[..., message.Message],
) -> Callable[[message.Message, grpc.ServicerContext], message.Message]:
    def answer(request: message.Message, context: grpc.ServicerContext) -> message.Message:
        try:
            return call(request)
        except ProviderError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
            raise

    return answer


def _serialized(answer: message.Message) -> bytes:
    return answer.SerializeToString()


def start(package: Package) -> tuple[grpc.Server, Provider, int]:
    """Start answering on a free port of the loopback interface."""
    provider = Provider(package)
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            _answering(call), request_deserializer=kind.FromString, response_serializer=_serialized
        )
        for name, (call, kind) in _calls(provider).items()
    }
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=_WORKERS), options=_LIMITS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("pulumirpc.ResourceProvider", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, provider, port


def serve(package: Package) -> None:
    """Run the plugin until the engine ends it: print the port, answer, give the login back."""
    parent = os.getppid()
    server, provider, port = start(package)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    # An engine that was killed tells nobody; its plugins must not outlive it.
    while not ended.wait(_PARENT_CHECK) and os.getppid() == parent:
        pass
    provider.close()
    server.stop(grace=None)
