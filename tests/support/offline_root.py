"""A root that is in no Vault, as somebody's offline one, and the intermediates that it signs."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "offline root")])
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass(frozen=True)
class OfflineRoot:
    """A root with a key of its own."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP384R1()))

    @property
    def certificate(self) -> x509.Certificate:
        """The root itself, which clients trust."""
        return self._signed(_NAME, self.key.public_key(), 1)

    def sign(self, request: str, *more: x509.ExtensionType, authority: bool = True) -> str:
        """The intermediate that a request in PEM asks for, in PEM: it signs hosts and no further authority.

        `more` are further extensions. Without `authority` it is a certificate that signs nothing.
        """
        asked = x509.load_pem_x509_csr(request.encode())
        made = self._signed(asked.subject, asked.public_key(), 0 if authority else None, more)
        return made.public_bytes(serialization.Encoding.PEM).decode()

    def _signed(
        self, subject: x509.Name, key: object, path_length: int | None, more: Iterable[x509.ExtensionType] = ()
    ) -> x509.Certificate:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(_NAME).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - dt.timedelta(minutes=1)).not_valid_after(now + dt.timedelta(days=365))
        constraints = x509.BasicConstraints(ca=path_length is not None, path_length=path_length)
        builder = builder.add_extension(constraints, critical=True)
        if constraints.ca:
            builder = builder.add_extension(_SIGNS_CERTIFICATES, critical=True)
        for extension in more:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA384())


def request(names: list[str], key: ec.EllipticCurvePrivateKey | None = None) -> str:
    """A request for names, in PEM, as cert-manager makes one: the names are SANs."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    signed = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()
