"""The intermediate in Vault: its settings, its request and certificate, and who may sign what by it."""

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.config.ingress import VaultIssuerSettings
from components.ingress.issuers import VaultIssuer
from components.program.stack import read_stack
from components.schema.problem import ConfigError
from components.service.file.directory import Admission, read_services
from components.vault.pki import PkiArgs, imported_issuer, issuer_policy, matching_certificate
from tests.support.monitor import IMPORTED_ISSUER, INTERMEDIATE_REQUEST, Recording
from tests.support.offline_root import OfflineRoot, request
from tests.support.stacks import ROOT, plan_of, settings, values
from tests.unit.program.test_program import run as program
from tests.unit.vault.test_platform import run

PKI = {"commonName": "Example CA 1", "domains": ["api.example.org"]}
FROM_VAULT = {"issuer": {"value": "vault", "reason": "internal names only"}}
CERTIFICATE = OfflineRoot().sign(INTERMEDIATE_REQUEST)
TYPES = (
    *("SecretBackendIntermediateCertRequest", "SecretBackendIntermediateSetSigned", "SecretBackendRole"),
    *("Policy", "AuthBackendRole"),
)


def vault(environment: str = "production", **pki: Any) -> dict[str, Any]:
    return {**values(environment)["vault"], "pki": {**PKI, **pki}}


def made_with(certificate: str = "", **more: Any) -> Recording:
    return run(pki=PkiArgs("Example CA 1", ["www.example.org", "*.apps.example.org"], certificate, 720), **more)


# The stack file


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"domains": []}, "fewer than 1"),
        ({"domains": ["*"]}, "not a host"),
        ({"domains": ["*.org"]}, "not a host"),
        ({"domains": ["api.*.example.org"]}, "not a host"),
        ({"domains": ["https://api.example.org"]}, "not a host"),
        ({"domains": ["10.0.0.1"]}, "not a host"),
        ({"commonName": ""}, "shorter than 1"),
        ({"certificateFile": "intermediate.pem"}, "absolute path"),
        ({"maxTtlHours": 0}, "less than 1"),
        ({"maxTtlHours": 9000}, "more than 8760"),
        ({"nextCommonName": PKI["commonName"]}, "needs another name"),
        ({"root": "pki-root"}, "commonName, nextCommonName, domains, certificateFile, maxTtlHours"),
    ],
)
def test_a_wrong_value_is_refused(wrong: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings("production", vault=vault(**wrong))
    [problem] = caught.value.problems
    assert problem.key.startswith("zero-trust:vault.pki")
    assert error in str(problem)


@pytest.mark.parametrize("key", ["mount", "role", "authMount", "authRole"])
def test_the_names_of_an_own_pki_are_not_for_choice(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings("production", vault=vault(), ingress={"vault": {key: "other"}}, posture=FROM_VAULT)
    assert [problem.key for problem in caught.value.problems] == [f"zero-trust:ingress.vault.{key}"]
    assert settings("production", ingress={"vault": {key: "other"}}, posture=FROM_VAULT), "somebody else's may be so"


def test_the_issuer_asks_where_the_intermediate_is() -> None:
    own = VaultIssuerSettings()
    assert (own.mount, own.role, own.auth_mount, own.auth_role) == (
        VaultIssuer.mount,
        VaultIssuer.role,
        VaultIssuer.auth_mount,
        VaultIssuer.auth_role,
    )


@pytest.mark.parametrize("issuer", [{}, FROM_VAULT])
def test_somebody_elses_pki_needs_nothing_of_this_stacks_vault(issuer: dict[str, Any]) -> None:
    args = plan_of("production", posture=issuer).vault
    assert args is not None
    assert args.pki is None


def test_what_the_file_says_reaches_the_arguments(tmp_path: Path) -> None:
    file = tmp_path / "intermediate.pem"
    wanted = vault(certificateFile=str(file), maxTtlHours=24, nextCommonName="Example CA 2")
    with pytest.raises(ConfigError, match=r"production\.yaml: zero-trust:vault\.pki\.certificateFile: .*No such file"):
        plan_of("production", vault=wanted)
    file.write_text(CERTIFICATE)
    args = plan_of("production", vault=wanted).vault
    assert args is not None
    assert args.pki == PkiArgs("Example CA 1", ("api.example.org",), CERTIFICATE, 24, "Example CA 2")


@pytest.mark.parametrize(
    ("domains", "host", "aliases", "wrong"),
    [
        (["api.example.org"], "api.example.org", [], []),
        (["*.example.org"], "api.example.org", ["a.b.example.org"], []),
        (["*.example.org"], "example.org", [], ["host"]),
        (["*.example.org"], "evil-example.org", [], ["host"]),
        (["api.example.org"], "api.example.org", ["www.api.example.org"], ["aliases"]),
        (None, "any.example.net", [], []),
    ],
)
def test_a_host_that_vault_would_not_sign_is_named_in_its_file(
    tmp_path: Path, domains: list[str] | None, host: str, aliases: list[str], wrong: list[str]
) -> None:
    (tmp_path / "web.yaml").write_text(
        f"namespace: shop\nteam: t\nimage: r.example.org/x:v1\nport: 8000\nhost: {host}\naliases: {aliases}\n"
    )
    admission = Admission((), api_server_reachable=True, pki_domains=domains)
    if not wrong:
        assert read_services(tmp_path, admission)
        return
    with pytest.raises(ConfigError) as caught:
        read_services(tmp_path, admission)
    assert [problem.key for problem in caught.value.problems] == wrong
    [problem] = caught.value.problems
    assert problem.line == (5 if wrong == ["host"] else 6)
    assert "vault.pki.domains" in str(problem)
    assert problem.legal == tuple(domains or ())


@pytest.mark.parametrize(("posture", "refused"), [(FROM_VAULT, True), ({}, False)])
def test_only_what_vault_is_to_sign_is_judged(posture: dict[str, Any], refused: bool) -> None:
    chosen = settings("production", vault=vault(domains=["other.example.org"]), posture=posture)
    if refused:
        with pytest.raises(ConfigError, match=r"services/api\.yaml:\d+: host: .*vault\.pki\.domains"):
            read_stack(ROOT, "Pulumi.production.yaml", chosen)
    else:
        assert read_stack(ROOT, "Pulumi.production.yaml", chosen)


# What Vault is told


def test_until_somebody_signs_there_is_a_request_and_nobody_may_sign() -> None:
    made = made_with()
    request_ = made.one("SecretBackendIntermediateCertRequest").inputs
    assert (request_["type"], request_["commonName"]) == ("internal", "Example CA 1"), "the key stays in Vault"
    for kind in ("SecretBackendIntermediateSetSigned", "SecretBackendRole"):
        assert not made.of(kind)
    assert "cert-manager" not in {found.name for found in (*made.of("Policy"), *made.of("AuthBackendRole"))}


def test_a_successor_is_asked_for_beside_the_one_that_signs_and_takes_over_with_its_certificate() -> None:
    asked = run(pki=PkiArgs("first", ["www.example.org"], CERTIFICATE, next_common_name="second"))
    over = run(pki=PkiArgs("second", ["www.example.org"], CERTIFICATE))
    kind = "SecretBackendIntermediateCertRequest"
    assert {made.name for made in asked.of(kind)} == {"pki.first", "pki.second"}
    assert "pki.first" in asked.behind(asked.one("SecretBackendIntermediateSetSigned"))
    assert "pki.second" not in asked.behind(asked.one("SecretBackendIntermediateSetSigned"))
    assert over.one(kind).urn in {made.urn for made in asked.of(kind)}


def test_the_role_says_no_to_what_the_file_does_not_name() -> None:
    role = made_with(CERTIFICATE).one("SecretBackendRole").inputs
    assert role["allowedDomains"] == ["*.apps.example.org", "www.example.org"]
    assert {name for name, value in role.items() if value is True} == {
        *("allowBareDomains", "allowGlobDomains", "enforceHostnames", "serverFlag")
    }
    assert {name for name, value in role.items() if value is False} == {
        *("allowAnyName", "allowIpSans", "allowLocalhost", "allowSubdomains", "allowWildcardCertificates"),
        *("clientFlag", "codeSigningFlag", "emailProtectionFlag", "requireCn"),
    }
    assert role["issuerRef"] == IMPORTED_ISSUER
    assert role["ttl"] == role["maxTtl"] == str(720 * 3600)
    exact = run(pki=PkiArgs("ca", ["www.example.org"], CERTIFICATE)).one("SecretBackendRole").inputs
    assert exact["allowGlobDomains"] is False


def test_the_engine_signs_for_no_longer_than_the_role_and_is_kept() -> None:
    for keep in (True, False):
        engine = made_with(retain_data=keep).one("Mount", "pki")
        assert engine.inputs["maxLeaseTtlSeconds"] == 720 * 3600
        assert (engine.protect, engine.retain_on_delete) == (keep, keep)


def test_one_service_account_gets_the_policy_for_a_minute() -> None:
    made = made_with(CERTIFICATE)
    role = made.one("AuthBackendRole", "cert-manager").inputs
    assert (role["boundServiceAccountNames"], role["boundServiceAccountNamespaces"]) == (
        ["vault-issuer"],
        ["cert-manager"],
    )
    assert (role["audience"], role["tokenNoDefaultPolicy"]) == ("vault://vault", True)
    assert (role["tokenPolicies"], role["tokenTtl"], role["tokenMaxTtl"]) == (["cert-manager"], 60, 60)
    assert made.one("Policy", "cert-manager").inputs["policy"] == issuer_policy()


def test_nothing_is_signed_before_somebody_could_see_it() -> None:
    made = made_with(CERTIFICATE)
    waiting = [found for kind in TYPES for found in made.of(kind) if "operator" not in found.name]
    assert len(waiting) == len(TYPES)
    for found in waiting:
        assert {"audit-1", "kubernetes", "pki"} <= made.behind(found), found.name
    assert "pki.public-hosts" in made.behind(made.one("AuthBackendRole", "cert-manager"))


def test_the_issuer_waits_for_vault_and_the_request_is_an_output(tmp_path: Path) -> None:
    file = tmp_path / "intermediate.pem"
    file.write_text(CERTIFICATE)
    changes = {"vault": vault(certificateFile=str(file)), "posture": FROM_VAULT}
    made = program("production", **changes)
    assert "vaultPkiRequest" in made.outputs
    assert "cert-manager" in made.behind(made.one("SecureIngress"))
    assert "vaultPkiRequest" not in program("production").outputs


# The certificate


@pytest.mark.parametrize(
    ("certificate", "error"),
    [
        (CERTIFICATE * 2, "2 certificates"),
        ("nothing", "0 certificates"),
        (CERTIFICATE.replace("MII", "MIA", 1), "not a certificate that can be read"),
        (OfflineRoot().sign(INTERMEDIATE_REQUEST, authority=False), "signs no certificates"),
        (f"{CERTIFICATE}-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----", "holds a private key"),
    ],
)
def test_a_file_that_is_not_one_certificate_is_refused(certificate: str, error: str) -> None:
    with pytest.raises(ValueError, match=rf"^certificate: .*{error}"):
        PkiArgs("ca", ["api.example.org"], certificate)


def test_a_certificate_for_another_key_is_refused_before_vault_takes_it() -> None:
    assert matching_certificate(CERTIFICATE, INTERMEDIATE_REQUEST) == CERTIFICATE
    assert matching_certificate(f"Subject: CN=ca\n{CERTIFICATE}\n", INTERMEDIATE_REQUEST)
    other = request([], ec.generate_private_key(ec.SECP384R1()))
    with pytest.raises(ValueError, match="certificateFile: it is not for the key of"):
        matching_certificate(OfflineRoot().sign(other), INTERMEDIATE_REQUEST)


def test_another_keys_certificate_is_refused_though_it_carries_the_key_of_the_request() -> None:
    asked = x509.load_pem_x509_csr(INTERMEDIATE_REQUEST.encode()).public_key()
    carried = asked.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    # An extension of nobody's, which no reader has to understand.
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), carried)
    other = request([], ec.generate_private_key(ec.SECP384R1()))
    with pytest.raises(ValueError, match="certificateFile: it is not for the key of"):
        matching_certificate(OfflineRoot().sign(other, extension), INTERMEDIATE_REQUEST)


def test_a_request_that_its_own_key_did_not_sign_is_refused() -> None:
    lines = INTERMEDIATE_REQUEST.splitlines()
    forged = "\n".join([*lines[:-2], lines[-2][:-8] + "AAAA" + lines[-2][-4:], lines[-1]])
    with pytest.raises(ValueError, match=r"vault\.pki\.commonName: .*own key"):
        matching_certificate(CERTIFICATE, forged)


@pytest.mark.parametrize(
    "around", ["Bag Attributes\n    friendlyName: ca\n{}", "# Prüfstelle\n{}", "\n{}\n\n", "{}\nand more: é\n"]
)
def test_text_around_the_certificate_is_no_matter_and_what_follows_is_kept_from_vault(around: str) -> None:
    # Vault skips what is before a block, and takes text after the last one for a broken block.
    file = around.format(CERTIFICATE)
    sent = matching_certificate(PkiArgs("ca", ["api.example.org"], file).certificate, INTERMEDIATE_REQUEST)
    assert sent == (CERTIFICATE if "more" in around else file)


def test_a_certificate_that_vault_had_is_told() -> None:
    assert imported_issuer(["new"]) == "new"
    for nothing in (None, []):
        with pytest.raises(ValueError, match="has this certificate already"):
            imported_issuer(nothing)
