"""The tables of the provider stand-ins against the SDKs that programs use, and the engine over every row."""

import importlib
import inspect
import re

import pytest

from embedded.providers import engine, vault_config
from embedded.providers.random_package import RANDOM
from embedded.providers.rows import Kind, Prop, ProviderError, Row
from embedded.providers.vault_package import VAULT
from embedded.providers.wire import UNKNOWN, Bag, decode, encode

pytestmark = pytest.mark.unit

PACKAGES = {"vault": VAULT, "random": RANDOM}
ROWS = [row for package in PACKAGES.values() for row in package.rows]
KEEPING = (Kind.TEXT, Kind.DOCUMENT, Kind.PATH)
SPELLED = (Kind.JSON, Kind.DURATION, Kind.AGE)

# What replaces an object, read off the upstream resource schemas (ForceNew), beside the table on purpose.
REPLACING = {
    "vault:index/mount:Mount": {"type", "local", "sealWrap", "externalEntropyAccess"},
    "vault:index/policy:Policy": {"name"},
    "vault:index/audit:Audit": {"path", "type", "description", "options", "local"},
    "vault:index/authBackend:AuthBackend": {"type", "local"},
    "vault:kubernetes/authBackendConfig:AuthBackendConfig": {"backend"},
    "vault:kubernetes/authBackendRole:AuthBackendRole": {"backend", "roleName"},
    "vault:kv/secretBackendV2:SecretBackendV2": {"mount"},
    "vault:kv/secretV2:SecretV2": {"mount", "name"},
    "vault:database/secretBackendConnection:SecretBackendConnection": {"backend", "name"},
    "vault:database/secretBackendRole:SecretBackendRole": {"backend", "name", "dbName"},
    "vault:generic/endpoint:Endpoint": {"path"},
    "vault:pkiSecret/secretBackendIntermediateCertRequest:SecretBackendIntermediateCertRequest": {
        *("backend", "type", "commonName", "keyType", "keyBits", "keyName"),
        *("format", "privateKeyFormat", "addBasicConstraints"),
    },
    "vault:pkiSecret/secretBackendIntermediateSetSigned:SecretBackendIntermediateSetSigned": {"backend", "certificate"},
    "vault:pkiSecret/secretBackendRole:SecretBackendRole": {"backend", "name"},
}
IDS = {
    "vault:index/mount:Mount": ({"path": "kv/"}, "kv"),
    "vault:index/policy:Policy": ({"name": "api"}, "api"),
    "vault:index/audit:Audit": ({"type": "file"}, "file"),
    "vault:index/authBackend:AuthBackend": ({"type": "kubernetes"}, "kubernetes"),
    "vault:kubernetes/authBackendConfig:AuthBackendConfig": ({}, "auth/kubernetes/config"),
    "vault:kubernetes/authBackendRole:AuthBackendRole": ({"roleName": "api"}, "auth/kubernetes/role/api"),
    "vault:kv/secretBackendV2:SecretBackendV2": ({"mount": "kv"}, "kv/config"),
    "vault:kv/secretV2:SecretV2": ({"mount": "kv", "name": "shop/api"}, "kv/data/shop/api"),
    "vault:database/secretBackendConnection:SecretBackendConnection": (
        {"backend": "database", "name": "shop"},
        "database/config/shop",
    ),
    "vault:database/secretBackendRole:SecretBackendRole": (
        {"backend": "database", "name": "shop.api"},
        "database/roles/shop.api",
    ),
    "vault:generic/endpoint:Endpoint": ({"path": "database/rotate-root/shop"}, "database/rotate-root/shop"),
    "vault:pkiSecret/secretBackendIntermediateCertRequest:SecretBackendIntermediateCertRequest": (
        {"backend": "pki", "type": "internal"},
        "pki/issuers/generate/intermediate/internal",
    ),
    "vault:pkiSecret/secretBackendIntermediateSetSigned:SecretBackendIntermediateSetSigned": (
        {"backend": "pki"},
        "pki/intermediate/set-signed",
    ),
    "vault:pkiSecret/secretBackendRole:SecretBackendRole": ({"backend": "pki", "name": "hosts"}, "pki/roles/hosts"),
}


def by_token(rows: list[Row]):
    return pytest.mark.parametrize("row", rows, ids=[row.token for row in rows])


def sdk_class(row: Row) -> type:
    """The SDK's class of a type token: vault:kv/secretV2:SecretV2 is pulumi_vault.kv.SecretV2."""
    package, module, name = row.token.split(":")
    folder = module.split("/")[0].lower()
    return getattr(importlib.import_module(f"pulumi_{package}" + ("" if folder == "index" else f".{folder}")), name)


def sdk_properties(kind: type) -> dict[str, object]:
    """The property names of an input class, as they go over the wire, with their annotations."""
    found = {}
    for member in vars(kind).values():
        if isinstance(member, property) and member.fget is not None:
            annotation = inspect.get_annotations(member.fget)["return"]
            found[getattr(member.fget, "_pulumi_name", member.fget.__name__)] = annotation
    return found


def sdk_inputs(row: Row) -> dict[str, object]:
    kind = sdk_class(row)
    return sdk_properties(getattr(importlib.import_module(kind.__module__), f"{kind.__name__}Args"))


def sdk_state(row: Row) -> dict[str, object]:
    kind = sdk_class(row)
    return sdk_properties(getattr(importlib.import_module(kind.__module__), f"_{kind.__name__}State"))


def example(prop: Prop, version: int = 1) -> object:
    """A value that fits a property; another one for another version."""
    match prop.kind:
        case Kind.FLAG:
            return version % 2 == 1
        case Kind.INTEGER | Kind.SECONDS:
            return 20 + version
        case Kind.LIST | Kind.SET:
            return [f"item-{version}"]
        case Kind.CIDRS:
            return [f"10.0.{version}.0/24"]
        case Kind.MAP | Kind.TEXTS:
            return {"key": f"value-{version}"}
        case Kind.DURATION | Kind.AGE:
            return f"{version}h"
        case Kind.JSON:
            return f'{{"key": {version}}}'
        case Kind.OBJECT:
            return {inner.name: example(inner, version) for inner in prop.inner}
        case _:
            return f"value-{version}"


def full(row: Row) -> dict[str, object]:
    """Inputs that give every property, but one of those that exclude each other."""
    dropped = {name for group in row.exclusive for name in group[1:]} | {companion for _, companion in row.together}
    inputs = {prop.name: example(prop) for prop in row.inputs if prop.name not in dropped}
    return {name: 0 if name.startswith("min") else value for name, value in inputs.items()}


def state_of(row: Row, inputs: dict[str, object]) -> dict[str, object]:
    """The outputs that an object made of these inputs has."""
    return engine.with_defaults(row, inputs)


@by_token(ROWS)
def test_every_property_is_the_sdk_s(row: Row) -> None:
    assert {prop.name for prop in row.inputs} <= set(sdk_inputs(row))
    assert {prop.name for prop in row.props} <= set(sdk_state(row))


@by_token(ROWS)
def test_every_property_of_the_sdk_is_supported_or_refused_with_a_reason(row: Row) -> None:
    missing = set(sdk_inputs(row)) - {prop.name for prop in row.inputs}
    assert missing == set(row.unsupported)
    outputs = set(sdk_state(row)) - {prop.name for prop in row.props} - set(row.unsupported)
    assert outputs == set()


@by_token(ROWS)
def test_every_property_has_the_sdk_s_type(row: Row) -> None:
    kinds = {"bool": {Kind.FLAG}, "int": {Kind.INTEGER, Kind.SECONDS}, "str": {*KEEPING, *SPELLED}}
    for prop in row.inputs:
        text = re.sub(
            r"ForwardRef\('Output\[T\]'\)|collections\.abc\.Awaitable\[.*", "", str(sdk_inputs(row)[prop.name])
        )
        if "Sequence" in text:
            assert prop.kind in (Kind.LIST, Kind.SET, Kind.CIDRS), prop.name
        elif "Mapping" in text:
            assert prop.kind is Kind.MAP, prop.name
        elif "Args" in text:
            assert prop.kind is Kind.OBJECT, prop.name
        else:
            scalar = next(name for name in kinds if re.search(rf"\b{name}\b", text))
            assert prop.kind in kinds[scalar], prop.name


@by_token([row for row in ROWS if any(prop.inner for prop in row.props)])
def test_every_block_is_the_sdk_s(row: Row) -> None:
    for prop in (prop for prop in row.props if prop.inner):
        name = re.search(r"ForwardRef\('(\w+Args)'\)", str(sdk_inputs(row)[prop.name]))
        assert name
        module = importlib.import_module(sdk_class(row).__module__.rsplit(".", 1)[0] + "._inputs")
        assert {inner.name for inner in prop.inner} == set(sdk_properties(getattr(module, name[1])))


@by_token(ROWS)
def test_required_is_what_the_sdk_requires(row: Row) -> None:
    kind = sdk_class(row)
    source = inspect.getsource(getattr(kind, "_internal_init"))  # noqa: B009 - a private member of a generated class
    wanted = set(re.findall(r"Missing required property '(\w+)'", source))
    assert {
        re.sub(r"([A-Z])", r"_\1", prop.name).lower() for prop in row.inputs if prop.required and not prop.autoname
    } == wanted


@by_token(ROWS)
def test_secret_is_what_the_sdk_keeps_secret(row: Row) -> None:
    source = inspect.getsource(getattr(sdk_class(row), "_internal_init"))  # noqa: B009 - a private member of a generated class
    found = re.search(r"additional_secret_outputs=\[([^\]]*)\]", source)
    assert row.secrets == (set(re.findall(r'"(\w+)"', found[1])) if found else set())


@by_token(ROWS)
def test_each_type_token_is_the_sdk_s(row: Row) -> None:
    assert sdk_class(row).pulumi_type == row.token  # pyright: ignore[reportAttributeAccessIssue] - generated


def test_the_provider_s_configuration_is_the_sdk_s() -> None:
    module = importlib.import_module("pulumi_vault")
    known = {prop.name for prop in vault_config.CONFIG.props} | set(vault_config.CONFIG.unsupported)
    assert known == set(sdk_properties(module.ProviderArgs))
    for block, kind in (("authLoginCert", "ProviderAuthLoginCertArgs"), ("authLoginJwt", "ProviderAuthLoginJwtArgs")):
        prop = next(prop for prop in vault_config.CONFIG.props if prop.name == block)
        assert {inner.name for inner in prop.inner} <= set(sdk_properties(getattr(module, kind)))


@by_token(ROWS)
def test_full_inputs_pass_and_change_nothing(row: Row) -> None:
    inputs = full(row)
    assert engine.check(row, inputs) == []
    assert engine.diff(row, state_of(row, inputs), inputs, inputs) == []


@by_token(ROWS)
def test_each_change_updates_or_replaces_as_the_table_says(row: Row) -> None:
    inputs = full(row)
    for prop in row.inputs:
        changed = {**inputs, prop.name: example(prop, 2)}
        if prop.name in ("number", "numeric"):
            changed |= {"number": False, "numeric": False}
        found = {
            change.prop.name: change.replaces for change in engine.diff(row, state_of(row, inputs), inputs, changed)
        }
        if prop.write_only:
            assert prop.name not in found
        else:
            conditional = bool(prop.replaces_if and inputs.get(prop.replaces_if))
            assert found[prop.name] is (prop.replaces or conditional), prop.name


@by_token(list(VAULT.rows))
def test_what_replaces_is_what_replaces_upstream(row: Row) -> None:
    assert {prop.name for prop in row.inputs if prop.replaces} == REPLACING[row.token]


@by_token(list(RANDOM.rows))
def test_every_input_of_a_random_value_replaces_it(row: Row) -> None:
    assert all(prop.replaces for prop in row.inputs)


@by_token(list(VAULT.rows))
def test_ids_have_the_upstream_form(row: Row) -> None:
    inputs, wanted = IDS[row.token]
    assert engine.identity(row, engine.with_defaults(row, inputs)) == wanted


@by_token(ROWS)
def test_a_property_left_out_is_reset_unless_the_server_chooses_it(row: Row) -> None:
    inputs = full(row)
    for prop in row.inputs:
        if prop.required or prop.default is not None or prop.write_only:
            continue
        less = {name: value for name, value in inputs.items() if name != prop.name}
        found = [change.prop.name for change in engine.diff(row, state_of(row, inputs), inputs, less)]
        assert found == ([] if prop.computed else [prop.name] if prop.name in inputs else []), prop.name


@by_token(ROWS)
def test_a_value_only_known_later_fits_and_counts_as_a_change(row: Row) -> None:
    inputs = full(row)
    for prop in row.inputs:
        if prop.name in ("number", "numeric") or prop.write_only:
            continue
        others = {name for group in row.exclusive if prop.name in group for name in group}
        unknown = {**{name: value for name, value in inputs.items() if name not in others}, prop.name: UNKNOWN}
        assert engine.check(row, unknown) == []
        assert prop.name in [change.prop.name for change in engine.diff(row, state_of(row, inputs), inputs, unknown)]


@by_token(ROWS)
def test_a_typo_and_a_wrong_type_are_named(row: Row) -> None:
    typo = engine.check(row, {**full(row), "nosuch": "x"})
    assert [failure.property for failure in typo] == ["nosuch"]
    assert row.token in typo[0].reason
    for prop in row.inputs:
        wrong: object = ["list"] if prop.kind in KEEPING else 1.5
        found = engine.check(row, {**full(row), prop.name: wrong})
        assert prop.name in [failure.property for failure in found]
        assert "1.5" not in found[0].reason


@by_token(ROWS)
def test_what_the_embedded_server_cannot_do_is_refused_with_the_reason(row: Row) -> None:
    for name, reason in row.unsupported.items():
        found = engine.check(row, {**full(row), name: "x"})
        assert [failure.property for failure in found] == [name]
        assert str(reason) in found[0].reason


def test_an_unknown_type_is_named_with_the_known_ones() -> None:
    with pytest.raises(ProviderError, match=r"vault:index/token:Token.*vault:index/mount:Mount"):
        engine.find(VAULT.rows, "vault:index/token:Token")


def test_exclusive_and_missing_inputs_are_told() -> None:
    secret = engine.find(VAULT.rows, "vault:kv/secretV2:SecretV2")
    both = engine.check(
        secret, {"mount": "kv", "name": "a", "dataJson": "{}", "dataJsonWo": "{}", "dataJsonWoVersion": 1}
    )
    assert "exclude each other" in both[0].reason
    assert "one of dataJson, dataJsonWo" in engine.check(secret, {"mount": "kv", "name": "a"})[0].reason
    alone = engine.check(secret, {"mount": "kv", "name": "a", "dataJsonWo": "{}"})
    assert "dataJsonWoVersion is required with dataJsonWo" in alone[0].reason
    assert (
        "customMetadata has no property"
        in engine.check(secret, {**full(secret), "customMetadata": {"owner": "me"}})[0].reason
    )


def test_a_role_for_every_pod_is_refused() -> None:
    role = engine.find(VAULT.rows, "vault:kubernetes/authBackendRole:AuthBackendRole")
    inputs = {"roleName": "a", "boundServiceAccountNames": ["*"], "boundServiceAccountNamespaces": ["*"]}
    assert "every pod" in engine.check(role, inputs)[0].reason


def test_spelling_and_order_are_no_change() -> None:
    role = engine.find(VAULT.rows, "vault:kubernetes/authBackendRole:AuthBackendRole")
    state = {**full(role), "tokenPolicies": ["b", "a"], "tokenBoundCidrs": ["10.0.0.1"], "backend": "kubernetes"}
    news = {**state, "tokenPolicies": ["a", "b"], "tokenBoundCidrs": ["10.0.0.1/32"], "backend": "/kubernetes/"}
    assert engine.diff(role, state, news, news) == []


def test_a_made_up_name_is_the_same_in_preview_and_update_and_then_kept() -> None:
    policy = engine.find(VAULT.rows, "vault:index/policy:Policy")
    first = engine.complete(policy, {"policy": "x"}, {}, "readers", b"seed")
    assert re.fullmatch(r"readers-[0-9a-f]{7}", str(first["name"]))
    assert engine.complete(policy, {"policy": "x"}, {}, "readers", b"seed") == first
    assert engine.complete(policy, {"policy": "y"}, first, "readers", b"other")["name"] == first["name"]


def test_secrets_and_unknowns_survive_the_wire() -> None:
    values: dict[str, object] = {"a": "x", "b": {"c": [1, True, UNKNOWN]}, "n": 3}
    found = decode(encode(values, {"b"}))
    assert found == Bag(values, frozenset({"b"}))


@pytest.mark.parametrize("wrapped", [True, False])
def test_outputs_are_understood(wrapped: bool) -> None:
    output = {
        "4dabf18193072939515e22adb298388d": "d0e6a833031e9bbcd3f4e8bde6ca49a4",
        "secret": True,
        "dependencies": ["urn"],
    }
    bag = decode(encode({"a": {**output, "value": "x"} if wrapped else output}))
    assert bag == Bag({"a": "x" if wrapped else UNKNOWN}, frozenset({"a"}))
