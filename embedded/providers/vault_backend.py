"""Carries out the rows of the vault table against the Vault API."""

import re
import time
import uuid
from collections.abc import Collection
from typing import cast

from . import engine
from .rows import WHOLE_BODY, Endpoint, Prop, ProviderError, Row, Values
from .values import canonical, field, is_empty, to_api
from .vault_session import Answer, Session
from .vault_state import left_null, outputs, unread

_REMOUNT_TRIES, _REMOUNT_PAUSE = 120, 0.25


class VaultBackend:
    """Creates, reads, changes and deletes the objects of every row through one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, row: Row, inputs: Values) -> tuple[str, dict[str, object]]:
        """Write the object, then read it back: its outputs are what Vault says, not what it was told."""
        wanted = engine.with_defaults(row, inputs)
        endpoint, object_id = _endpoint(row), _new_id(row, wanted)
        path = _path(row, endpoint.path, wanted)
        if endpoint.overwrites_if and self._session.read(path).ok and wanted.get(endpoint.overwrites_if) is False:
            raise ProviderError(
                f"{path} exists already, and {endpoint.overwrites_if} is false. {_import(row, object_id)}"
            )
        answer = self._write(row, path, _body(row, wanted, {}, also=False), object_id)
        unsaid = left_null(row, wanted, {})
        if endpoint.once:
            keys = _keys(row, object_id, wanted)
            return object_id, outputs(row, object_id, keys, (answer.data, {}), wanted, unsaid)
        self._write_also(row, wanted, {}, object_id)
        if endpoint.unread_new:
            return object_id, unread(row, object_id, wanted, unsaid)
        return object_id, self._read_back(row, object_id, wanted, wanted, unsaid)

    def read(self, row: Row, object_id: str, state: Values) -> tuple[str, dict[str, object]] | None:
        """Read the object; None when Vault has nothing there."""
        return self._read(row, object_id, state, frozenset())

    def _read(
        self, row: Row, object_id: str, state: Values, unsaid: Collection[str]
    ) -> tuple[str, dict[str, object]] | None:
        endpoint = _endpoint(row)
        if endpoint.once and not state:
            raise ProviderError(f"{row.token} cannot be imported: Vault tells it once, to whoever makes it")
        keys = _keys(row, object_id, state)
        if endpoint.once and endpoint.read and self._get(row, endpoint, keys) is None:
            return None
        if endpoint.once or (endpoint.unread_if and state.get(endpoint.unread_if)):
            return object_id, unread(row, object_id, state, unsaid)
        answer = self._get(row, endpoint, keys)
        if answer is None and not endpoint.lasting:
            return None
        also = self._get(row, row.also, keys) if row.also else None
        found_id = row.id.format(**keys)
        return found_id, outputs(row, found_id, keys, (answer or {}, also or {}), state, unsaid)

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
        chosen = {prop.name: state.get(prop.name) for prop in row.inputs if prop.computed}
        return self._read_back(row, new_id, wanted, {**chosen, **wanted}, left_null(row, wanted, state))

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
        if row.also is None:
            return
        rewritten = row.also.rewritten
        body = _rewritten(row, {**before, **wanted}) if rewritten else _body(row, wanted, before, also=True) or None
        if body is not None:
            self._write(row, _path(row, row.also.path, wanted), body, object_id)

    def _read_back(
        self, row: Row, object_id: str, wanted: Values, known: Values, unsaid: Collection[str]
    ) -> dict[str, object]:
        found = self._read(row, object_id, known, unsaid)
        if found is None:
            raise ProviderError(f"Vault accepted {object_id} ({row.token}) and then doesn't have it")
        ignored = [
            prop.name
            for prop in _sent(row)
            if is_empty(prop, found[1].get(prop.name)) and not is_empty(prop, wanted.get(prop.name))
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


def _new_id(row: Row, wanted: Values) -> str:
    object_id = engine.identity(row, wanted)
    return f"{object_id}/{uuid.uuid4()}" if row.random_id else object_id


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


def _rewritten(row: Row, values: Values) -> dict[str, object] | None:
    """The block of the second endpoint without what is zero; None where the object has none."""
    body: dict[str, object] | None = None
    for prop in row.inputs:
        if prop.also and (block := _block(values.get(prop.name))):
            given = [inner for inner in prop.inner if not is_empty(inner, block.get(inner.name))]
            body = {inner.api: to_api(inner, block[inner.name]) for inner in given}
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
        elif prop.always_sent:
            _put(body, prop.api, to_api(prop, before.get(prop.name) if prop.computed else None))


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


def _says_absent(endpoint: Endpoint, answer: Answer) -> bool:
    return bool(endpoint.absent) and any(endpoint.absent in text for text in answer.errors)


def _import(row: Row, object_id: str) -> str:
    return f"Take it over with `pulumi import {row.token} NAME {object_id} --generate-code=false`, or remove it."
