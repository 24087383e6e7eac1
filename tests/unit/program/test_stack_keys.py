"""A fault of an argument is shown at the key of the stack file that filled it, and a mistake of the program is not."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.config.settings import Settings
from components.program import plan as planned
from components.program.plan import plan, policy_args
from components.program.stack_keys import stack_keys
from components.schema.problem import ConfigError, FieldError
from components.schema.typed_file import legal_keys
from tests.support.stacks import stack, values

pytestmark = pytest.mark.unit

PROGRAM = Path(planned.__file__).parent
SHOP = {"host": "db.example.org", "database": "shop", "adminUser": "vault"}
ACME = {"directory": "https://acme.example.org/directory"}
PKI = {"commonName": "x", "domains": ["*.example.org"]}


def refused(**changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        plan(replace(stack("production", **changes), line_of=lambda _: 7))
    assert len(caught.value.problems) == 1
    return str(caught.value).removeprefix("Pulumi.production.yaml:7: zero-trust:")


def vault(**changes: object) -> dict[str, Any]:
    return {"vault": {**values("production")["vault"], **changes}}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"phases": {"no-such-rule": "warn"}}, "phases.no-such-rule"),
        ({"kyverno": {"parameters": {"none": {}}}}, "kyverno.parameters.none"),
        ({"kyverno": {"parameters": {"require-replicas": {"most": 1}}}}, "kyverno.parameters.require-replicas.most"),
        (
            {"kyverno": {"parameters": {"require-replicas": {"minimum": "x"}}}},
            "kyverno.parameters.require-replicas.min",
        ),
        ({"kyverno": {"imageSignatures": [{"name": "ci", "publicKey": "x"}]}}, "kyverno.imageSignatures[0].publicKey"),
        (
            {"kyverno": {"imageSignatures": [{"name": "9", "issuer": "https://i.example.org", "subject": "x"}]}},
            "kyverno.imageSignatures[0].name",
        ),
        (
            {"kyverno": {"imageSignatures": [{"name": "ci", "issuer": "https://i.example.org", "subject": "*"}]}},
            "kyverno.imageSignatures[0].subject",
        ),
        (
            {
                "kyverno": {
                    "imageSignatures": [
                        {"name": "a", "issuer": "https://i.example.org", "subject": subject} for subject in "xy"
                    ]
                }
            },
            "kyverno.imageSignatures",
        ),
        (vault(caCertFile="/none.pem", tlsSecret="own"), "vault.caCertFile"),
        (vault(pki={**PKI, "certificateFile": "/none.pem"}), "vault.pki.certificateFile"),
        ({"databases": {"shop": {**SHOP, "adminPasswordFile": "/none"}}}, "databases.shop.adminPasswordFile"),
        (
            {"ingress": {**values("production")["ingress"], "acmeServer": {**ACME, "caBundleFile": "/x"}}},
            "ingress.acmeServer.caBundleFile",
        ),
    ],
)
def test_a_fault_is_shown_at_its_key_with_file_and_line(changes: dict[str, object], key: str) -> None:
    assert refused(**changes).startswith(key)


@pytest.mark.parametrize("text", ["nothing", "-----BEGIN CERTIFICATE-----\n" * 2 + "-----END CERTIFICATE-----\n"])
def test_a_certificate_that_is_none_is_shown_at_the_key_of_its_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.pem"
    file.write_text(text, encoding="utf-8")
    assert refused(**vault(pki={**PKI, "certificateFile": str(file)})).startswith("vault.pki.certificateFile: ")


def test_a_certificate_in_no_encoding_names_its_key(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(b"# caf\xe9\n")
    assert refused(**vault(caCertFile=str(file), tlsSecret="own")).startswith("vault.caCertFile: ")


@pytest.mark.parametrize(
    "error", [ValueError("vault: x"), TypeError("x"), FieldError("no_such_key", "x"), KeyError("x")]
)
def test_a_mistake_of_the_program_is_no_problem_of_the_file(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(planned, "services_args", broken)
    with pytest.raises(type(error)) as caught:
        plan(stack("production"))
    assert caught.value is error


def test_one_plan_alone_says_the_same() -> None:
    with pytest.raises(ConfigError, match=r"^Pulumi\.production\.yaml: zero-trust:phases\.none: no important rule"):
        policy_args(stack("production", phases={"none": "warn"}))


def given_keys() -> dict[str, str]:
    """The key of each field, as the plans give it to `stack_keys` and `keys_of`."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(PROGRAM.rglob("*.py")))
    calls = re.findall(r"(?:stack_keys|keys_of)\(([^()]*)\)", text)
    return {field: key for call in calls for field, key in re.findall(r'(\w+)="([\w.]+)"', call)}


def test_the_keys_are_those_of_the_stack_file() -> None:
    assert len(given_keys()) > 15
    for key in given_keys().values():
        parts = key.split(".")
        for number, part in enumerate(parts):
            assert part in legal_keys(Settings, tuple(parts[:number])), key


# What no plan fills from a value of the stack file, but from service files and the posture, which were judged before.
DERIVED = {
    "action",
    "service_account",
    "hosts",
    "limits",
    "namespaces",
    "owner",
    "owners",
    "password_file",
    "roles",
    "privileges",
    "attestors",
    "granted",
}
# `_attestor` makes their keys of the number in the list.
OF_A_SIGNER = {"name", "public_key", "subject"}


def test_each_field_that_args_refuse_has_a_key() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(PROGRAM.parent.rglob("*.py")))
    refused = set(re.findall(r'FieldError\(\s*f?"(\w+)', text))
    assert len(refused) > 20
    assert refused <= {*given_keys(), *legal_keys(Settings, ()), *DERIVED, *OF_A_SIGNER}


def test_the_decorator_leaves_what_is_made_alone() -> None:
    @stack_keys(x="vault.address")
    def made(given: Any, number: int) -> tuple[Any, int]:
        """Make it."""
        return given, number

    assert made.__doc__ == "Make it."
    here = stack("dev")
    assert made(here, 3) == (here, 3)
