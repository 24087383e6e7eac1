"""The public route of a service: host and paths, as an HTTPRoute, a GRPCRoute or an Ingress."""

from collections.abc import Sequence

from components.ingress.terms import PublicLimits
from components.kube.manifest import Manifest
from components.service.args.service import SecureServiceArgs
from components.service.file.network import GRPC_PATH
from components.service.manifests.metadata import metadata


def route_kind(args: SecureServiceArgs) -> str:
    """The kind of the Gateway API's route to the service."""
    return "GRPCRoute" if args.protocol == "grpc" else "HTTPRoute"


def route_spec(args: SecureServiceArgs) -> Manifest:
    """The spec of the route from the public hosts to the service.

    https://gateway-api.sigs.k8s.io/api-types/httproute/ and https://gateway-api.sigs.k8s.io/api-types/grpcroute/
    """
    paths = [{"path": {"type": "PathPrefix", "value": path}} for path in args.paths]
    matches = _grpc_matches(args.paths) if args.protocol == "grpc" else paths
    return {
        "parentRefs": [
            {"name": args.platform.ingress.gateway.name, "namespace": args.platform.ingress.gateway.namespace}
        ],
        "hostnames": list(args.hosts),
        "rules": [
            {
                **({"matches": matches} if matches else {}),
                **({"filters": [_headers(args.limits)]} if args.limits.headers else {}),
                "backendRefs": [{"name": args.name, "port": args.port}],
            }
        ],
    }


def _grpc_matches(paths: Sequence[str]) -> list[Manifest]:
    """A match for each service or method of gRPC; none for all of them."""
    found = [match.groupdict() for match in map(GRPC_PATH.fullmatch, paths) if match]
    if len(found) < len(paths):
        return []
    return [{"method": {"type": "Exact", **{part: name for part, name in parts.items() if name}}} for parts in found]


def _headers(limits: PublicLimits) -> Manifest:
    headers = [{"name": name, "value": value} for name, value in sorted(limits.headers.items())]
    return {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": headers}}


def ingress_manifest(args: SecureServiceArgs) -> Manifest:
    """Metadata and spec of the Ingress from the public hosts to the service, with TLS if the stack has an issuer."""
    backend = {"service": {"name": args.name, "port": {"number": args.port}}}
    paths = [{"path": path, "pathType": "Prefix", "backend": backend} for path in args.paths]
    spec: Manifest = {
        "ingressClassName": args.platform.ingress.class_name,
        "rules": [{"host": host, "http": {"paths": paths}} for host in args.hosts],
    }
    annotations = dict(args.limits.annotations)
    if args.platform.ingress.issuer:
        annotations["cert-manager.io/cluster-issuer"] = args.platform.ingress.issuer
        spec["tls"] = [{"hosts": list(args.hosts), "secretName": f"{args.name}-tls"}]
    return {"metadata": {**metadata(args), **({"annotations": annotations} if annotations else {})}, "spec": spec}


def public_url(args: SecureServiceArgs) -> str:
    """The URL of a public service; empty for any other."""
    if not args.public:
        return ""
    return f"{'https' if args.platform.ingress.issuer else 'http'}://{args.host}"
