"""Which pod of a service gets a client's requests: the same one each time, for the ports that say so.

The Service's own session affinity goes by addresses, and the mesh's proxies do not read it.
https://istio.io/latest/docs/reference/config/networking/destination-rule/#LoadBalancerSettings-ConsistentHashLB
"""

from components.kube.manifest import Manifest
from components.service.args.network import StickyArgs
from components.service.args.service import SecureServiceArgs


def sticky_ports(args: SecureServiceArgs) -> list[Manifest]:
    """The settings of the ports whose requests stay with a pod; none without a proxy that sees requests."""
    ports = args.open_ports if args.platform.mesh.sidecars else []
    return [
        {"port": {"number": each.port}, "loadBalancer": {"consistentHash": _hashed(each.sticky)}}
        for each in ports
        if each.sticky != StickyArgs()
    ]


def _hashed(sticky: StickyArgs) -> Manifest:
    if sticky.header:
        return {"httpHeaderName": sticky.header}
    # Without a time to live Envoy reads the cookie and sets none, and with 0 it ends with the browser.
    return {"httpCookie": {"name": sticky.cookie, "path": "/", "ttl": "0s", "attributes": [{"name": "Secure"}]}}
