"""Networks that network policies open: some, the internet or all, without those of metadata services.

This module imports no SDK, since `zt` reads these as well.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.schema.metadata_services import lies_in, metadata_within

_PUBLIC: Mapping[str, Sequence[str]] = {
    "0.0.0.0/0": (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
    ),
    # Private ranges, and those that embed IPv4 addresses. IPv4-mapped addresses (::ffff:0:0/96) are sent as IPv4, and
    # the API server refuses a policy with them.
    "::/0": (
        "::/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    ),
}
_EVERYTHING = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True)
class OpenNetworks:
    """The networks that policies open on a cluster: each without the metadata services in it.

    `metadata` are the networks of the cluster's own, beside the table of those of clouds.
    """

    metadata: Sequence[str] = ()

    def without(self, networks: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Networks, each with what a policy leaves out of it."""
        return {network: metadata_within(network, self.metadata) for network in networks}

    def anywhere(self) -> Mapping[str, Sequence[str]]:
        """Every network but those of metadata services, each with its exceptions."""
        return self.without(_EVERYTHING)

    def internet(self) -> Mapping[str, Sequence[str]]:
        """The networks of the internet, each with its exceptions: private, link-local, shared, of metadata services."""
        return {
            network: [*excepted, *(more for more in self.without([network])[network] if not _inside(more, excepted))]
            for network, excepted in _PUBLIC.items()
        }


def _inside(network: str, networks: Sequence[str]) -> bool:
    return bool(lies_in(ipaddress.ip_network(network), [ipaddress.ip_network(each) for each in networks]))
