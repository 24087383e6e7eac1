"""The public route of a service: host and paths, as an HTTPRoute or as an Ingress."""

from typing import Any, TypeAlias

from components.service_args import SecureServiceArgs, metadata
from components.service_door import DoorArgs

# A manifest is open: its schema is the API server's.
Manifest: TypeAlias = dict[str, Any]


def http_route_spec(args: SecureServiceArgs) -> Manifest:
    """The HTTPRoute that joins the public host to the service (https://gateway-api.sigs.k8s.io/api-types/httproute/)."""
    return {
        "parentRefs": [{"name": args.platform.gateway_name, "namespace": args.platform.gateway_namespace}],
        "hostnames": list(args.hosts),
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": path}} for path in args.paths],
                **({"filters": [_headers(args.door)]} if args.door.headers else {}),
                "backendRefs": [{"name": args.name, "port": args.port}],
            }
        ],
    }


def _headers(door: DoorArgs) -> Manifest:
    written = [{"name": name, "value": value} for name, value in sorted(door.headers.items())]
    return {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": written}}


def ingress_manifest(args: SecureServiceArgs) -> Manifest:
    """The Ingress that joins the public host to the service, with TLS unless the stack has no issuer."""
    backend = {"service": {"name": args.name, "port": {"number": args.port}}}
    paths = [{"path": path, "pathType": "Prefix", "backend": backend} for path in args.paths]
    spec: Manifest = {
        "ingressClassName": args.platform.ingress_class,
        "rules": [{"host": host, "http": {"paths": paths}} for host in args.hosts],
    }
    annotations = dict(args.door.annotations)
    if args.platform.issuer:
        annotations["cert-manager.io/cluster-issuer"] = args.platform.issuer
        spec["tls"] = [{"hosts": list(args.hosts), "secretName": f"{args.name}-tls"}]
    return {"metadata": {**metadata(args), **({"annotations": annotations} if annotations else {})}, "spec": spec}


def public_url(args: SecureServiceArgs) -> str:
    """The address of a public service, or an empty string."""
    if not args.public:
        return ""
    return f"{'https' if args.platform.issuer else 'http'}://{args.host}"
