"""The attestors of images, and the rule that is filled with them."""

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from components.kyverno.image_signatures import PUBLIC_REKOR, SIGNATURE_RULE, KeyAttestor, KeylessAttestor, signed_by
from components.kyverno.library import load_library

pytestmark = pytest.mark.unit

RULE = load_library().rule(SIGNATURE_RULE)
KEY = ec.generate_private_key(ec.SECP256R1())


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def private_pem() -> str:
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return KEY.private_bytes(serialization.Encoding.PEM, form, plain).decode()


PEM = pem(KEY)
CI = KeyAttestor("ci", PEM)
RELEASE = KeylessAttestor(
    "release",
    "https://token.actions.githubusercontent.com",
    "https://github.com/example/shop/.github/workflows/release.yaml@refs/heads/main",
)


def test_the_rule_is_filled_with_attestors_and_registries() -> None:
    before = str(RULE.document)
    spec: Any = signed_by(RULE.document, [CI, RELEASE], ["registry.example.com/", "mirror.example.com/team"])["spec"]
    assert spec["attestors"] == [
        {
            "name": "ci",
            "cosign": {"key": {"data": PEM}, "ctlog": {"insecureIgnoreTlog": True, "insecureIgnoreSCT": True}},
        },
        {
            "name": "release",
            "cosign": {
                "keyless": {"identities": [{"issuer": RELEASE.issuer, "subject": RELEASE.subject}]},
                "ctlog": {"url": PUBLIC_REKOR},
            },
        },
    ]
    assert spec["variables"] == [{"name": "trusted", "expression": '[attestors["ci"], attestors["release"]]'}]
    assert spec["matchImageReferences"] == [{"glob": "registry.example.com/*"}, {"glob": "mirror.example.com/team/*"}]
    # What the function does not fill is the file's.
    rest: Any = RULE.document["spec"]
    filled = {"attestors", "variables", "matchImageReferences"}
    assert {k: v for k, v in spec.items() if k not in filled} == {k: v for k, v in rest.items() if k not in filled}
    assert [variable["name"] for variable in rest["variables"]] == ["trusted"]
    assert str(RULE.document) == before


def test_a_key_of_any_size_is_a_key() -> None:
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for key in (pem(rsa_key), pem(ec.generate_private_key(ec.SECP521R1())), PEM.rstrip("\n")):
        assert KeyAttestor("ci", key).cosign()["key"] == {"data": key}


def test_a_private_key_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match=r"^public_key: a private key .*; write the PEM") as refused:
        KeyAttestor("ci", private_pem())
    assert private_pem().splitlines()[1] not in str(refused.value)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "cosign.pub",
        PEM.replace("PUBLIC KEY", "CERTIFICATE"),
        PEM.replace("PUBLIC KEY", "RSA PUBLIC KEY"),
        PEM + PEM,
        PEM.replace("MFkw", "MFk!"),
        PEM.replace("MFkw", "NFkw"),
        PEM.replace("==", ""),
        "-----BEGIN PUBLIC KEY-----\nMA==\n-----END PUBLIC KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\nMIIBIg==\n-----END PUBLIC KEY-----\n",
    ],
)
def test_what_is_no_public_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"^public_key: no PEM of a public key; write the PEM of one"):
        KeyAttestor("ci", key)


@pytest.mark.parametrize("name", ["", "CI", "9ci", "ci-", "ci_main", 'ci"]', "c" * 64])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^name: write lower-case letters"):
        KeyAttestor(name, PEM)
    with pytest.raises(ValueError, match=r"^name: "):
        KeylessAttestor(name, RELEASE.issuer, RELEASE.subject)


@pytest.mark.parametrize("subject", ["", " ", "*", "https://github.com/example/*", "*@example.org"])
def test_a_subject_that_is_not_one_identity_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match=r"^subject: .*; write it in full"):
        KeylessAttestor("release", RELEASE.issuer, subject)


@pytest.mark.parametrize("address", ["", "http://issuer.example.org", "issuer.example.org", "https://*", "https://"])
def test_an_address_that_is_not_https_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"^issuer: not an https address"):
        KeylessAttestor("release", address, RELEASE.subject)
    with pytest.raises(ValueError, match=r"^rekor_url: "):
        KeylessAttestor("release", RELEASE.issuer, RELEASE.subject, address)


@pytest.mark.parametrize(
    ("attestors", "registries", "message"),
    [
        ([], ["registry.example.org"], r"^attestors: none, .*; name one or more, or leave the rule off"),
        ([CI, CI], ["registry.example.org"], r"^attestors: ci is there twice; "),
        ([CI], [], r"^registries: none, .*; name one or more"),
        ([CI], ["*"], r"^registries: it names no registry; write one .*, found '\*'"),
        ([CI], ["/"], r"^registries: it names no registry; write one .*, found '/'"),
    ],
)
def test_a_rule_that_would_admit_all_or_nothing_is_refused(
    attestors: list[KeyAttestor], registries: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        signed_by(RULE.document, attestors, registries)
