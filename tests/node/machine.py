"""What a node could leave on this machine, seen from outside of it."""

import os
import subprocess
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

from embedded.node.cgroups import group_name, hierarchies
from embedded.toolchain.iptables import iptables_environment

# What a kubelet sets where nothing keeps it from it, and what a proxy of Services does.
_PARAMETERS = (
    *("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"),
    *(
        "kernel/keys/root_maxkeys",
        "kernel/keys/root_maxbytes",
        "net/ipv4/ip_forward",
        "net/ipv4/conf/all/route_localnet",
    ),
    *("net/netfilter/nf_conntrack_max", "net/ipv4/vs/conntrack"),
)
_PLACES = ("/etc/cni", "/opt/cni", "/run/containerd", "/var/lib/kubelet", "/var/lib/containerd", "/var/log/pods")


@dataclass(frozen=True)
class Machine:
    """One look at it."""

    mounts: frozenset[str]
    devices: frozenset[str]
    rules: str
    sets: str
    groups: frozenset[str]
    places: frozenset[str]
    parameters: tuple[str, ...]

    @classmethod
    def now(cls) -> "Machine":
        environment = iptables_environment()
        return cls(
            # The supervisor's own mounts are those of every process here.
            mounts=frozenset(line.split(" - ")[0].split(" ", 2)[2] for line in _lines("/proc/self/mountinfo")),
            devices=frozenset(device.name for device in Path("/sys/class/net").iterdir()),
            rules=_printed(("iptables-save",), environment) + _printed(("ip6tables-save",), environment),
            sets=_printed(("ipset", "list", "-name"), environment),
            groups=frozenset(_groups()),
            places=frozenset(place for place in _PLACES if Path(place).exists()),
            parameters=tuple(_parameter(name) for name in _PARAMETERS),
        )

    def differs(self, other: "Machine") -> dict[str, object]:
        """What is not the same, by name, in both."""
        names = [field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)]
        return {name: (getattr(self, name), getattr(other, name)) for name in names}


def processes_of(state: Path) -> list[str]:
    """The command lines of all processes of a control plane and its node: by its directory, or by its control group."""
    name, found = group_name(state), list[str]()
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            groups = Path(f"/proc/{process.pid}/cgroup").read_text()
        except (psutil.Error, OSError):
            continue
        if (str(state) in line or name in groups or name in line) and process.pid != os.getpid():
            found.append(line)
    return found


def _groups() -> list[str]:
    places = [hierarchy.place for hierarchy in hierarchies()]
    return [directory for place in places for directory, _, _ in os.walk(place)]


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _parameter(name: str) -> str:
    path = Path("/proc/sys", name)
    return path.read_text() if path.exists() else ""


def _printed(command: tuple[str, ...], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    # The times of a listing are no difference.
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith(("#", ":")))
