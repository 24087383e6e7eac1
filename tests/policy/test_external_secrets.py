"""What a service has for the External Secrets Operator is what the definitions of its pinned release know."""

from typing import Any, cast

import jsonschema
import pytest
import yaml

from components.kube.names import EXTERNAL_SECRETS_API
from components.service.manifests.external_secrets import external_secret, secret_store
from components.vault.terms import StoreTerms
from embedded.toolchain.gomodule import module_dir
from embedded.toolchain.table import EXTERNAL_SECRETS
from tests.support.stacks import platform, service

pytestmark = pytest.mark.policy

UPSTREAM = "github.com/external-secrets/external-secrets"
ARGS = service(platform=platform(store=StoreTerms("https://vault.vault.svc:8200", "PEM")))


def strict(schema: Any) -> Any:
    """The schema, closed: the API server drops what it does not know, silently."""
    if isinstance(schema, list):
        return [strict(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    closed = {key: strict(value) for key, value in cast("dict[str, Any]", schema).items()}
    if isinstance(closed.get("properties"), dict) and "additionalProperties" not in closed:
        closed["additionalProperties"] = False
    return closed


def spec_of(plural: str) -> Any:
    """The closed schema of a kind's spec."""
    path = module_dir(UPSTREAM, EXTERNAL_SECRETS) / "config" / "crds" / "bases" / f"external-secrets.io_{plural}.yaml"
    (version,) = (
        v
        for v in yaml.safe_load(path.read_text())["spec"]["versions"]
        if f"external-secrets.io/{v['name']}" == EXTERNAL_SECRETS_API
    )
    assert version["served"]
    return strict(version["schema"]["openAPIV3Schema"]["properties"]["spec"])


@pytest.mark.parametrize(
    ("plural", "made"),
    [("secretstores", secret_store(ARGS)), ("externalsecrets", external_secret(ARGS, ARGS.secrets[0]))],
)
def test_the_definitions_know_every_field(plural: str, made: dict[str, Any]) -> None:
    assert made["apiVersion"] == EXTERNAL_SECRETS_API
    jsonschema.validate(made["spec"], spec_of(plural))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**made["spec"], "unknown": True}, spec_of(plural))
