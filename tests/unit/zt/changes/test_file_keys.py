"""No key of a stack file or of a service file is without a sentence: the keys come from the schema itself."""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.unit.zt.changes.cases_file_keys import GONE, STACK, Keys
from tests.unit.zt.changes.cases_file_keys_service import SERVICE
from tests.unit.zt.changes.files import SMALL, Files
from zt.changes.compare import changes
from zt.changes.file_keys import FILE_KEYS
from zt.facts.file_keys import FileKey, keys_of
from zt.facts.file_keys_said import SAID, UNSAID

FILES = ("stack", "service", "package")
_OTHER = {"other": {"namespace": "shop", "team": "commerce", "port": 8080, "ports": {"admin": 9001}}}
_OTHER["other"] |= {"image": "registry.example.org/shop/other:v1", "callers": ["web", "web:admin"]}
# The same models stand in several places of a file.
_ALIKE = (
    ("databases.*.", "database."),
    ("jwt[].", "jwt."),
    ("sidecars.*.probes", "probes"),
    (".liveness.", ".readiness."),
    (".startup.", ".readiness."),
)
_SEVERAL = re.compile(r"resources\.(requests|limits)\.(cpu|memory|ephemeralStorage)")


def put(keys: Keys, path: str, value: object) -> Keys:
    """The keys with another value at a path."""
    changed: Any = copy.deepcopy(keys)
    here = changed
    *above, last = path.partition("#")[0].replace("*", "").split(".")
    for part in above:
        here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
    if value is GONE:
        del here[last]
    else:
        here[int(last) if isinstance(here, list) else last] = value
    return changed


def _cases() -> Iterator[tuple[str, Files, Files, str, str]]:
    for group in STACK:
        for key, (value, means) in group.changes.items():
            after = Files({"web": group.web}, put(group.stack, key, value))
            yield f"stack {key}", Files({"web": group.web}, group.stack), after, means, key
    for group in SERVICE:
        before = Files({**_OTHER, "web": group.web}, group.stack)
        for key, (value, means) in group.changes.items():
            after = Files({**_OTHER, "web": put(group.web, key, value)}, group.stack)
            yield f"service {key}", before, after, means, key


CASES = list(_cases())


def pattern(key: str) -> str:
    """The key of the schema that a case is about."""
    key = key.rpartition("#")[2]
    return re.sub(r"\*[-\w]+", "*", re.sub(r"\.\d+", "[]", key))


@pytest.mark.parametrize("file", FILES)
def test_every_key_of_the_schema_has_its_place(file: str) -> None:
    keys = {key for key, _ in keys_of(file)}
    places = (SAID[file], UNSAID[file].keys(), FILE_KEYS[file].keys())
    assert [key for key in sorted(keys) if sum(key in place for place in places) != 1] == []
    assert frozenset().union(*places) - keys == set()
    assert all(reason for reason in UNSAID[file].values())
    assert all(direction.reason for direction in FILE_KEYS[file].values())


@pytest.mark.parametrize("file", ["stack", "service"])
def test_every_key_that_another_fact_tells_of_has_a_case(file: str) -> None:
    tried = {pattern(key) for name, *_, key in CASES if name.startswith(file)}
    tried |= {f"posture.{layer}.value" for group in STACK for layer in posture_of(group.changes)}

    def is_tried(key: str) -> bool:
        for long, short in _ALIKE if file == "service" else ():
            key = key.replace(long, short)
        whole = (key[: part.start()].rstrip("[].*") for part in re.finditer(r"[.\[]|$", key))
        return any(each in tried or f"{each}.*" in tried for each in whole) or _SEVERAL.search(key) is not None

    # What is the whole of a section says nothing of its keys.
    tried -= {"databases", "posture"}
    assert [key for key in sorted(SAID[file]) if not is_tried(key)] == []


def posture_of(tried: Mapping[str, tuple[object, str]]) -> Keys:
    value: Any = tried.get("posture", ({}, ""))[0]
    return value


@pytest.mark.parametrize(("before", "after", "means"), [case[1:4] for case in CASES], ids=[case[0] for case in CASES])
def test_a_change_of_one_key(before: Files, after: Files, means: str) -> None:
    there, back = changes(before.side(), after.side()), changes(after.side(), before.side())
    assert there[0].means.value == means, [change.sentence for change in there]
    assert back
    if means == "stronger":
        assert back[0].means.value == "weaker"
    for change in (*there, *back):
        assert bool(change.approval) == (change.means.value == "weaker")


def test_what_a_stack_file_weakens_the_platform_approves() -> None:
    for name, before, after, means, _ in CASES:
        if name.startswith("stack ") and means == "weaker":
            assert "platform" in {change.approval for change in changes(before.side(), after.side())}, name


def test_a_side_of_a_program_without_these_facts_differs_in_none() -> None:
    older = SMALL.side()
    older = type(older)(older.environment, frozenset(f for f in older.facts if not isinstance(f, FileKey)))
    assert changes(older, SMALL.side()) == changes(SMALL.side(), older) == ()
