"""A stack with hundreds of services and teams: nothing that it makes is larger than the API server takes.

What one object cannot hold is refused with the key, before anything changes.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from components.config.action import Action
from components.ingress.secure_ingress import MOST_HOSTS
from components.kube.manifest import Manifest
from components.program.plan import platform_terms
from components.program.plans.teams import team_grants_args
from components.program.stack import read_stack
from components.schema.problem import ConfigError, FieldError
from components.service.native_policy import MOST_BYTES, MOST_CHARACTERS, of_namespace
from components.service.objects import ServiceObjectsArgs
from components.service.objects import policy_spec as objects_spec
from components.teams.grants import Granted, TeamGrantsArgs
from components.teams.grants import policy_spec as grants_spec
from tests.support.stacks import settings, stack, values

pytestmark = pytest.mark.unit

PRODUCTION = values("production")


def expressions(spec: Manifest) -> dict[str, str]:
    """Each expression of a policy, by its name or its place."""
    sections = ("variables", "validations", "matchConditions")
    every = [(f"{key}[{number}]", each) for key in sections for number, each in enumerate(spec[key])]
    return {each.get("name", place): each["expression"] for place, each in every}


def looked_up(found: Mapping[str, str], name: str, namespace: str) -> Any:
    """What a variable has for a namespace, by the maps behind it."""
    maps = [json.loads(found[part]) for part in found if re.fullmatch(rf"{name}[0-9]+", part)]
    having = [each[namespace] for each in maps if namespace in each]
    assert len(having) == 1
    return having[0]


def granted(teams: int, hosts: int) -> dict[str, Granted]:
    return {
        f"team-{team}-{space}": Granted(
            f"team-{team}",
            [f"api-{number}.partner-{team}.example.net" for number in range(hosts)],
            [f"198.18.{team}.{number}/32" for number in range(hosts)],
        )
        for team in range(teams)
        for space in ("a", "b")
    }


def test_what_fifty_teams_were_granted_stands_in_maps_that_the_api_server_takes() -> None:
    approved = granted(50, 60)
    found = expressions(grants_spec(TeamGrantsArgs(Action.DENY, approved)))
    assert max(map(len, found.values())) <= MOST_CHARACTERS
    for namespace, each in approved.items():
        assert looked_up(found, "hosts", namespace) == each.hosts
    # A variable is known to those behind it alone.
    names = list(found)
    assert names.index("hosts1") < names.index("hosts")


def test_a_small_stack_has_one_map() -> None:
    found = expressions(grants_spec(TeamGrantsArgs(Action.DENY, granted(2, 2))))
    assert "hosts1" not in found
    assert found["hosts"].endswith("}[?request.namespace].orValue([])")


def test_the_names_of_thousands_of_services_stand_in_several_maps() -> None:
    accounts = {f"ns-{space}": [f"a-service-of-{space}-{number}" for number in range(80)] for space in range(60)}
    held = {space: {f"secrets/{name}": [name] for name in names} for space, names in accounts.items()}
    found = expressions(objects_spec(ServiceObjectsArgs(Action.DENY, accounts, held)))
    assert max(map(len, found.values())) <= MOST_CHARACTERS
    for namespace, names in accounts.items():
        assert {*looked_up(found, "names", namespace)} == {*names}


def maps(length: int) -> dict[str, str]:
    return of_namespace("names", {"a": "x" * length, "b": "y"}, "''", lambda namespace: f"teams.{namespace}")


@pytest.mark.parametrize("length", range(MOST_CHARACTERS - 260, MOST_CHARACTERS - 210, 5))
def test_no_map_is_longer_however_long_the_part_of_a_namespace_is(length: int) -> None:
    assert max(map(len, maps(length).values())) <= MOST_CHARACTERS


@pytest.mark.parametrize("length", [MOST_CHARACTERS - 200, MOST_CHARACTERS])
def test_a_part_that_no_map_holds_is_refused(length: int) -> None:
    with pytest.raises(FieldError, match="names of namespace a have") as caught:
        maps(length)
    assert caught.value.key == "teams.a"


def teams(number: int, hosts: int) -> dict[str, Any]:
    return {
        "teams": {
            f"team-{team}": {
                "namespaces": [f"team-{team}"],
                "approved": {
                    "egress": [f"h{each}.partner-with-a-long-name-{team}.example.net" for each in range(hosts)]
                },
            }
            for team in range(number)
        }
    }


@pytest.mark.parametrize(
    ("changes", "key", "why"),
    [
        (teams(1, 3000), "zero-trust:teams.team-0.approved", "and the API server takes 100000"),
        (teams(60, 500), "zero-trust:teams", "and the API server stores 1000000"),
    ],
)
def test_more_than_a_policy_holds_is_refused_at_its_key(changes: dict[str, Any], key: str, why: str) -> None:
    here = stack("production", **changes)
    with pytest.raises(ConfigError) as caught:
        team_grants_args(here, platform_terms(here, ()))
    assert f"{key}: " in str(caught.value)
    assert why in str(caught.value)
    assert MOST_BYTES == 1_000_000


def files(root: Path, hosts: int) -> Path:
    (root / "services").mkdir()
    for number in range(hosts):
        text = "\n".join(
            (
                "namespace: shop",
                "team: commerce",
                "image: registry.example.org/x:v1",
                "port: 8080",
                f"host: h{number}.example.org",
            )
        )
        (root / "services" / f"s{number}.yaml").write_text(f"{text}\n")
    return root


def test_more_public_hosts_than_the_gateway_has_listeners_for(tmp_path: Path) -> None:
    here = settings("production")
    root = files(tmp_path, MOST_HOSTS + 1)
    with pytest.raises(ConfigError) as caught:
        read_stack(root, "Pulumi.production.yaml", here)
    assert f"zero-trust:ingress.kind: a Gateway has listeners for {MOST_HOSTS} public hosts" in str(caught.value)
    (root / "services" / "s0.yaml").unlink()
    assert len(read_stack(root, "Pulumi.production.yaml", here).services) == MOST_HOSTS
    team = {"namespaces": ["blue"], "hosts": {"blue": ["blue.example.org"]}}
    with pytest.raises(ConfigError, match="63 of services and packages, 1 of teams"):
        read_stack(root, "Pulumi.production.yaml", settings("production", teams={"blue": team}))
