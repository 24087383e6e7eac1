"""What the state has of an object in Vault: the same keys and values as the official provider's.

Every property of the type is there, and the object's id. What nobody said and Vault does not answer is null; what Vault
answers with nothing is empty. A collection is the exception: after a write it stays as it was planned, null or empty,
and is empty after a refresh (hashicorp/terraform-plugin-sdk, ``normalizeNullValues``).
"""

from collections.abc import Collection, Mapping
from typing import cast

from .rows import OBJECT_ID, Prop, Row, Values
from .values import ABSENT, field, from_api, in_state, is_collection, is_empty, same


def left_null(row: Row, wanted: Values, state: Values) -> frozenset[str]:
    """The collections that are null after a write, dotted where they are in a block.

    Neither the program nor the state has them, and the server chooses none.
    """
    found = {name for name, value in row.unsaid.items() if value in ([], {}) and state.get(name) is None}
    for prop in row.props:
        if prop.inner and isinstance(block := wanted.get(prop.name), dict):
            before = _block(state.get(prop.name))
            nulls = (inner.name for inner in prop.inner if _is_left_null(inner, cast("Values", block), before))
            found.update(f"{prop.name}.{name}" for name in nulls)
        elif not prop.inner and _is_left_null(prop, wanted, state):
            found.add(prop.name)
    return frozenset(found)


def _is_left_null(prop: Prop, wanted: Values, state: Values) -> bool:
    chosen = prop.computed or prop.output
    return is_collection(prop) and not chosen and wanted.get(prop.name) is None and state.get(prop.name) is None


def outputs(
    row: Row,
    object_id: str,
    keys: Values,
    answers: tuple[dict[str, object], dict[str, object]],
    state: Values,
    unsaid: Collection[str],
) -> dict[str, object]:
    """The state of an object that Vault answered, at the first endpoint and at the second one."""
    main = row.adapt(answers[0], state) if row.adapt else answers[0]
    observed = {
        prop.name: _output(prop, object_id, keys, answers[1] if prop.also else main, state, unsaid)
        for prop in row.props
    }
    return _with_all(row, object_id, observed, unsaid)


def unread(row: Row, object_id: str, state: Values, unsaid: Collection[str]) -> dict[str, object]:
    """The state of an object that is not read: what is known of it."""
    known = {
        prop.name: None if prop.write_only else object_id if prop.api == OBJECT_ID else _known(prop, state)
        for prop in row.props
    }
    return _with_all(row, object_id, known, unsaid)


def _with_all(row: Row, object_id: str, values: dict[str, object], unsaid: Collection[str]) -> dict[str, object]:
    refused = {name: None if name in unsaid else row.unsaid.get(name) for name in row.unsupported}
    return {**refused, **values, "id": object_id}


def _known(prop: Prop, state: Values) -> object:
    known = state.get(prop.name)
    return in_state(prop, prop.default if known is None else known)


def _output(
    prop: Prop, object_id: str, keys: Values, answer: Mapping[str, object], state: Values, unsaid: Collection[str]
) -> object:
    if prop.api == OBJECT_ID:
        return object_id
    other_block = prop.answered_if and field(answer, prop.answered_if[0]) != prop.answered_if[1]
    if prop.write_only or other_block:
        return None
    if prop.inner:
        return _observed_block(prop, answer, _block(state.get(prop.name)), unsaid)
    if prop.name not in keys and (prop.unreadable or not prop.api):
        return _known(prop, state)
    known = in_state(prop, state.get(prop.name))
    value = keys[prop.name] if prop.name in keys else from_api(prop, field(answer, prop.api))
    if prop.name in unsaid and is_empty(prop, value):
        return None
    return known if known is not None and same(prop, known, value) and not _ignored(prop, answer) else value


def _ignored(prop: Prop, answer: Mapping[str, object]) -> bool:
    return bool(prop.api) and field(answer, prop.api) is ABSENT


def _observed_block(
    prop: Prop, answer: Mapping[str, object], known: Values, unsaid: Collection[str]
) -> dict[str, object]:
    block: dict[str, object] = {}
    for inner in prop.inner:
        value = None if inner.write_only else _inner(inner, answer, known)
        left = f"{prop.name}.{inner.name}" in unsaid and is_empty(inner, value)
        block[inner.name] = None if left else value
    return block


def _inner(prop: Prop, answer: Mapping[str, object], known: Values) -> object:
    said = in_state(prop, known.get(prop.name))
    if prop.unreadable or not prop.api:
        return from_api(prop, ABSENT) if said is None else said
    if known and (prop.kept == "said" or (prop.kept == "empty" and not said)):
        return said or ""
    value = from_api(prop, field(answer, prop.api))
    return said if said is not None and same(prop, said, value) else value


def _block(value: object) -> Values:
    return cast("Values", value) if isinstance(value, dict) else {}
