"""A renewed certificate reaches a server that runs: the script of the container beside it, on a real OpenBao."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from components.vault.values import reload_script
from tests.support.vault_server import Bao, running_bao
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e


@pytest.fixture
def bao(tmp_path: Path) -> Iterator[Bao]:
    with running_bao(tmp_path) as running:
        yield running


@contextmanager
def reloading(bao: Bao, directory: Path) -> Iterator[None]:
    """The script beside the server. In the pod only that server is in sight of `pkill`; here it stands for it."""
    tools = directory / "tools"
    tools.mkdir()
    (tools / "pkill").write_text(f'#!/bin/sh\n[ "$*" = "-HUP -x bao" ] && kill -HUP {bao.process.pid}\n')
    (tools / "pkill").chmod(0o700)
    script = reload_script("bao", str(directory / "tls"), seconds=1)
    running = subprocess.Popen(["/bin/sh", "-c", script], env={"PATH": f"{tools}:/usr/bin:/bin"})
    try:
        yield
        assert running.poll() is None
    finally:
        running.kill()
        running.wait()


def served(bao: Bao) -> int:
    """The serial number of the certificate that the server shows."""
    host, port = bao.address.removeprefix("https://").split(":")
    return x509.load_pem_x509_certificate(ssl.get_server_certificate((host, int(port))).encode()).serial_number


def test_the_server_shows_the_new_certificate_and_goes_on(bao: Bao, tmp_path: Path) -> None:
    first, mounted = served(bao), tmp_path / "tls"
    mounted.mkdir()
    shutil.copy(tmp_path / "bao.pem", mounted / "tls.crt")
    with reloading(bao, tmp_path):
        bao.authority.issue("bao", ExtendedKeyUsageOID.SERVER_AUTH)
        assert served(bao) == first, "it reads its files when it is told to"
        shutil.copy(tmp_path / "bao.pem", mounted / "tls.crt")
        eventually(lambda: served(bao) != first, "the new certificate")
        assert bao.process.poll() is None
        assert bao.client.sys.read_health_status(method="GET")["sealed"] is False
