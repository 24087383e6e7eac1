"""Whether this machine can run the data plane at all: asked before anything starts."""

import os
import shutil

from embedded.data_plane.errors import DataPlaneError
from embedded.data_plane.namespaces import NetworkNamespace
from embedded.data_plane.proxy import envoy_binary
from embedded.toolchain.iptables import iptables_environment

# Each command with the Debian package that holds it.
_COMMANDS = {
    "ip": "iproute2",
    "mount": "mount",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}


def check_machine() -> None:
    """Raise ``DataPlaneError`` or ``ToolchainError`` that says what is missing. Fetches iptables when absent."""
    if os.geteuid() != 0:
        raise DataPlaneError(
            "--data-plane needs root: network namespaces, and the rules in them that lead to the proxy"
        )
    for command, package in _COMMANDS.items():
        if shutil.which(command) is None:
            raise DataPlaneError(f"--data-plane needs the command {command}: apt-get install {package}")
    NetworkNamespace.new().close()
    envoy_binary()
    iptables_environment()
