"""Every published application of `examples/` is a plan on each stack that can have it."""

from pathlib import Path

import pytest

from components.program.plan import plan
from components.schema.problem import ConfigError
from components.service.manifests.authorization import authorization_policy
from tests.support.examples import EXAMPLES, example_stack
from tests.support.stacks import ROOT

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
@pytest.mark.parametrize("environment", ["production", "staging"])
def test_it_is_planned(folder: Path, environment: str) -> None:
    services = plan(example_stack(folder, environment)).services
    assert len(services) == len(list((folder / "services").glob("*.yaml")))


def test_the_shop_is_complete_and_closed() -> None:
    """Twelve services, of which one is public, and each edge is one of gRPC's methods."""
    services = {args.name: args for args in plan(example_stack(ROOT / "examples" / "online-boutique")).services}
    assert len(services) == 12
    assert [args.name for args in services.values() if args.public] == ["frontend"]
    policy = authorization_policy(services["paymentservice"])
    assert policy is not None
    (rule,) = policy["spec"]["rules"]
    assert rule["from"][0]["source"]["principals"] == ["cluster.local/ns/boutique/sa/checkoutservice"]
    assert rule["to"][0]["operation"]["paths"] == ["/hipstershop.PaymentService/Charge"]
    assert authorization_policy(services["loadgenerator"]) is None


def test_each_stands_in_the_list() -> None:
    listed = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert len(EXAMPLES) == 4
    for folder in EXAMPLES:
        assert f"[{folder.name}]({folder.name}/services)" in listed


def test_without_its_stack_file_an_example_with_a_database_says_what_is_missing() -> None:
    with pytest.raises(ConfigError, match="no such database in the stack file"):
        example_stack(ROOT / "examples" / "keycloak", databases={})
