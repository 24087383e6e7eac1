"""The certificate files that a stack file names: what is passed on, and what is refused with its key."""

import ssl
from pathlib import Path

import pytest
import trustme

from components.config.pem_file import read_pem
from components.schema.problem import FieldError

pytestmark = pytest.mark.unit

PEM = trustme.CA().cert_pem.bytes().decode()
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n"


def test_without_a_file_there_is_no_text() -> None:
    assert read_pem(None, "vault.caCertFile") == ""


@pytest.mark.parametrize("text", [PEM, f"# Prüfstelle Köln\n{PEM}", f"{PEM}\n{PEM}", f"{PEM}# bis 2030: é\n"])
def test_the_text_is_passed_on_as_it_is(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(text, encoding="utf-8")
    assert read_pem(str(file), "vault.caCertFile") == text


def test_a_byte_order_mark_does_not_hide_the_first_certificate(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(PEM, encoding="utf-8-sig")
    assert read_pem(str(file), "vault.caCertFile") == PEM


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "holds no certificate; legal: a certificate in PEM"),
        (b"Subject: CN=ca\n", "holds no certificate; legal: a certificate in PEM"),
        (PEM.replace("CERTIFICATE", "PUBLIC KEY").encode(), "holds no certificate; legal: a certificate in PEM"),
        (PEM[: len(PEM) // 2].encode(), "holds no certificate; legal: a certificate in PEM"),
        (PEM.replace("MII", "MIA", 1).encode(), "holds no certificate; legal: a certificate in PEM"),
        (ssl.PEM_cert_to_DER_cert(PEM), "no text; legal: a certificate in PEM"),
        (f"{PEM}{PRIVATE_KEY}".encode(), "a private key"),
    ],
    ids=["empty", "text", "public key", "cut off", "broken", "DER", "private key"],
)
def test_what_holds_no_certificate_is_refused_with_its_key_and_file(tmp_path: Path, content: bytes, error: str) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^vault\.caCertFile: .*/ca\.pem: .*{error}"):
        read_pem(str(file), "vault.caCertFile")


def test_the_name_of_a_file_is_one_line_of_an_error() -> None:
    with pytest.raises(FieldError) as caught:
        read_pem("/none\nerror: other", "vault.caCertFile")
    assert str(caught.value).isprintable()
