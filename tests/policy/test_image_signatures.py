"""The rule for image signatures, through the Kyverno CLI and a registry on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.kyverno.image_signatures import SIGNATURE_RULE, KeyAttestor, KeylessAttestor, signed_by
from components.kyverno.library import load_library
from tests.policy import cases
from tests.policy.kyverno_cli import verdicts
from tests.policy.oci_registry import Registry, serving

pytestmark = pytest.mark.policy

Manifest = dict[str, Any]

RULE = load_library().rule(SIGNATURE_RULE)
GROUPS: dict[str, list[Manifest]] = yaml.safe_load(RULE.path.with_name("cases.yaml").read_text())
# Kyverno finds no images in a ReplicationController.
KINDS = [kind for kind in cases.KINDS if kind != "ReplicationController"]
KEY, OTHER_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


def public(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    made = Registry()
    made.sign(made.push_image("signed"), KEY)
    made.sign(made.push_image("signed-by-another"), OTHER_KEY)
    made.sign(made.push_image("signature-of-another"), KEY, made.push_image("another"))
    made.push_image("unsigned")
    with serving(made):
        yield made


def objects(registry: Registry, group: str) -> list[Manifest]:
    """Each case as a Pod, and the first and those of volumes as every kind."""
    made = [
        cases.wrap(kind, f"{case['name']}.{kind.lower()}", cases.pod_spec(case), {"app": "case"})
        for number, case in enumerate(GROUPS[group])
        for kind in (KINDS if number == 0 or "volume" in case["name"] else KINDS[:1])
    ]
    return json.loads(json.dumps(made).replace("registry.test", registry.host))


@pytest.mark.parametrize(("group", "result"), [("admits", "pass"), ("refuses", "fail")])
def test_an_image_needs_a_signature_of_the_attestor(
    tmp_path: Path, registry: Registry, group: str, result: str
) -> None:
    rule = signed_by(RULE.document, [KeyAttestor("ci", public(KEY))], [f"{registry.host}/"])
    made = objects(registry, group)
    found = verdicts(tmp_path, [rule], made)
    names = [(one["kind"], one["metadata"]["name"]) for one in made]
    assert {name: dict(found[name]) for name in names} == {name: {SIGNATURE_RULE: result} for name in names}


def test_a_signature_of_any_one_attestor_is_enough(tmp_path: Path, registry: Registry) -> None:
    attestors = [KeyAttestor("next-year", public(OTHER_KEY)), KeyAttestor("ci", public(KEY))]
    rule = signed_by(RULE.document, attestors, [registry.host])
    made = [
        cases.wrap("Pod", tag, cases.pod_spec({"container": {"image": f"{registry.host}/shop/api:{tag}"}}), {})
        for tag in ("signed", "signed-by-another", "unsigned")
    ]
    found = verdicts(tmp_path, [rule], made)
    assert {name: results[SIGNATURE_RULE] for (_, name), results in found.items()} == {
        "signed": "pass",
        "signed-by-another": "pass",
        "unsigned": "fail",
    }


def test_the_file_as_it_stands_trusts_nobody(tmp_path: Path, registry: Registry) -> None:
    rule = cases.merge(RULE.document, {"spec": {"matchImageReferences": [{"glob": f"{registry.host}/*"}]}})
    made = objects(registry, "admits")[:1]
    found = verdicts(tmp_path, [rule], made)
    assert [dict(results) for results in found.values()] == [{SIGNATURE_RULE: "fail"}]


def test_kyverno_takes_a_rule_with_a_keyless_attestor(tmp_path: Path) -> None:
    """Its signatures need the internet; the rule that asks for them does not."""
    attestor = KeylessAttestor("release", "https://issuer.example.org", "release@example.org")
    rule = signed_by(RULE.document, [attestor], ["registry.example.net"])
    found = verdicts(tmp_path, [rule], [cases.wrap("Pod", "elsewhere", cases.pod_spec({}), {})])
    assert dict(found["Pod", "elsewhere"]) == {SIGNATURE_RULE: "pass"}
