"""A collection that is followed by a watch, and what waits for its changes."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from embedded.supervisor.https_api import ApiError, _lines
from embedded.supervisor.watched import Changes, Watched

pytestmark = pytest.mark.unit

Script = list[list[dict[str, Any]] | ApiError]


def _pod(name: str, namespace: str = "shop", **more: object) -> dict[str, Any]:
    return {"metadata": {"uid": name, "name": name, "namespace": namespace}, **more}


class _Api:
    """Answers each list with the same pods, and each watch with the next part of a script; then it is silent."""

    def __init__(self, pods: list[dict[str, Any]], script: Script) -> None:
        self._pods = pods
        self._script = script
        self.watched: list[str] = []
        self.lists = 0

    def get(self, _path: str) -> dict[str, Any]:
        self.lists += 1
        return {"metadata": {"resourceVersion": f"{self.lists}"}, "items": self._pods}

    def lines(self, path: str) -> Iterator[bytes]:
        self.watched.append(path)
        if not self._script:
            threading.Event().wait()
        part = self._script.pop(0)
        if isinstance(part, ApiError):
            raise part
        for event in part:
            yield json.dumps(event).encode()


def _names(watched: Watched) -> list[str]:
    return sorted(item["metadata"]["name"] for item in watched.items())


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedded.supervisor.watched._RETRY_SECONDS", 0.0)


def test_it_has_what_was_listed_and_what_changed_since() -> None:
    changes = [
        {"type": "ADDED", "object": _pod("c")},
        {"type": "MODIFIED", "object": _pod("a", status={"phase": "Running"})},
        {"type": "DELETED", "object": _pod("b")},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}},
    ]
    api = _Api([_pod("a"), _pod("b")], [changes])
    seen: list[list[str]] = []
    watched = Watched(api, "/api/v1/pods", lambda: seen.append(_names(watched)))  # pyright: ignore[reportArgumentType] - what it asks
    watched._watch(watched._list())
    assert seen == [["a", "b"], ["a", "b", "c"], ["a", "b", "c"], ["a", "c"]]
    assert [item.get("status") for item in watched.items() if item["metadata"]["name"] == "a"] == [{"phase": "Running"}]


@pytest.mark.parametrize(
    "ended",
    [
        pytest.param([], id="the server ends the watch"),
        pytest.param([{"type": "ERROR", "object": {"code": 410}}, {"type": "ADDED", "object": _pod("b")}], id="gone"),
        pytest.param(ApiError(0, "broke off"), id="the connection breaks"),
    ],
)
def test_a_watch_that_ends_is_begun_anew_from_a_list(ended: list[dict[str, Any]] | ApiError) -> None:
    api = _Api([_pod("a")], [ended])
    watched = Watched(api, "/api/v1/pods", lambda: None)  # pyright: ignore[reportArgumentType] - what it asks of the API
    assert not watched.listed
    watched.start()
    for _ in range(500):
        if len(api.watched) > 1:
            break
        time.sleep(0.01)
    assert watched.listed
    assert _names(watched) == ["a"]
    versions = [path.rpartition("resourceVersion=")[2] for path in api.watched]
    assert versions == ["1", "2"]


def test_other_namespaces_are_neither_kept_nor_told() -> None:
    changes = [{"type": "ADDED", "object": _pod("b", "web")}, {"type": "ADDED", "object": _pod("c", "shop")}]
    api = _Api([_pod("a", "web")], [changes])
    told: list[None] = []
    watched = Watched(api, "/api/v1/pods", lambda: told.append(None), ("shop",))  # pyright: ignore[reportArgumentType] - what it asks
    watched._watch(watched._list())
    assert _names(watched) == ["c"]
    assert len(told) == 2


def test_a_line_is_whole_however_it_comes() -> None:
    assert list(_lines([b'{"a"', b":1}\n{}", b"\n", b'{"b":2}\n{"c"'])) == [b'{"a":1}', b"{}", b'{"b":2}']


def test_a_change_before_the_wait_ends_it_and_only_one() -> None:
    async def waits() -> tuple[float, float]:
        changes = Changes()
        threading.Thread(target=lambda: (changes.tell(), changes.tell())).start()
        began = time.monotonic()
        await changes.wait(30.0)
        first = time.monotonic()
        await changes.wait(0.2)
        return first - began, time.monotonic() - first

    told, silent = asyncio.run(waits())
    assert told < 20.0
    assert silent >= 0.2
