"""The objects of a collection, kept current by a watch, so that nobody asks the API server again and again.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from embedded.supervisor.https_api import ApiError
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest

_RETRY_SECONDS = 1.0
_TOGETHER_SECONDS = 0.1
_LOG = logging.getLogger(__name__)


class Changes:
    """What a task of an event loop waits for, told by any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._told = asyncio.Event()

    def tell(self) -> None:
        """Say that something changed."""
        # A thread outlives the loop by a moment when the supervisor ends.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._told.set)

    async def wait(self, at_most: float) -> None:
        """Wait for a change since the last wait, and a tenth of a second for those that come with it.

        Returns after ``at_most`` seconds without one.
        """
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), at_most)
            await asyncio.sleep(_TOGETHER_SECONDS)
        self._told.clear()


class Watched:
    """Follows one collection, such as ``/api/v1/pods``, in a thread that ends with the process.

    ``namespaces`` limits what is kept; without it that is all. ``on_change`` is called in that thread, after the list
    and after each change of what is kept.
    """

    def __init__(
        self,
        api: KubernetesApi,
        collection: str,
        on_change: Callable[[], None],
        namespaces: Collection[str] | None = None,
    ) -> None:
        self._api = api
        self._collection = collection
        self._on_change = on_change
        self._namespaces = namespaces
        self._objects: dict[str, Manifest] = {}
        self._listed = False

    def start(self) -> None:
        """Begin to follow; returns at once."""
        threading.Thread(target=self._follow, name=f"watch {self._collection}", daemon=True).start()

    @property
    def listed(self) -> bool:
        """Whether the API server has told the objects once."""
        return self._listed

    def items(self) -> list[Manifest]:
        """The objects as the API server last told them."""
        return list(self._objects.values())

    def _follow(self) -> None:
        while True:
            try:
                self._watch(self._list())
            except ApiError as error:
                _LOG.debug("%s: %s", self._collection, error)
                time.sleep(_RETRY_SECONDS)

    def _list(self) -> str:
        answer = self._api.get(self._collection)
        kept = [item for item in answer.get("items") or [] if self._wanted(item)]
        self._objects = {item["metadata"]["uid"]: item for item in kept}
        self._listed = True
        self._on_change()
        return answer["metadata"]["resourceVersion"]

    def _watch(self, version: str) -> None:
        """Apply each change until the server ends the watch, or no longer has this version (410, "Gone")."""
        path = f"{self._collection}?watch=true&allowWatchBookmarks=true&resourceVersion={version}"
        for line in self._api.lines(path):
            event: dict[str, Any] = json.loads(line)
            if event["type"] == "ERROR":
                return
            if event["type"] != "BOOKMARK" and self._wanted(event["object"]):
                self._apply(event["type"], event["object"])
                self._on_change()

    def _apply(self, change: str, item: Manifest) -> None:
        # A new dictionary each time: who holds the former one is in another thread.
        objects = dict(self._objects)
        objects.pop(item["metadata"]["uid"], None)
        self._objects = objects if change == "DELETED" else objects | {item["metadata"]["uid"]: item}

    def _wanted(self, item: Manifest) -> bool:
        return self._namespaces is None or item["metadata"].get("namespace") in self._namespaces
