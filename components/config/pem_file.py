"""Reads the certificate files that a stack file names."""

import ssl
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, StrictStr

from components.schema.printable import one_line
from components.schema.problem import FieldError

_LEGAL = ("a certificate in PEM, -----BEGIN CERTIFICATE----- and what follows",)
_PRIVATE = "PRIVATE KEY-----"


def _public(value: str) -> str:
    if _PRIVATE in value:
        raise ValueError("it holds a private key, which must not get into the state")
    return value


Pem = Annotated[StrictStr, AfterValidator(_public)]
"""Certificates in PEM."""


def read_pem(path: str | None, key: str) -> str:
    """The text of the file including comments; empty without a path.

    Raises `FieldError` at the key if the file cannot be read, has no certificate, or has a private key.
    """
    if path is None:
        return ""
    shown = one_line(path)
    try:
        # A byte order mark would hide the first certificate from a reader that goes line by line.
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FieldError(key, f"{shown}: {error.strerror or 'it cannot be read'}") from error
    except UnicodeDecodeError as error:
        raise FieldError(key, f"{shown}: the file is no text", legal=_LEGAL) from error
    if _PRIVATE in text:
        message = f"{shown}: the file holds a private key, which must not get into the state"
        raise FieldError(key, message, legal=_LEGAL)
    try:
        # OpenSSL accepts only ASCII; other characters can only be in comments.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text.encode("ascii", "ignore").decode())
    except (ssl.SSLError, ValueError) as error:
        raise FieldError(key, f"{shown}: the file holds no certificate", legal=_LEGAL) from error
    return text
