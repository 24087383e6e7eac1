"""What Vault's own pods need: a certificate that fits in every way, and the key of their seal."""

import base64
import datetime as dt
import ipaddress
from collections.abc import Sequence
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.unit.zt.preflight.stack import CREATED, NOW, FakeCluster, lines, made_object, metadata, one, session
from zt.preflight.checks import vault_servers
from zt.preflight.created import Created
from zt.preflight.line import Line, Result

SECRETS = "/api/v1/namespaces/vault/secrets"
NAMES = (
    "vault.vault.svc",
    "vault-0.vault-internal",
    "vault-1.vault-internal",
    "vault-2.vault-internal",
    "127.0.0.1",
    "vault.example.org",
)
AUTHORITY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
Files = dict[str, bytes]


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def signed(
    key: ec.EllipticCurvePrivateKey, by: ec.EllipticCurvePrivateKey, names: Sequence[str], begin: int, end: int
) -> bytes:
    builder = (
        x509.CertificateBuilder()
        .subject_name(named("server" if names else "authority"))
        .issuer_name(named("authority"))
    )
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(NOW + dt.timedelta(days=begin)).not_valid_after(NOW + dt.timedelta(days=end))
    alternatives: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names
    ]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def files(names: Sequence[str] = NAMES, begin: int = -1, end: int = 90, by: Any = AUTHORITY) -> Files:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "tls.crt": signed(key, by, names, begin, end),
        "tls.key": key.private_bytes(*pem),
        "ca.crt": signed(AUTHORITY, AUTHORITY, (), -1, 900),
    }


def secret(name: str, data: Files) -> dict[str, Any]:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {f"{SECRETS}/{name}": {**metadata(name, "vault"), "data": encoded}}


def certificate(data: Files | None, created: Created = CREATED) -> list[Line]:
    at = {} if data is None else secret("vault-server-tls", data)
    return lines(vault_servers.THEME, session(cluster=FakeCluster(at), created=created), "vault-certificate")


def test_a_certificate_that_fits() -> None:
    (line,) = certificate(files())
    assert (line.result, line.found) == (Result.OK, f"for {', '.join(NAMES)}, until 2027-03-01")


def test_no_secret() -> None:
    (line,) = certificate(None)
    assert line.result is Result.FAILS
    assert line.fix.startswith("kubectl create namespace vault; kubectl label namespace vault ")
    assert "; kubectl create secret generic vault-server-tls" in line.fix
    assert all(name in line.fix for name in NAMES)


@pytest.mark.parametrize(
    "own",
    [
        made_object("v1", "Secret", "vault-server-tls", "vault"),
        made_object("cert-manager.io/v1", "Certificate", "server", "vault", spec={"secretName": "vault-server-tls"}),
    ],
)
def test_a_secret_that_the_stack_makes(own: Any) -> None:
    (line,) = certificate(None, Created((own,)))
    assert (line.result, line.found) == (Result.OK, "the stack makes it")


@pytest.mark.parametrize("key", ["tls.crt", "tls.key", "ca.crt"])
def test_a_key_of_the_secret_that_is_missing(key: str) -> None:
    (line,) = certificate({name: value for name, value in files().items() if name != key})
    assert (line.result, line.found) == (Result.FAILS, f"it has no {key}")


WILDCARDS = ("*.vault.svc", "*.vault-internal", "127.0.0.1", "*.example.org")


@pytest.mark.parametrize(
    ("data", "result", "found"),
    [
        (files(WILDCARDS), "ok", "for "),
        (files(NAMES[:-1]), "fails", "tls.crt is not for vault.example.org"),
        (files([*NAMES[:4], NAMES[5]]), "fails", "tls.crt is not for 127.0.0.1"),
        (files([*NAMES[:3], *NAMES[4:]]), "fails", "tls.crt is not for vault-2.vault-internal"),
        (files(end=0), "fails", "tls.crt ended on 2026-12-01"),
        (files(begin=1), "fails", "tls.crt begins on 2026-12-02"),
        (files(end=29), "warns", "tls.crt ends on 2026-12-30"),
        (files(by=OTHER), "fails", "ca.crt is not the authority behind tls.crt"),
        ({**files(), "tls.key": files()["tls.key"]}, "fails", "tls.key is not the key of tls.crt"),
        ({**files(), "tls.key": b"no key"}, "fails", "tls.key is no private key in PEM"),
        ({**files(), "tls.crt": b"no certificate"}, "fails", "no certificate in PEM"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_with_a_certificate(data: Files, result: str, found: str) -> None:
    (line,) = certificate(data)
    assert (line.result.value, found in line.found) == (result, True), line
    assert "PRIVATE KEY" not in f"{line}"


def test_an_intermediate_beside_the_certificate() -> None:
    own = files(by=OTHER)
    between = signed(OTHER, AUTHORITY, (), -1, 900)
    (line,) = certificate({**own, "tls.crt": own["tls.crt"] + between})
    assert line.result is Result.OK


def seal(data: Files | None = None, replicas: int = 1, **vault: Any) -> Line:
    settings = {"mode": "helm", "distribution": "openbao", "address": "https://vault.example.org:8200", **vault}
    posture = {"vaultReplicas": {"value": replicas, "reason": "a test"}}
    cluster = FakeCluster({} if data is None else secret("seal", data))
    return one(vault_servers.THEME, "vault-seal", session(cluster=cluster, vault=settings, posture=posture))


STATIC = {"static": {"currentKeyId": "second", "previousKeyId": "first", "keySecret": "seal"}}
TRANSIT = {"transit": {"address": "https://other.example.org", "keyName": "unseal", "tokenSecret": "seal"}}
KMS = {"awskms": {"region": "eu-central-1", "kmsKeyId": "alias/unseal"}}


@pytest.mark.parametrize(
    ("line", "result", "found"),
    [
        (seal, "warns", "unseals it by hand"),
        (lambda: seal(seal=STATIC), "fails", "there is none"),
        (lambda: seal({"first": b"1" * 32}, seal=STATIC), "fails", "it has no second"),
        (lambda: seal({"first": b"1" * 32, "second": b"2" * 31}, seal=STATIC), "fails", "second: not 32 bytes"),
        (lambda: seal({"first": b"1" * 32, "second": b"2" * 32}, seal=STATIC), "ok", "second, first"),
        (lambda: seal({"x": b"1"}, seal=TRANSIT), "fails", "it has no token"),
        (lambda: seal({"token": b"1"}, seal=TRANSIT), "ok", "token"),
        (lambda: seal(seal=KMS), "not checked", "no annotation"),
        (
            lambda: seal(seal=KMS, serviceAccountAnnotations={"eks.amazonaws.com/role-arn": "arn:x"}),
            "not checked",
            "eks.amazonaws.com/role-arn: arn:x",
        ),
    ],
)
def test_the_seal(line: Any, result: str, found: str) -> None:
    made = line()
    assert (made.result.value, found in made.found) == (result, True), made


def authorities(data: dict[str, str] | None, *files: str) -> Line:
    seal = {"transit": {**TRANSIT["transit"], "tlsCaCert": f"/vault/authorities/{files[0]}"}} if files else TRANSIT
    database = {"host": "10.0.0.9", "database": "orders", "adminUser": "vault"}
    databases = {"orders": {**database, "caCertFile": f"/vault/authorities/{files[1]}"}} if files[1:] else {}
    place = "/api/v1/namespaces/vault/configmaps/further"
    cluster = FakeCluster({} if data is None else {place: {"data": data}})
    settings = {"mode": "helm", "address": "https://vault.example.org:8200", "seal": seal, "authorities": "further"}
    return one(vault_servers.THEME, "vault-authorities", session(cluster=cluster, vault=settings, databases=databases))


@pytest.mark.parametrize(
    ("data", "files", "result", "found", "fix"),
    [
        (None, ("keys.crt", "db.crt"), "fails", "there is none", "--from-file=db.crt --from-file=keys.crt"),
        ({"keys.crt": "x"}, ("keys.crt", "db.crt"), "fails", "it has no db.crt", "create configmap further"),
        ({"keys.crt": "x", "db.crt": "y"}, ("keys.crt", "db.crt"), "ok", "db.crt, keys.crt", ""),
        ({}, (), "ok", "no key of the stack file", ""),
    ],
)
def test_further_authorities(
    data: dict[str, str] | None, files: tuple[str, ...], result: str, found: str, fix: str
) -> None:
    line = authorities(data, *files)
    assert (line.result.value, found in line.found, fix in line.fix) == (result, True, True), line
