"""The load balancer of the cluster: an address of the world outside for each Service that asks for one.

kube-proxy leads what comes to the node for it to the Service's pods.
"""

import ipaddress
from collections.abc import Iterator

from embedded.node.names import BALANCED_NETWORK
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest


def give_addresses(api: KubernetesApi) -> None:
    """Give each Service of the type LoadBalancer that has none an address. Raises ``ApiError``."""
    services = [item for item in api.list("/api/v1/services") if item["spec"].get("type") == "LoadBalancer"]
    taken = {address for service in services for address in addresses_of(service)}
    free = (str(address) for address in ipaddress.ip_network(BALANCED_NETWORK).hosts() if str(address) not in taken)
    for service in services:
        if not list(addresses_of(service)):
            metadata = service["metadata"]
            path = f"/api/v1/namespaces/{metadata['namespace']}/services/{metadata['name']}/status"
            api.patch(path, {"status": {"loadBalancer": {"ingress": [{"ip": next(free)}]}}})


def addresses_of(service: Manifest) -> Iterator[str]:
    """The addresses that a Service was given."""
    for entry in service.get("status", {}).get("loadBalancer", {}).get("ingress") or []:
        yield entry["ip"]
