"""The vault stand-in's PKI types against a real OpenBao."""

from collections.abc import Iterator

import pytest
from cryptography import x509
from hvac.exceptions import InvalidRequest

from tests.support.offline_root import OfflineRoot, request
from tests.support.provider_plugin import Managed, Plugin, failure, secret_names
from tests.support.vault_server import Bao, bao, vault

__all__ = ["bao", "vault"]


REQUEST = "vault:pkiSecret/secretBackendIntermediateCertRequest:SecretBackendIntermediateCertRequest"
SIGNED = "vault:pkiSecret/secretBackendIntermediateSetSigned:SecretBackendIntermediateSetSigned"
ROLE = "vault:pkiSecret/secretBackendRole:SecretBackendRole"
ASKED: dict[str, object] = {
    "backend": "pki",
    "type": "internal",
    "commonName": "first",
    "keyType": "ec",
    "keyBits": 384,
}


@pytest.fixture
def engine(bao: Bao) -> Iterator[str]:
    bao.client.sys.enable_secrets_engine("pki")
    yield "pki"
    bao.client.sys.disable_secrets_engine("pki")


def signed_by(root: OfflineRoot, plugin: Plugin, asked: Managed) -> Managed:
    certificate = Managed(plugin, SIGNED)
    assert certificate.up({"backend": "pki", "certificate": root.sign(str(asked.state["csr"]))}) == "create"
    return certificate


def test_a_request_is_told_once_and_its_key_never(vault: Plugin, bao: Bao, engine: str) -> None:
    asked = Managed(vault, REQUEST)
    assert "csr" in asked.preview(ASKED)
    assert asked.up(ASKED) == "create"
    csr = x509.load_pem_x509_csr(str(asked.state["csr"]).encode())
    assert csr.subject.rfc4514_string() == "CN=first"
    assert asked.state["privateKey"] is None
    assert "PRIVATE KEY" not in str(asked.outputs)
    before = asked.state
    assert (asked.up(ASKED), asked.refresh(), asked.up(ASKED)) == ("same", "same", "same")
    assert asked.state == before
    assert asked.up({**ASKED, "commonName": "second"}) == "replace"
    assert asked.state["keyId"] != before["keyId"]
    asked.destroy()
    assert len(bao.client.adapter.request("list", "/v1/pki/keys")["data"]["keys"]) == 2, "nothing deletes a key"
    assert "cannot be imported" in failure(lambda: asked.take_over("pki/issuers/generate/intermediate/internal"))


def test_a_key_that_is_exported_is_a_secret_of_the_state(vault: Plugin, engine: str) -> None:
    asked = Managed(vault, REQUEST)
    asked.up({**ASKED, "type": "exported"})
    assert "PRIVATE KEY" in str(asked.state["privateKey"])
    assert "privateKey" in secret_names(asked.outputs)


def test_another_certificate_is_another_issuer(vault: Plugin, bao: Bao, engine: str) -> None:
    root, asked = OfflineRoot(), Managed(vault, REQUEST)
    asked.up(ASKED)
    certificate = signed_by(root, vault, asked)
    [first] = [*certificate.state["importedIssuers"]]  # pyright: ignore[reportGeneralTypeIssues] - the wire's list
    assert bao.read(f"pki/issuer/{first}")["key_id"] == asked.state["keyId"]
    assert certificate.refresh() == "same"
    again: dict[str, object] = {"backend": "pki", "certificate": root.sign(str(asked.state["csr"]))}
    assert certificate.up(again) == "replace"
    assert certificate.state["importedIssuers"] != [first]
    assert bao.read(f"pki/issuer/{first}"), "what the first one signed is still known"


def test_a_role_signs_its_hosts_and_is_put_right_when_it_drifts(vault: Plugin, bao: Bao, engine: str) -> None:
    asked, role = Managed(vault, REQUEST), Managed(vault, ROLE)
    asked.up(ASKED)
    certificate = signed_by(OfflineRoot(), vault, asked)
    wanted: dict[str, object] = {
        "backend": "pki",
        "name": "hosts",
        "issuerRef": certificate.state["importedIssuers"][0],  # pyright: ignore[reportIndexIssue] - the wire's list
        "allowedDomains": ["api.example.org"],
        "allowBareDomains": True,
        "requireCn": False,
        "keyType": "ec",
        "keyBits": 256,
        "ttl": "3600",
        "maxTtl": "7200",
    }
    assert role.up(wanted) == "create"
    assert (role.id, role.up(wanted), role.refresh(), role.up(wanted)) == ("pki/roles/hosts", "same", "same", "same")
    csr = {"csr": request(["api.example.org"])}
    assert bao.client.adapter.request("post", "/v1/pki/sign/hosts", json=csr)["data"]["certificate"]

    bao.write("pki/roles/hosts", **{**bao.read("pki/roles/hosts"), "allow_any_name": True})
    assert role.refresh() == "changed"
    assert role.up(wanted) == "update"
    assert role.up({**wanted, "allowedDomains": ["www.example.org"], "maxTtl": "3600"}) == "update"
    assert (bao.read("pki/roles/hosts")["allow_any_name"], bao.read("pki/roles/hosts")["max_ttl"]) == (False, 3600)
    with pytest.raises(InvalidRequest, match="not allowed by this role"):
        bao.client.adapter.request("post", "/v1/pki/sign/hosts", json=csr)
    assert role.take_over("pki/roles/hosts").state["allowedDomains"] == ["www.example.org"]
    role.destroy()
    assert not bao.read("pki/roles/hosts")
