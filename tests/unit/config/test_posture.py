"""The posture table and its overrides."""

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.config.action import Action
from components.config.posture import LAYERS, SCALE, TABLE, Override, Posture, PostureError, posture_for, strength
from components.config.settings import PostureOverrides

ORDER = ("local", "dev", "staging", "production")
CELLS = [(layer, value) for layer in LAYERS for value in SCALE[layer]]


def problems(environment: str, overrides: dict[str, Override]) -> list[str]:
    try:
        posture_for(environment, overrides)
    except PostureError as error:
        return [problem.message for problem in error.problems]
    return []


def test_the_table_is_the_designs() -> None:
    production, staging, dev, local = (TABLE[name] for name in ("production", "staging", "dev", "local"))
    assert (production.vault_replicas, production.audit_devices, production.injection_fail_closed) == (3, 2, True)
    assert (staging.audit_devices, staging.injection, staging.injection_fail_closed) == (1, True, False)
    assert (production.critical, staging.critical, dev.critical) == (Action.DENY, Action.WARN, Action.AUDIT)
    assert (production.important, staging.important, dev.important) == (Action.DENY, Action.AUDIT, Action.OFF)
    assert (production.mtls, staging.mtls, dev.mtls, local.mtls) == ("STRICT", "STRICT", "PERMISSIVE", None)
    assert (production.authorization, staging.authorization, dev.authorization) == ("enforce", "dry-run", "off")
    assert [row.issuer for row in (production, staging, dev, local)] == [
        "letsencrypt-prod",
        "letsencrypt-staging",
        "ca",
        "none",
    ]


@pytest.mark.parametrize("layer", LAYERS)
def test_each_environment_contains_every_control_of_the_one_before(layer: str) -> None:
    ranks = [strength(layer, getattr(TABLE[name], layer)) for name in ORDER]
    assert ranks == sorted(ranks)


def test_local_has_no_control() -> None:
    assert all(strength(layer, value) == 0 for layer, value in asdict(TABLE["local"]).items())


def test_the_stack_file_knows_every_layer_and_no_other() -> None:
    assert tuple(PostureOverrides.model_fields) == LAYERS


@pytest.mark.parametrize("environment", ORDER)
@pytest.mark.parametrize(("layer", "value"), CELLS)
def test_a_weaker_cell_needs_a_reason_and_a_stronger_one_does_not(environment: str, layer: str, value: object) -> None:
    weaker = strength(layer, value) < strength(layer, getattr(TABLE[environment], layer))
    asked = any("write a reason" in message for message in problems(environment, {layer: Override(value)}))
    assert asked == weaker
    assert not any("reason" in message for message in problems(environment, {layer: Override(value, "measured")}))


@pytest.mark.parametrize("reason", [None, "", "   "])
def test_a_blank_reason_is_none(reason: str | None) -> None:
    with pytest.raises(PostureError, match="reason"):
        posture_for("production", {"critical": Override("audit", reason)})


@pytest.mark.parametrize(
    ("layer", "value"),
    [
        ("vault", "yes"),
        ("vault", 1),
        ("vault_replicas", 2),
        ("vault_replicas", True),
        ("vault_replicas", "3"),
        ("audit_devices", 3),
        ("critical", "enforce"),
        ("best_practice", "deny"),
        ("mtls", "strict"),
        ("authorization", "on"),
        ("issuer", "venafi"),
        ("generate", None),
    ],
)
def test_an_illegal_value_is_refused_with_the_legal_ones(layer: str, value: object) -> None:
    with pytest.raises(PostureError) as caught:
        posture_for("production", {layer: Override(value, "tried")})
    (problem,) = caught.value.problems
    assert (problem.layer, problem.found) == (layer, value)
    assert len(problem.legal) == len(SCALE[layer])


def test_every_problem_is_reported_at_once() -> None:
    overrides = {"critical": Override("off"), "issuer": Override("x", "r"), "nothing": Override(True)}
    with pytest.raises(PostureError) as caught:
        posture_for("production", overrides)
    assert {problem.layer for problem in caught.value.problems} == set(overrides)


def test_a_bare_off_that_yaml_made_false_means_off() -> None:
    posture = posture_for("production", {"critical": Override(False, "r"), "mtls": Override(False, "r")})
    assert posture.critical is Action.OFF
    assert posture.mtls is None


def test_what_rests_on_a_layer_goes_with_it() -> None:
    posture = posture_for("production", {"vault": Override(False, "r"), "mtls": Override("off", "r")})
    assert (posture.vault_replicas, posture.audit_devices, posture.injection) == (0, 0, False)
    assert not posture.injection_fail_closed
    assert posture.authorization == "off"


def test_switching_vault_on_brings_what_it_needs() -> None:
    posture = posture_for("local", {"vault": Override(True)})
    assert (posture.vault_replicas, posture.audit_devices, posture.injection) == (1, 1, True)


@pytest.mark.parametrize(
    ("environment", "overrides", "layer"),
    [
        ("production", {"vault": Override(False, "r"), "injection": Override(True)}, "injection"),
        ("production", {"vault_replicas": Override(0, "r")}, "vault_replicas"),
        ("local", {"authorization": Override("enforce")}, "authorization"),
        ("local", {"injection_fail_closed": Override(True)}, "injection_fail_closed"),
        ("local", {"audit_devices": Override(1)}, "audit_devices"),
    ],
)
def test_a_contradiction_is_refused(environment: str, overrides: dict[str, Override], layer: str) -> None:
    with pytest.raises(PostureError) as caught:
        posture_for(environment, overrides)
    assert layer in {problem.layer for problem in caught.value.problems}


@given(
    st.sampled_from(ORDER),
    st.dictionaries(st.sampled_from(LAYERS), st.integers(0, 4), max_size=4),
)
def test_no_override_yields_an_inconsistent_posture(environment: str, picks: dict[str, int]) -> None:
    overrides = {layer: Override(SCALE[layer][pick % len(SCALE[layer])], "reason") for layer, pick in picks.items()}
    try:
        posture = posture_for(environment, overrides)
    except PostureError:
        return
    assert_consistent(posture)


def assert_consistent(posture: Posture) -> None:
    assert posture.vault == (posture.vault_replicas > 0)
    assert posture.vault or not (posture.injection or posture.audit_devices)
    assert posture.injection or not posture.injection_fail_closed
    assert posture.mtls or posture.authorization == "off"
