"""The chart that stands for Vault's official one makes of the program's values what that one does."""

import json
import os
from pathlib import Path

import pytest

from tests.node.vault_pods import OF_THE_SAME_SHAPE, OFFICIAL_CHART
from tests.support.vault_chart import FACTS, rendered
from zt.preflight.chart_objects import CHART_KINDS

pytestmark = pytest.mark.policy

# What only several injectors with certificates of their own need. Here they are played.
LEFT_OUT = {
    "PodDisruptionBudget/vault-agent-injector",
    "Role/vault-agent-injector-leader-elector-role",
    "RoleBinding/vault-agent-injector-leader-elector-binding",
    "Secret/vault-injector-certs",
}


def test_it_is_of_the_official_charts_shape(tmp_path: Path) -> None:
    official, own = json.loads(FACTS.read_text()), rendered(OF_THE_SAME_SHAPE, tmp_path)
    assert official.keys() - own.keys() == LEFT_OUT
    assert own == {name: made for name, made in official.items() if name not in LEFT_OUT}


def test_the_facts_are_those_of_the_official_chart(tmp_path: Path) -> None:
    """With the official chart at hand they are recorded anew, so that a change shows in a comparison of commits."""
    official = os.environ.get(OFFICIAL_CHART)
    if official:
        FACTS.write_text(json.dumps(rendered(Path(official), tmp_path), indent=1, sort_keys=True) + "\n")
    found = json.loads(FACTS.read_text())
    assert {name.split("/")[0] for name in found} == {kind for _, kind in CHART_KINDS["vault"]}
    assert found["StatefulSet/vault"]["spec"]["serviceName"] == "vault-internal"
