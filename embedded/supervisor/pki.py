"""Certificates of one checkout: five authorities that do not trust each other, and what each of them signs.

The cluster's authority signs the API server and its clients (Kubernetes: "PKI certificates and requirements"), etcd's
authority etcd and its one client, the front proxy's authority the API server where it asks an API of others. Vault's
authority signs the Vault server and the deployer that logs in with a certificate, the ACME server's authority that
server. It has no part in the certificates that it issues.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from embedded.node.names import HOSTS, INJECTOR_SERVICE, METRICS_SERVICE, VAULT_ADDRESS, WORLD_ADDRESS
from embedded.supervisor.private_files import write_private

_LIFETIME = timedelta(days=365)
_RENEW_BEFORE = timedelta(days=30)
# A host whose clock runs a little behind still accepts what was just signed.
_CLOCK_SKEW = timedelta(minutes=5)

KUBELET, KUBELET_CLIENT, KUBE_PROXY, KUBE_ROUTER = "kubelet", "kubelet-client", "kube-proxy", "kube-router"
INJECTOR = "vault-agent-injector"
FRONT_PROXY = "front-proxy"
CLUSTER, ETCD, VAULT, ACME = "cluster", "etcd", "vault", "acme"
DEPLOYER = "platform-deployer"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Paths of a certificate and its private key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Leaf:
    """One certificate to sign: who it names, and what it may be used for."""

    name: str
    authority: str
    common_name: str
    groups: tuple[str, ...] = ()
    server_names: tuple[str, ...] = ()
    client: bool = True


# The first address of the service range is the Service "kubernetes" in the namespace "default".
SERVICE_RANGE = "10.96.0.0/16"
_API_SERVER_NAMES = (
    "localhost",
    "127.0.0.1",
    "10.96.0.1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    # Where the programs of a real node reach it.
    WORLD_ADDRESS,
)

LEAVES: tuple[Leaf, ...] = (
    Leaf("kube-apiserver", CLUSTER, "kube-apiserver", server_names=_API_SERVER_NAMES, client=False),
    Leaf("admin", CLUSTER, "embedded-admin", groups=("system:masters",)),
    Leaf("supervisor", CLUSTER, "embedded-supervisor", groups=("system:masters",)),
    Leaf("kube-controller-manager", CLUSTER, "system:kube-controller-manager", server_names=("localhost", "127.0.0.1")),
    Leaf("kube-scheduler", CLUSTER, "system:kube-scheduler", server_names=("localhost", "127.0.0.1")),
    Leaf("kwok", CLUSTER, "system:kwok"),
    # The programs of the real node, and the API server as their client.
    *(
        Leaf(
            f"{KUBELET}{host.suffix}",
            *(CLUSTER, f"system:node:{host.name}", ("system:nodes",), (host.name, host.address)),
        )
        for host in HOSTS
    ),
    Leaf(KUBELET_CLIENT, CLUSTER, "system:kubelet-client"),
    Leaf(KUBE_PROXY, CLUSTER, "system:kube-proxy"),
    Leaf(KUBE_ROUTER, CLUSTER, "system:kube-router"),
    Leaf(METRICS_SERVICE, CLUSTER, "system:metrics-server", server_names=(f"{METRICS_SERVICE}.kube-system.svc",)),
    Leaf(FRONT_PROXY, FRONT_PROXY, FRONT_PROXY),
    Leaf(INJECTOR, CLUSTER, INJECTOR, server_names=("localhost", "127.0.0.1", INJECTOR_SERVICE), client=False),
    Leaf("etcd", ETCD, "etcd", server_names=("localhost", "127.0.0.1")),
    Leaf("etcd-client", ETCD, "kube-apiserver"),
    Leaf("vault-server", VAULT, "vault", server_names=("localhost", "127.0.0.1", VAULT_ADDRESS), client=False),
    Leaf(DEPLOYER, VAULT, DEPLOYER),
    Leaf("pebble", ACME, "pebble", server_names=("localhost", "127.0.0.1"), client=False),
)


class Pki:
    """Every key and certificate below one directory. ``ensure`` makes what is absent or about to expire."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def ca(self, authority: str) -> Path:
        """The certificate of an authority, as PEM."""
        return self._directory / f"{authority}-ca.crt"

    def ca_key(self, authority: str) -> Path:
        """The private key of an authority."""
        return self._directory / f"{authority}-ca.key"

    def pair(self, name: str) -> KeyPair:
        """The certificate and key of the leaf of this name."""
        return KeyPair(self._directory / f"{name}.crt", self._directory / f"{name}.key")

    @property
    def service_account_key(self) -> Path:
        """Private key that signs service account tokens; the API server derives the public half from it."""
        return self._directory / "service-account.key"

    def ensure(self) -> None:
        """Create what is absent, expires within 30 days or has other names than it is to have."""
        for authority in (CLUSTER, ETCD, VAULT, ACME, FRONT_PROXY):
            self._ensure_authority(authority)
        for leaf in LEAVES:
            self._ensure_leaf(leaf)
        if not self.service_account_key.exists():
            # Kubernetes derives the public half from this format, not from PKCS #8 (client-go, keyutil).
            key = ec.generate_private_key(ec.SECP256R1())
            write_private(self.service_account_key, _pem(key, serialization.PrivateFormat.TraditionalOpenSSL))

    def _ensure_authority(self, authority: str) -> None:
        if _is_current(self.ca(authority)) and self.ca_key(authority).exists():
            return
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"embedded-{authority}-ca")])
        certificate = (
            _builder(subject, subject, key.public_key(), 10 * _LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(self.ca_key(authority), _pem(key))
        write_private(self.ca(authority), certificate.public_bytes(serialization.Encoding.PEM))
        for leaf in LEAVES:
            if leaf.authority == authority:
                self.pair(leaf.name).certificate.unlink(missing_ok=True)

    def _ensure_leaf(self, leaf: Leaf) -> None:
        pair = self.pair(leaf.name)
        if pair.key.exists() and _is_current(pair.certificate) and _names_of(pair.certificate) == {*leaf.server_names}:
            return
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(pair.key, _pem(key))
        write_private(pair.certificate, self._sign(leaf, key.public_key()))

    def _sign(self, leaf: Leaf, public_key: ec.EllipticCurvePublicKey) -> bytes:
        issuer = x509.load_pem_x509_certificate(self.ca(leaf.authority).read_bytes())
        issuer_key = serialization.load_pem_private_key(self.ca_key(leaf.authority).read_bytes(), password=None)
        if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
            key_file = self.ca_key(leaf.authority)
            raise TypeError(f"{key_file} is not an elliptic curve key: run `python -m embedded clean`")
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in leaf.groups]
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)])
        builder = (
            _builder(subject, issuer.subject, public_key, _LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_usages(leaf)), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        if leaf.server_names:
            builder = builder.add_extension(x509.SubjectAlternativeName(_names(leaf.server_names)), critical=False)
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def signing_request() -> bytes:
    """A certificate signing request as PEM, for a key that nobody keeps: what a check of an issuer's API needs."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "check.example.org")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    signed = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM)


def _usages(leaf: Leaf) -> list[x509.ObjectIdentifier]:
    usages: list[x509.ObjectIdentifier] = []
    if leaf.server_names:
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
    if leaf.client:
        usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    return usages


def _names(names: Sequence[str]) -> list[x509.GeneralName]:
    return [x509.IPAddress(ipaddress.ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(
    key: ec.EllipticCurvePrivateKey, structure: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8
) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, structure, serialization.NoEncryption())


def _names_of(certificate: Path) -> set[str]:
    extensions = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in names}


def _is_current(certificate: Path) -> bool:
    if not certificate.exists():
        return False
    expiry = x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    return expiry - _RENEW_BEFORE > datetime.now(UTC)
