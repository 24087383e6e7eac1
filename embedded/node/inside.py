"""``python -m embedded.node.inside``: the first process of the node, in namespaces of its own.

It lays out the node's view of the file system and then only collects what has ended. When it ends, the kernel ends
every process of the node and undoes every mount (pid_namespaces(7)).

The machine's files stay readable below ``/``, as an image of its operating system would be. What the node writes goes
elsewhere: below ``/etc`` and ``/opt`` into overlays, below ``/run`` into memory, and below ``/var/lib`` into the
directory of this node.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from embedded.node.names import VOLUMES

_MOUNT = "mount"
READY = Path("/run/node-ready")
# The node's own, empty: nothing of this machine's sockets and locks.
_EMPTY = ("/run",)
_OVERLAID = ("/etc", "/opt")
_KEPT = {
    "containerd": "/var/lib/containerd",
    "kubelet": "/var/lib/kubelet",
    "log": "/var/log",
    # Beside it, since these outlive the node.
    "../volumes": VOLUMES,
}
# The kubelet would set these for the whole machine: here it reads the values that it wants, and writes none.
_KERNEL = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def main(arguments: list[str]) -> None:
    """Lay out the file system for the node in a directory, and stay until killed."""
    directory = Path(arguments[0])
    hierarchies = json.loads(arguments[1])
    _mount("--make-rshared", "/")
    _lay_out(directory)
    _kernel(directory)
    _control_groups(hierarchies)
    READY.touch()
    _collect()


def _lay_out(directory: Path) -> None:
    for place in _EMPTY:
        _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", place)
    for place in (*_OVERLAID, "/var/lib"):
        name = place.strip("/").replace("/", "-")
        upper, work = directory / "overlay" / name, directory / "overlay" / f"{name}.work"
        upper.mkdir(parents=True)
        work.mkdir()
        _mount("-t", "overlay", "-o", f"lowerdir={place},upperdir={upper},workdir={work}", "overlay", place)
    for name, place in _KEPT.items():
        (directory / name).mkdir(exist_ok=True)
        Path(place).mkdir(parents=True, exist_ok=True)
        _mount("--bind", str(directory / name), place)
    # What is mounted below it, a pod's volumes, must be seen by the containers.
    _mount("--make-rshared", "/var/lib/kubelet")
    for place in ("/run/containerd", "/run/netns", "/run/istio-cni", "/etc/cni/net.d", "/opt/cni/bin"):
        Path(place).mkdir(parents=True, exist_ok=True)
    # Only now: this one shows the devices of the node's network.
    _mount("-t", "sysfs", "sysfs", "/sys")


def _kernel(directory: Path) -> None:
    for name, value in _KERNEL.items():
        file = directory / name.replace("/", ".")
        file.write_text(f"{value}\n")
        _mount("--bind", str(file), f"/proc/sys/{name}")


def _control_groups(hierarchies: list[list[str]]) -> None:
    """Mount each hierarchy from the node's own group on, where the control group namespace begins."""
    if all(not options for _, options in hierarchies):
        _mount("-t", "cgroup2", "cgroup2", "/sys/fs/cgroup")
        _delegate(Path("/sys/fs/cgroup"))
        return
    _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/sys/fs/cgroup")
    for place, options in hierarchies:
        Path(place).mkdir(parents=True, exist_ok=True)
        if options:
            _mount("-t", "cgroup", "-o", options, "cgroup", place)
        else:
            _mount("-t", "cgroup2", "cgroup2", place)


def _delegate(root: Path) -> None:
    """In version 2 a group that has processes gives no controllers to groups below it (cgroups(7))."""
    own = root / "node"
    own.mkdir()
    (own / "cgroup.procs").write_text(str(os.getpid()))
    controllers = (root / "cgroup.controllers").read_text().split()
    (root / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in controllers))


def _mount(*arguments: str) -> None:
    subprocess.run((_MOUNT, *arguments), check=True)


def _collect() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        signal.sigtimedwait({signal.SIGCHLD}, 5)


if __name__ == "__main__":
    main(sys.argv[1:])
