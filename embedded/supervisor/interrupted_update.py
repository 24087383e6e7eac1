"""Makes a stack usable again after its update was killed: plugins, the lock, Helm releases, unfinished creations.

Four things stay behind a killed `pulumi up`. Plugins that go on with what they were told, and would roll a release back
under the next update. The journal of the update, which keeps others away: when the update is cancelled, the state
service makes it part of the checkpoint. Helm's record of a release that was being installed, or was installed but not
recorded: it blocks a new installation. And pending operations in the checkpoint: the resource may or may not exist
(`pending_operations/state.py`).
"""

import contextlib
import json
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from embedded.supervisor.https_api import HttpsApi
from embedded.supervisor.kubernetes_api import KubernetesApi
from embedded.supervisor.pki import CLUSTER, Pki
from pending_operations.releases import UNFINISHED, releases
from pending_operations.state import Operation, operations

_PLUGINS = (b"pulumi-resource-", b"pulumi-language-", b"pulumi.dynamic")
_UNFINISHED = ",".join((*UNFINISHED, "uninstalling"))


def is_locked(journal: Path, pulumi_home: Path) -> bool:
    """Whether an update of the stack is under way: it has a journal, and an engine of this checkout lives."""
    return journal.exists() and _engine_lives(pulumi_home)


def is_interrupted(journal: Path, pulumi_home: Path) -> bool:
    """Whether the journal is that of an update whose engine is gone."""
    return journal.exists() and not _engine_lives(pulumi_home)


def operations_in(checkpoint: Path) -> tuple[Operation, ...]:
    """The operations that a killed update left in the checkpoint; none without one."""
    if not checkpoint.exists():
        return ()
    return operations(json.loads(checkpoint.read_text()).get("checkpoint", {}).get("latest") or {})


def forget_unfinished_releases(api_server: str, pki: Pki, pending: Iterable[Operation]) -> int:
    """Delete Helm's records of what was cut off; the objects stay, and the next operation adopts them.

    These are the revisions that Helm calls unfinished, and every revision of a release whose creation is pending: an
    installation may have ended well after the engine that asked for it was gone.
    """
    api = KubernetesApi(HttpsApi(api_server, pki.ca(CLUSTER), pki.pair("admin")))
    selectors = [f"owner=helm,status in ({_UNFINISHED})", *(each.selector for each in releases(pending) if each.whole)]
    return sum(_delete_secrets(api, quote(selector)) for selector in selectors)


def _delete_secrets(api: KubernetesApi, selector: str) -> int:
    secrets = api.list(f"/api/v1/secrets?labelSelector={selector}")
    for secret in secrets:
        metadata = secret["metadata"]
        api.delete(f"/api/v1/namespaces/{metadata['namespace']}/secrets/{metadata['name']}")
    return len(secrets)


def stop_orphaned_plugins(pulumi_home: Path) -> int:
    """Kill the plugins and language hosts of this checkout's updates whose engine is gone; returns how many."""
    orphans = [pid for pid in _process_ids() if _is_orphaned_plugin(pid, pulumi_home)]
    for pid in orphans:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(orphans)


def _process_ids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _engine_lives(pulumi_home: Path) -> bool:
    return any(_is_engine(pid, pulumi_home) for pid in _process_ids())


def _is_engine(pid: int, pulumi_home: Path) -> bool:
    try:
        program = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
        return Path(os.fsdecode(program)).name == "pulumi" and _belongs(pid, pulumi_home)
    except OSError:
        return False


def _belongs(pid: int, pulumi_home: Path) -> bool:
    return f"PULUMI_HOME={pulumi_home}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def _is_orphaned_plugin(pid: int, pulumi_home: Path) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
        if not any(name in command for name in _PLUGINS) or not _belongs(pid, pulumi_home):
            return False
        # A plugin's own parent may be a shell that started it, and be left over itself.
        return not any(_is_engine(ancestor, pulumi_home) for ancestor in _ancestors(pid))
    except OSError:
        return False


def _ancestors(pid: int) -> Iterator[int]:
    while (pid := _parent(pid)) > 1:
        yield pid


def _parent(pid: int) -> int:
    # The second field is the command's name in parentheses, and may hold spaces.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
