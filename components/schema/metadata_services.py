"""Where nodes and pods are told who they are and get credentials: networks that nothing of the project opens.

This module imports no SDK, since the models of files and `zt` read it.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class MetadataService:
    """The network of a metadata service, whose it is, the port it listens on, and the page that says so.

    `answers_names`: its address is that of the cloud's DNS as well, at port 53.
    """

    network: str
    whose: str
    source: str
    port: int = 80
    answers_names: bool = False

    @property
    def address(self) -> str:
        """Its address; empty for a whole range."""
        network = ipaddress.ip_network(self.network)
        return str(network.network_address) if network.prefixlen == network.max_prefixlen else ""


_AWS = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html"
_ECS = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html"
_EKS = "https://docs.aws.amazon.com/eks/latest/userguide/pod-id-agent-setup.html"
_GOOGLE = "https://cloud.google.com/compute/docs/metadata/querying-metadata"
_GKE = "https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity"
_AZURE = "https://learn.microsoft.com/en-us/azure/virtual-network/what-is-ip-address-168-63-129-16"
_ALIBABA = "https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata"
_ORACLE = (
    "https://docs.oracle.com/en/cloud/cloud-at-customer/occ-get-started/retrieve-predefined-instance-metadata.html"
)

METADATA_SERVICES: Sequence[MetadataService] = (
    MetadataService("169.254.0.0/16", "every link-local address of IPv4", "https://www.rfc-editor.org/rfc/rfc3927"),
    MetadataService("169.254.169.254/32", "nearly every cloud", _AWS, answers_names=True),
    MetadataService("169.254.169.252/32", "GKE Workload Identity", _GKE, port=988),
    MetadataService("169.254.170.2/32", "AWS ECS, credentials of tasks", _ECS),
    MetadataService("169.254.170.23/32", "AWS EKS Pod Identity", _EKS),
    MetadataService("168.63.129.16/32", "Azure's wire server", _AZURE, answers_names=True),
    MetadataService("100.100.100.200/32", "Alibaba Cloud", _ALIBABA),
    MetadataService("192.0.0.192/32", "Oracle Cloud, and private clouds like it", _ORACLE),
    MetadataService("fe80::/10", "every link-local address of IPv6", "https://www.rfc-editor.org/rfc/rfc4291"),
    MetadataService("fd00:ec2::254/128", "AWS", _AWS),
    MetadataService("fd00:ec2::23/128", "AWS EKS Pod Identity", _EKS),
    MetadataService("fd20:ce::254/128", "Google Cloud", _GOOGLE, answers_names=True),
)
"""The metadata services of clouds, with the ranges in which most of them are."""

ANSWERING_NAMES = frozenset(each.network for each in METADATA_SERVICES if each.answers_names)
"""Those to which port 53 may be open, since pods ask them for names."""

# Addresses of version 6 that a gateway sends on as version 4: RFC 6052 (NAT64) and RFC 3056 (6to4), by the number of
# bits before the address of version 4.
_EMBEDDING = ((ipaddress.ip_network("64:ff9b::/96"), 96), (ipaddress.ip_network("2002::/16"), 16))
_LAST_IS_A_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?")


def _embedded(network: Network) -> list[Network]:
    """A network of version 4 as gateways know it in version 6."""
    if not isinstance(network, ipaddress.IPv4Network):
        return []
    number = int(network.network_address)
    return [
        ipaddress.ip_network((int(outer.network_address) | number << (96 - bits), bits + network.prefixlen))
        for outer, bits in _EMBEDDING
    ]


# Each host and each network of a stack is held against the same ones.
@lru_cache(maxsize=128)
def _merged(networks: tuple[str, ...]) -> Sequence[Network]:
    """Networks, each once, with those by which gateways know them."""
    written = [ipaddress.ip_network(each) for each in networks]
    every = [*written, *(other for network in written for other in _embedded(network))]
    old = [each for each in every if isinstance(each, ipaddress.IPv4Network)]
    new = [each for each in every if isinstance(each, ipaddress.IPv6Network)]
    return (*ipaddress.collapse_addresses(old), *ipaddress.collapse_addresses(new))


def metadata_networks(own: Sequence[str] = ()) -> Sequence[Network]:
    """The networks of metadata services, with those of gateways; `own` are those of the cluster beside the table."""
    return _merged((*(each.network for each in METADATA_SERVICES), *own))


def _holds(outer: Network, inner: Network) -> bool:
    if isinstance(outer, ipaddress.IPv4Network):
        return isinstance(inner, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(inner, ipaddress.IPv6Network) and inner.subnet_of(outer)


def lies_in(network: Network, networks: Sequence[Network]) -> str:
    """That of the networks in which one lies; empty if it lies in none, or only holds some."""
    return next((str(each) for each in networks if _holds(each, network)), "")


def own_networks(own: Sequence[str]) -> Sequence[Network]:
    """The networks of the cluster's own metadata services, with those of gateways."""
    return _merged(tuple(own))


def metadata_within(network: str, own: Sequence[str] = ()) -> list[str]:
    """The networks of metadata services that a wider network holds, and that a policy has to leave out of it."""
    outer = ipaddress.ip_network(network)
    return [str(each) for each in metadata_networks(own) if each != outer and _holds(outer, each)]


def outside_metadata(network: Network) -> Network:
    """A network that is none of a metadata service. Raises `ValueError`."""
    if found := lies_in(network, metadata_networks()):
        raise ValueError(f"it is of {found}, where metadata services hand out the node's identity")
    return network


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is; `None` for a name. Raises `ValueError` for a number that resolvers read as one."""
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        return getattr(address, "ipv4_mapped", None) or address
    except ValueError as error:
        # https://url.spec.whatwg.org/#ends-in-a-number-checker: 2852039166 and 0xa9fea9fe are 169.254.169.254.
        if _LAST_IS_A_NUMBER.fullmatch(host):
            raise ValueError("a number that resolvers read as an address: write it as one, as 10.20.0.7") from error
        return None


def outside_host(host: str) -> str:
    """A host that is no address of a metadata service. Raises `ValueError`."""
    if (address := address_of(host)) is not None:
        outside_metadata(ipaddress.ip_network(address))
    return host
