"""The certificate of Vault's servers, judged as its clients will: key, names, dates, authority."""

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

_SOON = timedelta(days=30)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a certificate. One that only `warns` still works."""

    text: str
    warns: bool = False


def faults(certificate: bytes, key: bytes, authority: bytes, names: Sequence[str], now: datetime) -> Iterator[Fault]:
    """What clients would object to in a server's `tls.crt`, `tls.key` and `ca.crt`, all in PEM."""
    try:
        chain = x509.load_pem_x509_certificates(certificate)
        authorities = x509.load_pem_x509_certificates(authority)
    except ValueError:
        yield Fault("tls.crt or ca.crt is no certificate in PEM")
        return
    leaf = chain[0]
    yield from _key_faults(leaf, key)
    if absent := [name for name in names if not _has(leaf, name)]:
        yield Fault(f"tls.crt is not for {', '.join(absent)}")
    end = leaf.not_valid_after_utc
    if now >= end:
        yield Fault(f"tls.crt ended on {end:%Y-%m-%d}")
    elif now < leaf.not_valid_before_utc:
        yield Fault(f"tls.crt begins on {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")
    elif end - now < _SOON:
        yield Fault(f"tls.crt ends on {end:%Y-%m-%d}", warns=True)
    if not any(_signed_by(leaf, each) for each in (*chain[1:], *authorities)):
        yield Fault("ca.crt is not the authority behind tls.crt")


def end_of(certificate: bytes) -> datetime:
    """The end of a certificate in PEM. Raises `ValueError`."""
    return x509.load_pem_x509_certificates(certificate)[0].not_valid_after_utc


def _key_faults(leaf: x509.Certificate, key: bytes) -> Iterator[Fault]:
    try:
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError):
        yield Fault("tls.key is no private key in PEM without a password")
        return
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*spki) != leaf.public_key().public_bytes(*spki):
        yield Fault("tls.key is not the key of tls.crt")


def _has(leaf: x509.Certificate, name: str) -> bool:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        return ipaddress.ip_address(name) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        pass
    # A wildcard stands for exactly one label.
    wildcard = f"*.{name.partition('.')[2]}" if "." in name else ""
    return any(each.lower() in (name.lower(), wildcard.lower()) for each in names.get_values_for_type(x509.DNSName))


def _signed_by(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
