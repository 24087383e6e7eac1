"""Check, diff and preview of every row alike: pure functions over a row and plain values, without a connection."""

import random
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import cast

from .rows import Prop, ProviderError, Row, Values
from .values import canonical, complaint, in_state, is_empty, same
from .wire import UNKNOWN, has_unknown

# The suffix the Pulumi Terraform bridge gives to names it makes up: seven hexadecimal digits.
_SUFFIX_DIGITS = 7


@dataclass(frozen=True)
class Failure:
    """One property that doesn't pass: its path and why."""

    property: str
    reason: str


@dataclass(frozen=True)
class Change:
    """One property that differs between the state and the program."""

    prop: Prop
    replaces: bool
    added: bool
    removed: bool


def find(rows: Collection[Row], token: str) -> Row:
    """The row of a type token; a ProviderError that lists the supported types otherwise."""
    for row in rows:
        if row.token == token:
            return row
    known = ", ".join(sorted(row.token for row in rows))
    raise ProviderError(
        f"the embedded stand-in has no resource type {token}. It has: {known}. "
        "Use the official plugin for other types, or add a row to the table in embedded/providers/."
    )


def check(row: Row, news: Values) -> list[Failure]:
    """Every way in which the inputs don't fit the row."""
    failures = list(_unknown_names(row, news))
    failures += _misfits(row.inputs, news, "")
    failures += _combinations(row, news)
    if not failures and row.validate and not has_unknown(news):
        problem = row.validate(with_defaults(row, news))
        failures += [Failure("", problem)] if problem else []
    return failures


def _unknown_names(row: Row, news: Values) -> Iterator[Failure]:
    legal = {prop.name for prop in row.inputs}
    for name, value in news.items():
        if name in legal or value is None:
            continue
        if name in row.unsupported:
            if value not in ("", False):
                yield Failure(name, f"{name} isn't supported here: {row.unsupported[name]}. Leave it out.")
        else:
            yield Failure(name, f"{row.token} has no input property {name!r}. Legal: {', '.join(sorted(legal))}.")


def _misfits(props: Collection[Prop], values: Values, prefix: str) -> list[Failure]:
    failures: list[Failure] = []
    for prop in props:
        path, value = prefix + prop.name, values.get(prop.name)
        if value is None and prop.required and not prop.autoname:
            failures.append(Failure(path, f"{path} is required and missing."))
        problem = complaint(prop, value)
        if problem:
            failures.append(Failure(path, f"{path} {problem}."))
        elif prop.inner and isinstance(value, dict):
            failures += _block_misfits(prop, cast("Values", value), path)
    return failures


def _block_misfits(prop: Prop, block: Values, path: str) -> list[Failure]:
    legal = [inner.name for inner in prop.inner]
    unknown = [name for name in block if name not in legal]
    failures = [Failure(f"{path}.{n}", f"{path} has no property {n!r}. Legal: {', '.join(legal)}.") for n in unknown]
    return failures + _misfits(prop.inner, block, f"{path}.")


def _combinations(row: Row, news: Values) -> Iterator[Failure]:
    given = {name for name, value in news.items() if value is not None}
    for group in row.exclusive:
        both = [name for name in group if name in given]
        if len(both) > 1:
            yield Failure(both[1], f"{' and '.join(both)} exclude each other: give one.")
    for group in row.any_of:
        if not given.intersection(group):
            yield Failure(group[0], f"one of {', '.join(group)} has to be given.")
    for name, companion in row.together:
        if name in given and companion not in given:
            yield Failure(companion, f"{companion} is required with {name}.")


def complete(row: Row, news: Values, olds: Values, resource: str, seed: bytes) -> dict[str, object]:
    """The inputs with a name made up where none was given: the old one, or the resource's with a suffix."""
    inputs = {name: value for name, value in news.items() if value is not None}
    for prop in row.inputs:
        if prop.autoname and prop.name not in inputs:
            digits = random.Random(seed or None)  # noqa: S311 - the engine's seed makes the name the same in the update as in its preview
            suffix = "".join(digits.choice("0123456789abcdef") for _ in range(_SUFFIX_DIGITS))
            inputs[prop.name] = olds.get(prop.name) or f"{resource}-{suffix}"
    return inputs


def filled(row: Row, inputs: Values) -> dict[str, object]:
    """The inputs and each default that says something, where they leave it out: as the Pulumi Terraform bridge does."""
    defaults = {prop.name: prop.default for prop in row.inputs if not is_empty(prop, prop.default)}
    return {**defaults, **inputs}


def with_defaults(row: Row, inputs: Values) -> dict[str, object]:
    """The inputs and, where they leave a property out, its default."""
    defaults = {prop.name: prop.default for prop in row.inputs if prop.default is not None}
    given = {name: value for name, value in inputs.items() if value is not None}
    found = {**defaults, **(row.derive(given) if row.derive else given)}
    blocks = [prop for prop in row.inputs if prop.inner and isinstance(found.get(prop.name), dict)]
    return {**found, **{prop.name: _filled_block(prop, cast("Values", found[prop.name])) for prop in blocks}}


def _filled_block(prop: Prop, block: Values) -> dict[str, object]:
    return {**{inner.name: inner.default for inner in prop.inner if inner.default is not None}, **block}


def diff(row: Row, state: Values, old_inputs: Values, news: Values, ignored: Collection[str] = ()) -> list[Change]:
    """The properties whose wanted value differs from the state, drift that a refresh found included.

    As upstream: a property left out means its default, or, when the server chooses it, whatever stands there.
    """
    wanted = with_defaults(row, news)
    changes: list[Change] = []
    for prop in row.inputs:
        old, new = state.get(prop.name), wanted.get(prop.name)
        if prop.write_only or prop.name in ignored or (prop.computed and news.get(prop.name) is None):
            continue
        if prop.inner and isinstance(new, dict):
            changed = _block_changed(prop, old, cast("Values", new), old_inputs.get(prop.name))
        else:
            changed = not same(prop, old, new)
        if changed:
            replaces = prop.replaces or bool(prop.replaces_if and wanted.get(prop.replaces_if))
            changes.append(Change(prop, replaces, added=is_empty(prop, old), removed=new is None))
    return changes


def _block_changed(prop: Prop, old: object, new: Values, old_input: object) -> bool:
    state = cast("Values", old) if isinstance(old, dict) else {}
    before = cast("Values", old_input) if isinstance(old_input, dict) else {}
    mentioned = [p for p in prop.inner if not p.write_only and (p.name in new or p.name in before)]
    return any(not same(inner, state.get(inner.name), new.get(inner.name)) for inner in mentioned)


def named_by_program(row: Row, news: Values, resource: str) -> bool:
    """Whether the program named the object, where a name could have been made up.

    The Pulumi Terraform bridge then deletes before it replaces, and nowhere else: another object of the same id is the
    program's to avoid (``delete_before_replace``).
    """
    made_up = re.compile(rf"{re.escape(resource)}-[0-9a-f]{{{_SUFFIX_DIGITS}}}")
    return any(prop.autoname and not made_up.fullmatch(str(news.get(prop.name))) for prop in row.inputs)


def identity(row: Row, values: Values) -> str:
    """The id that these values give; empty when one of them is only known later."""
    parts = {prop.name: canonical(prop, values.get(prop.name)) for prop in row.props if f"{{{prop.name}}}" in row.id}
    return "" if any(has_unknown(part) or part == "" for part in parts.values()) else row.id.format(**parts)


def planned(row: Row, inputs: Values, state: Values | None) -> dict[str, object]:
    """The outputs to show in a preview: of a creation, or of an update of ``state``."""
    outputs = {name: value for name, value in with_defaults(row, inputs).items() if not _hidden(row, name)}
    for prop in row.props:
        if prop.inner and isinstance(block := outputs.get(prop.name), dict):
            outputs[prop.name] = _readable(prop, cast("Values", block))
        if prop.name in outputs or prop.write_only or not (prop.output or prop.computed):
            continue
        kept = state.get(prop.name) if state is not None and not prop.volatile else None
        if kept is not None:
            outputs[prop.name] = kept
        elif state is None or prop.volatile:
            outputs[prop.name] = UNKNOWN
    return outputs


def _readable(prop: Prop, block: Values) -> dict[str, object]:
    hidden = {inner.name for inner in prop.inner if inner.write_only}
    return {name: value for name, value in block.items() if name not in hidden}


def _hidden(row: Row, name: str) -> bool:
    return any(prop.name == name and prop.write_only for prop in row.props)


def refreshed_inputs(row: Row, state: Values, old_inputs: Values) -> dict[str, object]:
    """The inputs that describe what was read: after a refresh, and for an import, which has no old ones.

    What the program had said and what it hadn't but now stands there; server-chosen values only where it had said them.
    As upstream, what it had said is spelled as in the state, and a write-only value is null.
    """
    inputs: dict[str, object] = {}
    gone: dict[str, object] = {}
    for prop in row.inputs:
        actual, said = state.get(prop.name), old_inputs.get(prop.name)
        if prop.write_only:
            gone |= {prop.name: None} if said is not None else {}
        elif prop.unreadable and actual is None:
            inputs[prop.name] = in_state(prop, said)
        elif prop.inner and isinstance(said, dict) and isinstance(actual, dict):
            inputs[prop.name] = _refreshed_block(prop, cast("Values", said), cast("Values", actual))
        elif said is not None:
            inputs[prop.name] = in_state(prop, said) if same(prop, said, actual) else actual
        elif prop.required or not (prop.computed or _as_default(prop, actual)):
            inputs[prop.name] = actual
    return {**{name: value for name, value in inputs.items() if value is not None}, **gone}


def _refreshed_block(prop: Prop, said: Values, actual: Values) -> dict[str, object]:
    kept = {
        p.name: said[p.name] if same(p, said[p.name], actual.get(p.name)) else actual.get(p.name)
        for p in prop.inner
        if p.name in said and not p.write_only
    }
    gone: dict[str, object] = {p.name: None for p in prop.inner if p.name in said and p.write_only}
    return {**{name: value for name, value in kept.items() if value is not None}, **gone}


def _as_default(prop: Prop, actual: object) -> bool:
    return same(prop, actual, prop.default) if prop.default is not None else is_empty(prop, actual)
