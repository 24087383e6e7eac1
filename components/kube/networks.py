"""Networks that network policies name: the internet, metadata services, and everything but the latter.

This module imports no SDK, since `zt` reads these as well.
"""

from collections.abc import Mapping, Sequence

# Metadata addresses, which reveal a node's identity, outside of private and link-local ranges.
METADATA_NETWORKS = ("168.63.129.16/32", "192.0.0.192/32", "100.100.100.200/32")

ANYWHERE: Mapping[str, Sequence[str]] = {
    # Link-local addresses have most metadata services: a node hands out its identity there.
    "0.0.0.0/0": ("169.254.0.0/16", *METADATA_NETWORKS),
    # The metadata services of AWS and of Google Cloud.
    "::/0": ("fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128"),
}
"""Every network but those of metadata services, each with its exceptions."""

INTERNET: Mapping[str, Sequence[str]] = {
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
        # Public addresses of cloud metadata services.
        *(network for network in METADATA_NETWORKS if network.startswith("168.")),
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
"""The networks of the internet, each with its exceptions: private, link-local, shared and metadata addresses."""
