"""How the vault stand-in spells what it keeps: as the official provider does, which finds a difference in the rest."""

import pytest

from embedded.providers import engine
from embedded.providers.rows import Kind, Prop, Row
from embedded.providers.values import ABSENT, from_api, in_state
from embedded.providers.vault_config import complete_config
from embedded.providers.vault_package import VAULT
from embedded.providers.vault_state import left_null, outputs, unread

pytestmark = pytest.mark.unit

BLOCK = Prop("tune", Kind.OBJECT, inner=(Prop("headers", Kind.LIST, "headers"), Prop("type", api="type")))
ROW = Row(
    "vault:index/thing:Thing",
    "{name}",
    props=(
        Prop("name", required=True),
        Prop("text", api="text"),
        Prop("tags", Kind.LIST, "tags"),
        Prop("chosen", Kind.LIST, "chosen", computed=True),
        Prop("rare", api="rare", sparse=True),
        Prop("hidden", write_only=True),
        Prop("limit", Kind.INTEGER, "limit", default=5),
        Prop("open", Kind.FLAG, "open", default=False),
        BLOCK,
    ),
    unsupported={"namespace": "only one here", "keys": "none here"},
    unsaid={"keys": []},
)
ANSWER: dict[str, object] = {"text": "", "tags": [], "limit": 5}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ('{"b": 1,\n "a": "x"}', '{"a":"x","b":1}'),
        ('{"a": "<&>"}', '{"a":"\\u003c\\u0026\\u003e"}'),
        ('{"a": "ü"}', '{"a":"ü"}'),
    ],
)
def test_json_is_kept_as_go_writes_it(written: str, kept: str) -> None:
    assert in_state(Prop("data", Kind.JSON), written) == kept


@pytest.mark.parametrize(("seconds", "kept"), [(0, "0s"), (90, "1m30s"), (5400, "1h30m"), (2764800, "768h")])
def test_a_duration_is_kept_without_units_that_are_zero(seconds: int, kept: str) -> None:
    assert from_api(Prop("ttl", Kind.DURATION), seconds) == kept
    assert from_api(Prop("ttl", Kind.AGE), seconds) == str(seconds)


def test_what_is_answered_with_nothing_is_empty_and_what_nobody_said_is_null() -> None:
    found = outputs(ROW, "a", {"name": "a"}, (ANSWER, {}), {"name": "a", "hidden": "x"}, frozenset())
    assert found == {
        "id": "a",
        "name": "a",
        "text": "",
        "tags": [],
        "chosen": [],
        "rare": None,
        "hidden": None,
        "limit": 5,
        "open": False,
        "tune": {"headers": [], "type": ""},
        "namespace": None,
        "keys": [],
    }


def test_a_collection_that_nobody_wanted_is_null_until_a_refresh() -> None:
    wanted: dict[str, object] = {"name": "a", "tune": {"type": "x"}}
    assert left_null(ROW, wanted, {}) == {"tags", "keys", "tune.headers"}
    made = outputs(ROW, "a", {"name": "a"}, (ANSWER, {}), wanted, left_null(ROW, wanted, {}))
    assert (made["tags"], made["keys"], made["chosen"]) == (None, None, [])
    assert made["tune"] == {"headers": None, "type": ""}
    assert left_null(ROW, wanted, {"tags": [], "keys": [], "tune": {"headers": []}}) == set()


def test_an_object_that_is_not_read_has_every_key() -> None:
    found = unread(ROW, "a", {"name": "a", "text": "x"}, frozenset())
    assert found.keys() == {*(prop.name for prop in ROW.props), "namespace", "keys", "id"}
    assert (found["text"], found["tags"], found["limit"]) == ("x", None, 5)


def test_inputs_have_the_defaults_that_say_something() -> None:
    assert engine.filled(ROW, {"name": "a"}) == {"name": "a", "limit": 5}
    assert engine.filled(ROW, {"name": "a", "limit": 1}) == {"name": "a", "limit": 1}


def test_an_object_that_the_program_named_goes_before_it_is_replaced() -> None:
    policy = engine.find(VAULT.rows, "vault:index/policy:Policy")
    mount = engine.find(VAULT.rows, "vault:index/mount:Mount")
    assert engine.named_by_program(policy, {"name": "api"}, "readers")
    assert not engine.named_by_program(policy, {"name": "readers-0a1b2c3"}, "readers")
    assert not engine.named_by_program(mount, {"path": "secret"}, "secret"), "a path is never made up"


def test_the_provider_s_settings_are_kept_compact_and_with_their_defaults() -> None:
    login = '{"keyFile": "k", "certFile": "c"}'
    assert complete_config({"address": "https://vault", "authLoginCert": login}) == {
        "address": "https://vault",
        "authLoginCert": '{"certFile":"c","keyFile":"k"}',
        "maxLeaseTtlSeconds": "1200",
        "maxRetries": "2",
    }


def test_what_a_field_does_not_answer_is_empty_of_its_own_type() -> None:
    kinds = {Kind.TEXT: "", Kind.FLAG: False, Kind.INTEGER: 0, Kind.SECONDS: 0, Kind.SET: [], Kind.MAP: {}}
    assert {kind: from_api(Prop("x", kind), ABSENT) for kind in kinds} == kinds
