"""The stack file: each key set, unset and wrong, in every posture."""

import json
from datetime import date
from pathlib import Path
from typing import Any, get_origin

import pytest
import trustme
from pydantic import BaseModel

from components.config.action import Action
from components.config.overlay import Overlay
from components.config.settings import Settings
from components.config.stack_file import decode_config, parse_settings
from components.program.stack import read_overlay
from components.schema.problem import ConfigError
from components.schema.typed_file import legal_keys
from tests.support.stacks import ENVIRONMENTS, plan_of, settings, values

SHOP = {"host": "db.example.org", "database": "shop", "adminUser": "vault"}
REDIS = {"engine": "redis", "host": "cache.example.org", "adminUser": "vault"}
GCP = {"project": "p", "region": "r", "keyRing": "k", "cryptoKey": "c"}
AZURE = {"tenantId": "t", "vaultName": "v", "keyName": "k"}
TRANSIT = {"address": "https://v.example.org", "keyName": "unseal", "tokenSecret": "transit-token"}
STATIC = {"currentKeyId": "k2", "previousKeyId": "k1", "keySecret": "vault-seal"}


WRONG: list[tuple[str, Any, str]] = [
    ("environment", "prod", "production, staging, dev, local"),
    ("trustDomain", "Cluster_Local", "host name"),
    ("registries", [], "fewer than 1"),
    ("registries", ["*"], "registry or repository"),
    ("registries", ["docker.io"], "Docker Hub"),
    ("registries", ["https://registry.example.org"], "no wildcard"),
    ("registries", "registry.example.org", "a list is expected"),
    ("platformImages", ["proxyv2"], "registry or repository"),
    ("vault", {"mode": "embedded"}, "helm, external"),
    ("vault", {"distribution": "hcp"}, "vault, openbao"),
    ("vault", {"address": "http://vault:8200"}, "TLS only"),
    ("vault", {"address": "https://user@vault:8200"}, "credentials"),
    ("vault", {"login": {"method": "token"}}, "environment, cert"),
    ("vault", {"login": {"method": "cert", "certFile": "relative.pem"}}, "absolute path"),
    ("vault", {"auditPaths": ["audit.log"]}, "absolute path"),
    ("vault", {"cidrs": ["0.0.0.0/0"]}, "over-broad"),
    ("vault", {"cidrs": ["169.254.0.0/16"]}, "metadata services"),
    ("vault", {"cidrs": ["10.0.0.1/8"]}, "not a network"),
    ("vault", {"seal": {"type": "shamir"}}, "awskms"),
    ("vault", {"seal": {}}, "write one of awskms, gcpckms, azurekeyvault, transit, static"),
    ("vault", {"seal": {"awskms": {"region": "r"}}}, "required"),
    ("vault", {"seal": {"awskms": {"region": "r", "kmsKeyId": "k", "accessKey": "x"}}}, "region, kmsKeyId, endpoint"),
    ("vault", {"seal": {"gcpckms": {**GCP, "credentials": "/x"}}}, "project, region, keyRing, cryptoKey"),
    ("vault", {"seal": {"azurekeyvault": {**AZURE, "clientSecret": "x"}}}, "tenantId, vaultName, keyName, clientId"),
    ("vault", {"seal": {"transit": {**TRANSIT, "token": "x"}}}, "address, keyName, mountPath, tlsCaCert, tokenSecret"),
    ("vault", {"seal": {"transit": {**TRANSIT, "address": "http://v:8200"}}}, "TLS only"),
    ("vault", {"seal": {"static": {**STATIC, "currentKey": "x"}}}, "currentKeyId, previousKeyId, keySecret"),
    ("vault", {"seal": {"gcpckms": GCP, "transit": TRANSIT}}, "write one of"),
    ("vault", {"storage": {"data": "ten"}}, "quantity"),
    ("vault", {"retainData": "yes"}, "true or false"),
    ("vault", {"secrets": {"keepVersions": 0}}, "less than 1"),
    ("vault", {"secrets": {"keepVersions": "10"}}, "whole number"),
    ("vault", {"secrets": {"checkAndSet": "yes"}}, "true or false"),
    ("vault", {"secrets": {"deleteAfter": 3600}}, "a text is expected"),
    ("vault", {"secrets": {"deleteAfter": "30d"}}, "not a time such as 1h"),
    ("databases", {"Shop": SHOP}, "not a DNS label"),
    ("databases", {"shop": {**SHOP, "engine": "oracle"}}, "postgresql, mariadb, redis, mongodb"),
    ("databases", {"shop": {**SHOP, "engine": "mysql"}}, "ends the sessions of a user"),
    ("databases", {"shop": {**SHOP, "engine": "valkey"}}, "write redis"),
    ("databases", {"shop": {**SHOP, "engine": "mariadb", "caCertFile": "/x"}}, "name it in authorityFile"),
    ("databases", {"shop": {**SHOP, "authorityFile": "/x"}}, "name it in caCertFile"),
    ("databases", {"shop": {"host": "db.example.org", "adminUser": "vault"}}, "required for postgresql"),
    ("databases", {"shop": {**SHOP, "engine": "redis"}}, "no databases with names"),
    ("databases", {"shop": {**REDIS, "maxOpenConnections": 3}}, "no such limit"),
    ("databases", {"shop": {**REDIS, "adminSecret": "x"}}, "accepts no public authority"),
    ("databases", {"shop": {**REDIS, "authorityFile": "/x"}}, "does not change this password"),
    ("databases", {"shop": {**SHOP, "host": "*.example.org"}}, "wildcard host"),
    ("databases", {"shop": {**SHOP, "host": "db.example.org?x"}}, "host name"),
    ("databases", {"shop": {**SHOP, "port": 0}}, "less than 1"),
    ("databases", {"shop": {**SHOP, "database": "shop?sslmode=disable"}}, "not a name of a database"),
    ("databases", {"shop": {**SHOP, "adminUser": "vault:x@"}}, "not a name of a database"),
    ("databases", {"shop": {**SHOP, "adminPassword": "hunter2"}}, "did you mean adminPasswordFile?"),
    ("databases", {"shop": {**SHOP, "adminPasswordFile": "secret"}}, "absolute path"),
    ("databases", {"shop": {**SHOP, "adminPasswordFile": "/x", "adminSecret": "x"}}, "keep one"),
    ("databases", {"shop": {**SHOP, "adminSecret": "a b"}}, "DNS label"),
    ("databases", {"shop": {**SHOP, "adminPasswordVersion": 0}}, "less than 1"),
    ("databases", {"shop": {**SHOP, "tls": False}}, "in plaintext"),
    ("databases", {"shop": {**SHOP, "host": "127.0.0.1", "tls": False, "caCertFile": "/x"}}, "needs tls"),
    ("databases", {"shop": {**SHOP, "caCertFile": "ca.pem"}}, "absolute path"),
    ("databases", {"shop": {**SHOP, "maxOpenConnections": 0}}, "less than 1"),
    ("databases", {"shop": {"host": "db.example.org"}}, "required"),
    ("kyverno", {"replicas": 0}, "less than 1"),
    ("kyverno", {"replicas": "3"}, "whole number"),
    ("mesh", {"replicas": 10}, "more than "),
    ("mesh", {"hub": "*"}, "registry or repository"),
    ("mesh", {"replicas": 2, "autoscaling": {"min": 2}}, "replicas and autoscaling: keep one"),
    ("mesh", {"autoscaling": {"min": 3, "max": 3}}, "not above min, which is 3"),
    ("mesh", {"autoscaling": {"cpu": 0}}, "less than 10"),
    ("mesh", {"revision": "1.31.0"}, "DNS label"),
    ("mesh", {"scraper": {"namespace": "monitoring"}}, "required"),
    ("mesh", {"scraper": {"namespace": "*", "serviceAccount": "prometheus"}}, "DNS label"),
    ("mesh", {"tracing": {"namespace": "observability", "service": "otel", "sampling": 101}}, "more than "),
    ("databases", {"shop": {**SHOP, "cidrs": ["0.0.0.0/0"]}}, "over-broad"),
    ("services", {"replicas": 0}, "less than 1"),
    ("apiServerCidrs", ["0.0.0.0/0"], "over-broad"),
    ("phases", {"require-probes": "deny"}, "audit, warn, enforce"),
    ("posture", {"critical": "audit"}, "a mapping of keys"),
    ("posture", {"critical": {"reason": "no value"}}, "required"),
]


VAULT = {"address": "https://v.example.org"}
NO_VAULT = {"vault": {"value": False, "reason": "no customer data here"}}


def problems_with(config: dict[str, Any]) -> list[str]:
    try:
        parse_settings(config, "Pulumi.x.yaml")
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_projects_stack_files_are_legal(environment: str) -> None:
    assert settings(environment).environment == environment
    assert plan_of(environment).services


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize(("key", "value", "legal"), WRONG)
def test_a_wrong_value_is_refused(environment: str, key: str, value: Any, legal: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(environment, **{key: value})
    problem = caught.value.problems[0]
    assert problem.file == f"Pulumi.{environment}.yaml" or key == "environment"
    assert problem.key.startswith(f"zero-trust:{key}")
    assert legal in str(problem)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("key", [k for k in legal_keys(Settings, ()) if k not in ("environment", "registries")])
def test_a_key_left_out_is_legal_or_says_what_is_due(environment: str, key: str) -> None:
    remaining = {name: value for name, value in values(environment).items() if name != key}
    problems = problems_with(remaining)
    assert not problems or key in ("vault", "ingress")
    assert all("required" in problem for problem in problems)


@pytest.mark.parametrize("key", ["environment", "registries"])
def test_what_has_no_default_is_required(key: str) -> None:
    remaining = {name: value for name, value in values("production").items() if name != key}
    with pytest.raises(ConfigError, match=f"zero-trust:{key}: missing"):
        parse_settings(remaining, "Pulumi.production.yaml")


def nested(model: type[BaseModel], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every place of the model that holds keys, outside lists and mappings of names."""
    places = [path]
    for key in legal_keys(model, ()):
        field = next(f for f in model.model_fields.values() if f.alias == key)
        if get_origin(field.annotation) in (tuple, dict):
            continue
        inner = next((a for a in _annotations(field.annotation) if issubclass(a, BaseModel)), None)
        if inner is not None:
            places += nested(inner, (*path, key))
    return places


def _annotations(annotation: Any) -> list[type]:
    found = [annotation] if isinstance(annotation, type) else []
    return found + [inner for arg in getattr(annotation, "__args__", ()) for inner in _annotations(arg)]


@pytest.mark.parametrize("place", nested(Settings))
def test_an_unknown_key_is_refused_at_every_level(place: tuple[str, ...]) -> None:
    config: dict[str, Any] = {**values("production")}
    here = config
    for key in place:
        here[key] = {**here.get(key, {})}
        here = here[key]
    near = legal_keys(Settings, place)[0]
    here[f"{near}s"] = 1
    with pytest.raises(ConfigError) as caught:
        parse_settings(config, "Pulumi.production.yaml")
    text = next(str(problem) for problem in caught.value.problems if problem.key.endswith(f"{near}s"))
    assert "unknown key, found 1" in text
    assert all(key in text for key in legal_keys(Settings, place))
    assert f"did you mean {near}?" in text


def test_all_errors_of_a_file_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        settings("production", trustDomian="x", kyverno={"replicas": 0}, posture={"critical": {"value": "off"}})
    keys = {problem.key for problem in caught.value.problems}
    assert keys == {"zero-trust:trustDomian", "zero-trust:kyverno.replicas", "zero-trust:posture.critical"}


@pytest.mark.parametrize(
    ("environment", "changes", "key"),
    [
        ("production", {"vault": {}}, "vault.address"),
        ("production", {"vault": {"address": "https://v.example.org"}}, "vault.seal"),
        ("production", {"vault": {"mode": "external", "address": "https://v.example.org"}}, "vault.cidrs"),
        (
            "production",
            {"vault": {"mode": "external", "address": "https://10.1.2.3", "auditPaths": ["/a"]}},
            "vault.auditPaths",
        ),
        (
            "dev",
            {"vault": {"address": "https://v.example.org", "login": {"method": "cert", "certFile": "/c"}}},
            "vault.login.keyFile",
        ),
        ("production", {"vault": {**VAULT, "seal": {"static": STATIC}}}, "vault.seal.static"),
        ("production", {"posture": NO_VAULT, "databases": {"shop": SHOP}}, "databases"),
        ("production", {"databases": {"shop": SHOP, "more": {**SHOP, "database": "more"}}}, "databases.more.adminUser"),
        ("production", {"ingress": {}}, "ingress.acmeEmail"),
        ("dev", {"ingress": {"kind": "ingress", "className": "nginx"}}, "ingress.controller"),
        ("dev", {"posture": {"mtls": {"value": "off", "reason": "r"}}}, "posture.issuer"),
        ("production", {"posture": {"injectionFailClosed": {"value": False}}}, "posture.injectionFailClosed"),
        ("production", {"posture": {"critical": {"value": "block"}}}, "posture.critical"),
    ],
)
def test_keys_that_need_each_other(environment: str, changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(environment, **changes)
    assert f"zero-trust:{key}" in {problem.key for problem in caught.value.problems}


def test_a_reasoned_override_reaches_the_posture() -> None:
    changed = settings("production", posture={"authorization": {"value": "dry-run", "reason": "first week"}})
    assert changed.decisions().authorization == "dry-run"


def test_phases_become_actions() -> None:
    phases = settings("production", phases={"a": "audit", "b": "warn", "c": "enforce"}).phase_actions()
    assert phases == {"a": Action.AUDIT, "b": Action.WARN, "c": Action.DENY}


def test_an_unknown_rule_is_named_with_its_key() -> None:
    with pytest.raises(ConfigError, match=r"zero-trust:phases\.no-such-rule: no important rule"):
        plan_of("production", phases={"no-such-rule": "warn"})


def test_a_missing_certificate_is_named_with_its_key(tmp_path: Path) -> None:
    vault = {**values("production")["vault"], "caCertFile": str(tmp_path / "none.pem"), "tlsSecret": "own"}
    with pytest.raises(ConfigError, match=r"zero-trust:vault\.caCertFile: .*none\.pem"):
        plan_of("production", vault=vault)


def test_decoding() -> None:
    config = {"zero-trust:environment": "dev", "zero-trust:registries": '["r.example.org"]', "aws:region": "x"}
    assert decode_config(config, frozenset(), "f") == {"environment": "dev", "registries": ["r.example.org"]}
    with pytest.raises(ConfigError, match="zero-trust:vault: a mapping or a list"):
        decode_config({"zero-trust:vault": "{"}, frozenset(), "f")
    with pytest.raises(ConfigError, match="a secret does not belong here") as caught:
        decode_config({"zero-trust:vault": "hunter2"}, frozenset({"zero-trust:vault"}), "f")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("written", ['{"shop": {"adminSecret": "shop"}}', '{"shop": {}}', "[]", '{"shop": 1}'])
def test_secrets_of_the_config_are_secret_and_those_asked_for_are_there(written: str) -> None:
    config = {"zero-trust:databases": written, "zero-trust-secrets:shop": "hunter2"}
    assert "databases" in decode_config(config, frozenset({"zero-trust-secrets:shop"}), "f")
    with pytest.raises(ConfigError, match="zero-trust-secrets:shop: in plaintext") as caught:
        decode_config(config, frozenset(), "f")
    assert "hunter2" not in str(caught.value)
    if "adminSecret" in written:
        del config["zero-trust-secrets:shop"]
        config["zero-trust-secrets:stock"] = "hunter2"
        told = r"databases\.shop\.adminSecret: no such secret, found 'shop'; legal: stock"
        with pytest.raises(ConfigError, match=told):
            decode_config(config, frozenset({"zero-trust-secrets:stock"}), "f")


OVERLAY = """
acme: {directory: "https://127.0.0.1:14000/dir", caBundleFile: /state/acme.pem}
vault:
  address: https://127.0.0.1:8200
  caCertFile: /state/ca.pem
  login: {method: cert, certFile: /state/c.pem, keyFile: /state/k.pem, role: platform-deployer}
  kubernetesHost: https://127.0.0.1:6443
  auditDirectory: /state/audit
charts: /state/charts
"""


@pytest.fixture
def overlay(tmp_path: Path) -> Overlay:
    path = tmp_path / "overlay.yaml"
    path.write_text(OVERLAY.replace("/state/acme", f"{tmp_path}/acme"), encoding="utf-8")
    (tmp_path / "acme.pem").write_bytes(trustme.CA().cert_pem.bytes())
    found = read_overlay(str(path))
    assert found is not None
    return found


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_overlay_says_where_and_never_what(environment: str, overlay: Overlay) -> None:
    placed, plain = settings(environment, overlay), settings(environment)
    assert placed.decisions() == plain.decisions()
    assert placed.model_copy(update={"vault": plain.vault, "ingress": plain.ingress, "charts": plain.charts}) == plain
    assert placed.ingress.model_copy(update={"acme_server": None}) == plain.ingress
    assert placed.ingress.acme_server is not None
    assert placed.ingress.acme_server.directory == "https://127.0.0.1:14000/dir"
    assert (placed.vault.mode, placed.vault.address) == ("external", "https://127.0.0.1:8200")
    assert placed.vault.audit_paths[0] == "/state/audit/audit.log"


def test_with_an_overlay_vault_has_no_release(overlay: Overlay) -> None:
    made = plan_of("production", overlay)
    assert made.vault is not None
    assert (made.vault.server, made.vault.injector, made.vault.retain_data) == (None, None, False)
    assert made.vault.login_cert_file == "/state/c.pem"
    assert made.services[0].platform.vault.networks == ("127.0.0.1/32",)
    assert made.mesh is not None
    assert made.mesh.charts.directory == "/state/charts"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("posture: {}", r"overlay\.yaml:1: posture: unknown key.*legal: vault, acme, charts"),
        ("vault:\n  address: https://x\n  mode: helm", r"overlay\.yaml:3: vault\.mode: unknown key"),
        ("vault: {}", r"vault\.address: missing"),
        ("charts: charts", "absolute path"),
        ("[]", "a mapping of keys is expected"),
        ("a: [", r"overlay\.yaml:\d+: YAML"),
    ],
)
def test_a_wrong_overlay_is_refused(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "overlay.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=error):
        read_overlay(str(path))


def test_an_overlay_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ZERO_TRUST_OVERLAY: .*none\.yaml"):
        read_overlay(str(tmp_path / "none.yaml"))


SIGNER = {"name": "release", "publicKey": "-----BEGIN PUBLIC KEY-----"}
WORKFLOW = {"name": "ci", "issuer": "https://issuer.example.org", "subject": "repo:shop/api"}


@pytest.mark.parametrize(
    ("signer", "error"),
    [
        ({"name": "a"}, "write publicKey, or issuer and subject"),
        ({**WORKFLOW, **SIGNER}, "write publicKey, or issuer and subject"),
        ({**WORKFLOW, "subject": None}, "write publicKey, or issuer and subject"),
        ({**WORKFLOW, "issuer": None}, "write publicKey, or issuer and subject"),
        ({**WORKFLOW, "issuer": "http://issuer.example.org"}, "TLS only"),
        ({**SIGNER, "rekorUrl": "https://rekor.example.org"}, "a key is checked without a log"),
        ({**SIGNER, "name": "Release"}, "not a DNS label"),
        ({**SIGNER, "key": "x"}, r"imageSignatures\[0\]\.key: unknown key"),
    ],
)
def test_a_signer_of_images_is_a_key_or_an_identity(signer: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        settings("production", kyverno={"imageSignatures": [signer]})


@pytest.mark.parametrize("signer", [SIGNER, WORKFLOW, {**WORKFLOW, "rekorUrl": "https://rekor.example.org"}])
def test_both_kinds_of_signers_are_legal(signer: dict[str, Any]) -> None:
    assert settings("production", kyverno={"imageSignatures": [signer]}).kyverno.image_signatures


def test_the_day_of_exceptions_is_a_date() -> None:
    assert settings("production", asOf="2026-04-01").as_of == date(2026, 4, 1)
    for written in ("2026-04-01", "2026-04-01 00:00:00 +0000 UTC"):
        assert decode_config({"zero-trust:asOf": written}, frozenset(), "f") == {"asOf": "2026-04-01"}
    with pytest.raises(ConfigError, match="zero-trust:asOf"):
        settings("production", asOf="soon")


def test_a_day_inside_a_section_is_read_as_pulumi_hands_it_over() -> None:
    """The CLI reads a day without quotes as a time, and hands a section over as JSON."""
    timed = {"granted": "2026-04-01 00:00:00 +0000 UTC", "expires": "2026-05-01 00:00:00 +0000 UTC"}
    section = {"excludedNamespaces": {"calico-system": timed}, "exceptions": [timed]}
    days = {"granted": "2026-04-01", "expires": "2026-05-01"}
    assert decode_config({"zero-trust:kyverno": json.dumps(section)}, frozenset(), "f") == {
        "kyverno": {"excludedNamespaces": {"calico-system": days}, "exceptions": [days]}
    }


@pytest.mark.parametrize("threshold", [0, 101, 90.5, "90"])
def test_the_promotion_threshold_is_a_percentage(threshold: object) -> None:
    with pytest.raises(ConfigError, match=r"kyverno\.promotionThreshold"):
        settings("production", kyverno={"promotionThreshold": threshold})


def test_a_stack_without_vault_cannot_forbid_the_secrets_that_it_uses_instead() -> None:
    without = {"vault": {"value": False, "reason": "no customer data here"}}
    phases = {"disallow-secrets-in-environment": "enforce"}
    with pytest.raises(ConfigError, match=r"phases\.disallow-secrets-in-environment: this stack has no Vault"):
        settings("production", posture=without, phases=phases)
    assert settings("production", posture=without, phases={"disallow-secrets-in-environment": "warn"})
