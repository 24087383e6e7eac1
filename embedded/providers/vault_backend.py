"""Carries out the rows of the vault table against the Vault API."""

import re
import time
from collections.abc import Mapping
from typing import cast

from . import engine
from .rows import OBJECT_ID, WHOLE_BODY, Endpoint, Prop, ProviderError, Row, Values
from .values import ABSENT, canonical, field, from_api, is_empty, same, to_api
from .vault_session import Answer, Session

_REMOUNT_TRIES, _REMOUNT_PAUSE = 120, 0.25


class VaultBackend:
    """Creates, reads, changes and deletes the objects of every row through one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, row: Row, inputs: Values) -> tuple[str, dict[str, object]]:
        """Write the object, then read it back: its outputs are what Vault says, not what it was told."""
        wanted = engine.with_defaults(row, inputs)
        endpoint, object_id = _endpoint(row), engine.identity(row, wanted)
        path = _path(row, endpoint.path, wanted)
        if endpoint.overwrites_if and not wanted.get(endpoint.overwrites_if) and self._session.read(path).ok:
            raise ProviderError(
                f"{path} exists already, and {endpoint.overwrites_if} is false. {_import(row, object_id)}"
            )
        answer = self._write(row, path, _body(row, wanted, {}, also=False), object_id)
        if endpoint.once:
            return object_id, _outputs(row, object_id, _keys(row, object_id, wanted), (answer.data, {}), wanted)
        self._write_also(row, wanted, {}, object_id)
        return object_id, self._read_back(row, object_id, wanted)

    def read(self, row: Row, object_id: str, state: Values) -> tuple[str, dict[str, object]] | None:
        """Read the object; None when Vault has nothing there."""
        keys = _keys(row, object_id, state)
        endpoint = _endpoint(row)
        if endpoint.once and not state:
            raise ProviderError(f"{row.token} cannot be imported: Vault tells it once, to whoever makes it")
        if endpoint.once or (endpoint.unread_if and state.get(endpoint.unread_if)):
            return object_id, _unread(row, object_id, state)
        answer = self._get(row, endpoint, keys)
        if answer is None:
            return None
        also = self._get(row, row.also, keys) if row.also and _reads_also(row, state) else None
        found_id = row.id.format(**keys)
        return found_id, _outputs(row, found_id, keys, (answer, also or {}), state)

    def update(self, row: Row, object_id: str, state: Values, old_inputs: Values, inputs: Values) -> dict[str, object]:
        """Write what is wanted, reset what no longer is, then read back."""
        wanted = engine.with_defaults(row, inputs)
        endpoint = _endpoint(row)
        before = {**state, **{name: value for name, value in old_inputs.items() if value is not None}}
        old_id, new_id = row.id.format(**_keys(row, object_id, state)), engine.identity(row, wanted)
        if new_id and old_id != new_id and endpoint.remount is not None:
            self._remount(endpoint.remount, old_id, new_id)
        body = _body(row, wanted, before, also=False)
        if endpoint.update:
            body = _tuning(row, body)
        self._write(row, _path(row, endpoint.update or endpoint.path, wanted), body, new_id)
        self._write_also(row, wanted, before, new_id)
        return self._read_back(row, new_id, wanted)

    def delete(self, row: Row, object_id: str, state: Values) -> None:
        """Delete the object, unless it only goes with what holds it."""
        endpoint, keys = _endpoint(row), _keys(row, object_id, state)
        if endpoint.once or not endpoint.deletes or (endpoint.kept_if and state.get(endpoint.kept_if)):
            return
        if row.also and row.also.deletes_if and state.get(row.also.deletes_if):
            endpoint = row.also
        path = _path(row, endpoint.path, keys)
        answer = self._session.delete(path)
        if not answer.ok and not answer.missing and not _says_absent(_endpoint(row), answer):
            raise ProviderError(f"Vault couldn't delete {path}: {answer.said}")

    def close(self) -> None:
        """Give the login back."""
        self._session.close()

    def _get(self, row: Row, endpoint: Endpoint, keys: Values) -> dict[str, object] | None:
        path = _path(row, endpoint.read or endpoint.path, keys)
        answer = self._session.read(path)
        if answer.missing or _says_absent(endpoint, answer):
            return None
        if not answer.ok:
            raise ProviderError(f"Vault couldn't read {path}: {answer.said}")
        if not endpoint.entry:
            return answer.data
        found = answer.data.get(endpoint.entry.format(**keys))
        return cast("dict[str, object]", found) if isinstance(found, dict) else None

    def _write(self, row: Row, path: str, body: dict[str, object], object_id: str) -> Answer:
        answer = self._session.write(path, body)
        if answer.ok:
            return answer
        said = answer.said
        hint = f" {_import(row, object_id)}" if "already in use" in said else ""
        raise ProviderError(f"Vault couldn't write {path}: {said}.{hint}")

    def _write_also(self, row: Row, wanted: Values, before: Values, object_id: str) -> None:
        body = _body(row, wanted, before, also=True) if row.also else {}
        if row.also and body:
            self._write(row, _path(row, row.also.path, wanted), body, object_id)

    def _read_back(self, row: Row, object_id: str, wanted: Values) -> dict[str, object]:
        found = self.read(row, object_id, wanted)
        if found is None:
            raise ProviderError(f"Vault accepted {object_id} ({row.token}) and then doesn't have it")
        ignored = [
            prop.name for prop in _sent(row) if prop.name not in found[1] and not is_empty(prop, wanted.get(prop.name))
        ]
        if ignored:
            raise ProviderError(
                f"Vault ignored {', '.join(ignored)} of {object_id} ({row.token}): this server has no such field"
            )
        return found[1]

    def _remount(self, prefix: str, old: str, new: str) -> None:
        answer = self._session.write("sys/remount", {"from": prefix + old, "to": prefix + new})
        if not answer.ok:
            raise ProviderError(f"Vault couldn't move {prefix}{old} to {prefix}{new}: {answer.said}")
        migration = answer.data.get("migration_id")
        for _ in range(_REMOUNT_TRIES):
            status = field(self._session.read(f"sys/remount/status/{migration}").data, "migration_info.status")
            if status == "success":
                return
            if status == "failure":
                break
            time.sleep(_REMOUNT_PAUSE)
        raise ProviderError(f"Vault didn't finish moving {prefix}{old} to {prefix}{new}: its log has the reason")


def _endpoint(row: Row) -> Endpoint:
    if row.endpoint is None:
        raise ProviderError(f"{row.token} has no place in the Vault API")
    return row.endpoint


def _path(row: Row, template: str, values: Values) -> str:
    names = {prop.name: canonical(prop, values.get(prop.name)) for prop in row.props if f"{{{prop.name}}}" in template}
    return template.format(**names)


def _keys(row: Row, object_id: str, state: Values) -> dict[str, object]:
    """The identifying properties: the state's, which follow a change of path, or those that an imported id spells."""
    names = [prop.name for prop in row.props if f"{{{prop.name}}}" in row.id]
    if all(state.get(name) for name in names):
        return {prop.name: canonical(prop, state[prop.name]) for prop in row.props if prop.name in names}
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(row.id))
    found = re.fullmatch(pattern, object_id.strip("/"))
    if not found:
        raise ProviderError(f"{object_id!r} is no id of {row.token}: it has the form {row.id}")
    return dict(found.groupdict())


def _sent(row: Row) -> list[Prop]:
    """The properties that Vault both takes and gives back."""
    return [prop for prop in row.inputs if prop.api and not prop.unreadable and not prop.write_only]


def _reads_also(row: Row, state: Values) -> bool:
    always = row.also is not None and row.also.always
    return always or not state or any(prop.also and state.get(prop.name) is not None for prop in row.props)


def _body(row: Row, wanted: Values, before: Values, *, also: bool) -> dict[str, object]:
    """What to send: every property that is given, and the reset of every one that was and no longer is."""
    body: dict[str, object] = {}
    for prop in row.inputs:
        if prop.also is not also:
            continue
        if prop.inner:
            block, old = _block(wanted.get(prop.name)), _block(before.get(prop.name))
            _fill(body, prop.inner, block, old if block else {})
        else:
            _fill(body, (prop,), wanted, before)
    return body


def _block(value: object) -> Values:
    return cast("Values", value) if isinstance(value, dict) else {}


def _fill(body: dict[str, object], props: tuple[Prop, ...], wanted: Values, before: Values) -> None:
    for prop in props:
        given = wanted.get(prop.name) is not None
        # The server's own choice is never reset, and write-only values are only sent.
        left = prop.name in before and not (prop.computed or prop.write_only or is_empty(prop, before[prop.name]))
        again = not prop.sent_with or wanted.get(prop.sent_with) != before.get(prop.sent_with)
        if prop.api == WHOLE_BODY:
            body.update(cast("dict[str, object]", to_api(prop, wanted.get(prop.name))))
        elif prop.api and again and (given or left):
            _put(body, prop.api, to_api(prop, wanted.get(prop.name)))


def _put(body: dict[str, object], dotted: str, value: object) -> None:
    *parents, last = dotted.split(".")
    place = body
    for part in parents:
        place = cast("dict[str, object]", place.setdefault(part, {}))
    place[last] = dict(cast("Values", value)) if isinstance(value, dict) else value


def _tuning(row: Row, body: dict[str, object]) -> dict[str, object]:
    """The body of a tune call: flat, without what only a new object can have."""
    fixed = {prop.api for prop in row.inputs if prop.replaces}
    flat: dict[str, object] = {name: value for name, value in body.items() if name not in (*fixed, "config")}
    config = _block(body.get("config"))
    flat.update({name: value for name, value in config.items() if f"config.{name}" not in fixed})
    return flat


def _outputs(
    row: Row, object_id: str, keys: Values, answers: tuple[dict[str, object], dict[str, object]], state: Values
) -> dict[str, object]:
    main = row.adapt(answers[0], state) if row.adapt else answers[0]
    outputs: dict[str, object] = {}
    for prop in row.props:
        if prop.write_only:
            continue
        value = _output(prop, object_id, keys, answers[1] if prop.also else main, state)
        if value is not None:
            outputs[prop.name] = value
    return outputs


def _unread(row: Row, object_id: str, state: Values) -> dict[str, object]:
    known = {prop.name: object_id if prop.api == OBJECT_ID else state.get(prop.name) for prop in row.props}
    hidden = {prop.name for prop in row.props if prop.write_only}
    return {name: value for name, value in known.items() if value is not None and name not in hidden}


def _output(prop: Prop, object_id: str, keys: Values, answer: Mapping[str, object], state: Values) -> object:
    known = state.get(prop.name)
    if prop.api == OBJECT_ID:
        return object_id
    if prop.answered_if and field(answer, prop.answered_if[0]) != prop.answered_if[1]:
        return None
    if prop.inner:
        return _observed_block(prop, answer, _block(known)) or None
    if prop.name in keys:
        value = keys[prop.name]
    elif prop.unreadable or not prop.api:
        return prop.default if known is None else known
    else:
        value = from_api(prop, field(answer, prop.api))
    return known if known is not None and same(prop, known, value) and not _ignored(prop, answer) else value


def _ignored(prop: Prop, answer: Mapping[str, object]) -> bool:
    return bool(prop.api) and field(answer, prop.api) is ABSENT


def _observed_block(prop: Prop, answer: Mapping[str, object], known: Values) -> dict[str, object]:
    block: dict[str, object] = {}
    for inner in prop.inner:
        if inner.write_only:
            continue
        value = from_api(inner, field(answer, inner.api))
        said = known.get(inner.name)
        if said is not None and (inner.unreadable or not inner.api or same(inner, said, value)):
            block[inner.name] = said
        elif not is_empty(inner, value):
            block[inner.name] = value
    return block


def _says_absent(endpoint: Endpoint, answer: Answer) -> bool:
    return bool(endpoint.absent) and any(endpoint.absent in text for text in answer.errors)


def _import(row: Row, object_id: str) -> str:
    return f"Take it over with `pulumi import {row.token} NAME {object_id} --generate-code=false`, or remove it."
