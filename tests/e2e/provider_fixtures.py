"""A private OpenBao with TLS on loopback, and a small engine that drives a provider plugin over gRPC as pulumi does."""

import datetime as dt
import ipaddress
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import hvac
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from google.protobuf import json_format, struct_pb2
from hvac.exceptions import VaultError
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "embedded" / "providers" / "bin"
# The wire format of a secret, spelled out here so that the tests don't share the code they test.
SIGNATURE, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
START_TIMEOUT = 30.0


def secret(value: object) -> dict[str, object]:
    """A value as the SDK sends it when the program marked it as secret."""
    return {SIGNATURE: SECRET, "value": value}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Authority:
    """A certificate authority of its own, in a directory."""

    directory: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def certificate(self) -> Path:
        path = self.directory / "ca.pem"
        if not path.exists():
            name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
            ca = x509.BasicConstraints(ca=True, path_length=0)
            self._write(path, _builder(name, name, self.key).add_extension(ca, critical=True))
        return path

    def issue(self, name: str, usage: x509.ObjectIdentifier) -> tuple[Path, Path]:
        """A certificate for ``name`` at 127.0.0.1, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.load_pem_x509_certificate(self.certificate.read_bytes()).subject
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        hosts = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = _builder(subject, issuer, key).add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        certificate, private = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        self._write(certificate, builder)
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        private.touch(mode=0o600)
        private.write_bytes(text)
        return certificate, private

    def _write(self, path: Path, builder: x509.CertificateBuilder) -> None:
        path.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(hours=2))
    )


@dataclass
class Bao:
    """An OpenBao server of its own: TLS, a static seal, storage in memory; not dev mode."""

    directory: Path
    address: str
    authority: Authority
    process: subprocess.Popen[bytes]
    token: str = ""

    @property
    def ca_file(self) -> str:
        return str(self.authority.certificate)

    @property
    def client(self) -> hvac.Client:
        """The administrator's own client, beside the plugin under test."""
        session = requests.Session()
        session.trust_env = False
        session.verify = self.ca_file
        return hvac.Client(url=self.address, token=self.token, verify=self.ca_file, session=session)

    def read(self, path: str) -> dict[str, Any]:
        """What the API has at a path; empty when there is nothing."""
        answer = self.client.adapter.request("get", f"/v1/{path}", raise_exception=False)
        return (answer.json() if isinstance(answer, requests.Response) else answer).get("data") or {}

    def write(self, path: str, **fields: object) -> None:
        self.client.adapter.request("post", f"/v1/{path}", json=fields)

    def settings(self, **more: object) -> dict[str, object]:
        """The configuration of a provider that logs in as the administrator."""
        return {
            "address": self.address,
            "caCertFile": self.ca_file,
            "token": secret(self.token),
            "skipChildToken": "true",
            **more,
        }

    def initialise(self) -> None:
        answer = self.client.sys.initialize(
            secret_shares=None, secret_threshold=None, recovery_shares=1, recovery_threshold=1
        )
        self.token = answer["root_token"]
        _until(lambda: self._leads() and self.client.sys.list_auth_methods()["data"])

    def _leads(self) -> bool:
        found: Any = self.client.sys.read_leader_status()
        return not found["ha_enabled"] or found["is_self"]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=600)


def _until(ready) -> None:
    end = time.monotonic() + START_TIMEOUT
    while time.monotonic() < end:
        with suppress(requests.RequestException, VaultError):
            if ready():
                return
        time.sleep(0.05)
    raise TimeoutError("OpenBao was not ready in time")


def start_bao(directory: Path, *, raft: bool = False) -> Bao:
    """Start a server that answers but is not initialised; its storage is in memory, or raft's."""
    authority = Authority(directory)
    certificate, key = authority.issue("bao", ExtendedKeyUsageOID.SERVER_AUTH)
    if not (seal := directory / "seal.key").exists():
        seal.write_bytes(secrets.token_bytes(32))
    port = free_port()
    storage = 'storage "inmem" {}\n'
    if raft:
        (directory / "raft").mkdir()
        node = f'  path = "{directory}/raft"\n  node_id = "one"\n  performance_multiplier = 1\n'
        storage = f'storage "raft" {{\n{node}}}\ncluster_addr = "https://127.0.0.1:{free_port()}"\n'
    config = directory / "bao.hcl"
    config.write_text(
        f"{storage}"
        f'listener "tcp" {{\n  address = "127.0.0.1:{port}"\n'
        f'  tls_cert_file = "{certificate}"\n  tls_key_file = "{key}"\n}}\n'
        f'seal "static" {{\n  current_key_id = "k1"\n  current_key = "file://{directory}/seal.key"\n}}\n'
        f'api_addr = "https://127.0.0.1:{port}"\nunsafe_allow_api_audit_creation = true\n'
    )
    with (directory / "bao.log").open("wb") as log:
        command = [str(Path(sys.executable).parent / "bao"), "server", f"-config={config}"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    bao = Bao(directory, f"https://127.0.0.1:{port}", authority, process)
    _until(lambda: bao.client.sys.read_seal_status()["type"] == "static")
    return bao


@contextmanager
def running_bao(directory: Path, *, initialised: bool = True, raft: bool = False) -> Iterator[Bao]:
    bao = start_bao(directory, raft=raft)
    try:
        if initialised:
            bao.initialise()
        yield bao
    finally:
        bao.stop()


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


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    """A running, unsealed OpenBao."""
    with running_bao(tmp_path_factory.mktemp("bao")) as server:
        yield server


@pytest.fixture(scope="module")
def vault(bao: Bao) -> Iterator[Plugin]:
    """The vault plugin, logged in as the administrator."""
    with running_plugin("vault", bao.settings()) as plugin:
        yield plugin


def as_json(value: object) -> str:
    """JSON as a program would write it."""
    return json.dumps(value)
