"""A private OpenBao with TLS on loopback."""

import datetime as dt
import ipaddress
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hvac
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hvac.exceptions import VaultError

from tests.support.provider_plugin import Plugin, running_plugin, secret

START_TIMEOUT = 30.0


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
