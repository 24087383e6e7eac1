"""The certificates of a checkout: who signs them, whose they are, and when they are made again."""

import stat
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from embedded.supervisor.pki import ACME, CLUSTER, ETCD, FRONT_PROXY, LEAVES, VAULT, Pki

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    made = Pki(tmp_path_factory.mktemp("pki"))
    made.ensure()
    return made


def test_every_key_is_readable_by_its_owner_only(pki: Pki) -> None:
    keys = [
        pki.service_account_key,
        *(pki.ca_key(a) for a in (CLUSTER, ETCD, VAULT)),
        *(pki.pair(x.name).key for x in LEAVES),
    ]
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.name)
def test_each_leaf_is_signed_by_its_own_authority_only(pki: Pki, leaf: Any) -> None:
    certificate = x509.load_pem_x509_certificate(pki.pair(leaf.name).certificate.read_bytes())
    for authority in (CLUSTER, ETCD, VAULT, ACME, FRONT_PROXY):
        issuer = x509.load_pem_x509_certificate(pki.ca(authority).read_bytes())
        if authority == leaf.authority:
            certificate.verify_directly_issued_by(issuer)
        else:
            with pytest.raises(ValueError, match=r"."):
                certificate.verify_directly_issued_by(issuer)


def test_the_deployer_is_nobody_in_the_cluster(pki: Pki) -> None:
    deployer = x509.load_pem_x509_certificate(pki.pair("platform-deployer").certificate.read_bytes())
    assert "system:masters" not in deployer.subject.rfc4514_string()
    with pytest.raises(ValueError, match=r"."):
        deployer.verify_directly_issued_by(x509.load_pem_x509_certificate(pki.ca(CLUSTER).read_bytes()))


def test_a_second_start_keeps_every_certificate(pki: Pki) -> None:
    before = {leaf.name: pki.pair(leaf.name).certificate.read_bytes() for leaf in LEAVES}
    pki.ensure()
    assert {leaf.name: pki.pair(leaf.name).certificate.read_bytes() for leaf in LEAVES} == before


def test_a_certificate_with_other_names_than_it_is_to_have_is_signed_again(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state of a checkout outlives the names that an older version of it knew."""
    renamed = [replace(leaf, server_names=("localhost",)) if leaf.name == "etcd" else leaf for leaf in LEAVES]
    before = {leaf.name: pki.pair(leaf.name).certificate.read_bytes() for leaf in LEAVES}
    with monkeypatch.context() as patched:
        patched.setattr("embedded.supervisor.pki.LEAVES", renamed)
        pki.ensure()
    after = {leaf.name: pki.pair(leaf.name).certificate.read_bytes() for leaf in LEAVES}
    assert [name for name in after if after[name] != before[name]] == ["etcd"]
    pki.ensure()


def test_the_service_account_key_has_the_format_kubernetes_derives_a_public_key_from(pki: Pki) -> None:
    content = pki.service_account_key.read_bytes()
    assert content.startswith(b"-----BEGIN EC PRIVATE KEY-----")
    serialization.load_pem_private_key(content, password=None)
