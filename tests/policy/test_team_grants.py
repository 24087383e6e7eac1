"""The networks that a team's deployer may open, asked of the native policy by the library that evaluates it."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.config.action import Action
from components.kube.manifest import of_kind
from components.kube.networks import OpenNetworks
from components.teams.grants import Granted, TeamGrantsArgs, native_policy
from tests.policy.kyverno_cli import apply

pytestmark = pytest.mark.policy

Manifest = dict[str, Any]
METADATA, OWN = "100.100.100.200/32", "100.64.0.53/32"
BLUE = Granted("blue", ["api.example.net"], ["100.64.0.0/10", "203.0.113.0/24"])
# Together they have more characters than an expression may.
MANY = {
    f"team-{team}-{space}": Granted(
        f"team-{team}",
        [f"api-{number}.partner-{team}.example.net" for number in range(60)],
        [f"198.18.{team}.{number}/32" for number in range(60)],
    )
    for team in range(50)
    for space in ("a", "b")
}
OPENED: dict[str, tuple[Manifest, str]] = {
    "approved": ({"cidr": "203.0.113.0/28"}, "pass"),
    "beside": ({"cidr": "203.0.112.0/23"}, "fail"),
    "link-local": ({"cidr": "169.254.169.254/32"}, "fail"),
    "metadata": ({"cidr": METADATA}, "fail"),
    "own-metadata": ({"cidr": OWN}, "fail"),
    "wide": ({"cidr": "100.64.0.0/10"}, "fail"),
    "wide-without-one": ({"cidr": "100.64.0.0/10", "except": [METADATA]}, "fail"),
    "wide-without-both": ({"cidr": "100.64.0.0/10", "except": [OWN, METADATA]}, "pass"),
    "narrower-within": ({"cidr": "100.65.0.0/16"}, "pass"),
}


def network_policy(name: str, block: Manifest) -> Manifest:
    rule = {"to": [{"ipBlock": block}], "ports": [{"port": 443, "protocol": "TCP"}]}
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}
    return of_kind("NetworkPolicy", metadata={"name": name, "namespace": "blue"}, spec=spec)


@pytest.mark.parametrize("others", [{}, MANY], ids=["one team", "fifty teams"])
def test_a_network_with_a_metadata_service_is_opened_without_it_alone(
    tmp_path: Path, others: dict[str, Granted]
) -> None:
    args = TeamGrantsArgs(Action.DENY, {**others, "blue": BLUE}, networks=OpenNetworks((OWN,)))
    spec = native_policy(args).spec
    # The CLI has no authorizer. What else a team may not do is tried on the embedded stack.
    spec = {**spec, "validations": [each for each in spec["validations"] if "ipBlock" in each["expression"]]}
    spec.pop("matchConditions")
    name = {"name": "team-grants"}
    binding = {"policyName": "team-grants", "validationActions": ["Deny"]}
    policies = [
        of_kind("ValidatingAdmissionPolicy", metadata=name, spec=spec),
        of_kind("ValidatingAdmissionPolicyBinding", metadata=name, spec=binding),
    ]
    objects = [network_policy(each, block) for each, (block, _) in OPENED.items()]
    options = ("--policy-report", "--output-format", "json")
    printed = apply(tmp_path, policies, objects, *options, exit_codes=(0, 1)).stdout
    report, _ = json.JSONDecoder().raw_decode(printed[printed.index('{"kind"') :])
    found = {each["resources"][0]["name"]: each["result"] for each in report["results"]}
    assert found == {each: result for each, (_, result) in OPENED.items()}
