"""What several objects of a service have: their metadata, and the ports of its Services."""

from typing import Any

from components.service.args.service import SecureServiceArgs

# https://kubernetes.io/docs/concepts/services-networking/service/#application-protocol
_APP_PROTOCOLS = {"http2": "kubernetes.io/h2c"}


def metadata(args: SecureServiceArgs) -> dict[str, Any]:
    """The metadata that every object of a service shares."""
    return {"name": args.name, "namespace": args.namespace, "labels": dict(args.labels)}


def service_port(name: str, port: int, protocol: str) -> dict[str, Any]:
    """A port of a Service, whose pods listen on the same one."""
    spoken = _APP_PROTOCOLS.get(protocol, protocol)
    return {"name": name, "port": port, "targetPort": port, "protocol": "TCP", "appProtocol": spoken}
