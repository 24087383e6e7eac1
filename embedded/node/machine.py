"""Whether this machine can run the node at all: asked before anything starts."""

import os
import shutil

from embedded.data_plane.namespaces import NetworkNamespace
from embedded.data_plane.proxy import envoy_binary
from embedded.node.cgroups import hierarchies
from embedded.node.errors import NodeError
from embedded.toolchain.iptables import iptables_environment

# Each command with the Debian package that holds it.
_COMMANDS = {
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}


def check_machine(*, data_plane: bool) -> None:
    """Raise ``NodeError`` or ``ToolchainError`` that says what is missing. Fetches iptables and ipset when absent."""
    if os.geteuid() != 0:
        raise NodeError(
            "--node needs root: it makes namespaces, mounts and control groups, and removes them at its end. "
            "Run the same command as root (sudo make up NODE=1), or without --node: pods are then simulated"
        )
    if data_plane:
        raise NodeError("--node takes the place of --data-plane: `python -m embedded clean`, and then one of the two")
    for command, package in _COMMANDS.items():
        if shutil.which(command) is None:
            raise NodeError(f"--node needs the command {command}: apt-get install {package}")
    NetworkNamespace.new().close()
    hierarchies()
    envoy_binary()
    iptables_environment()
