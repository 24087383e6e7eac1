"""The public route of a service: host and paths, as an HTTPRoute or as an Ingress."""

from typing import Any, TypeAlias

from components.service_args import SecureServiceArgs

# A manifest is open: its schema is the API server's.
Manifest: TypeAlias = dict[str, Any]


def http_route_spec(args: SecureServiceArgs) -> Manifest:
    """The HTTPRoute that joins the public host to the service (https://gateway-api.sigs.k8s.io/api-types/httproute/)."""
    return {
        "parentRefs": [{"name": args.platform.gateway_name, "namespace": args.platform.gateway_namespace}],
        "hostnames": [args.host],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": path}} for path in args.paths],
                "backendRefs": [{"name": args.name, "port": args.port}],
            }
        ],
    }


def ingress_manifest(args: SecureServiceArgs) -> Manifest:
    """The Ingress that joins the public host to the service, with TLS unless the stack has no issuer."""
    metadata: Manifest = {"name": args.name, "namespace": args.namespace, "labels": dict(args.labels)}
    backend = {"service": {"name": args.name, "port": {"number": args.port}}}
    paths = [{"path": path, "pathType": "Prefix", "backend": backend} for path in args.paths]
    spec: Manifest = {
        "ingressClassName": args.platform.ingress_class,
        "rules": [{"host": args.host, "http": {"paths": paths}}],
    }
    if args.platform.issuer:
        metadata["annotations"] = {"cert-manager.io/cluster-issuer": args.platform.issuer}
        spec["tls"] = [{"hosts": [args.host], "secretName": f"{args.name}-tls"}]
    return {"metadata": metadata, "spec": spec}


def public_url(args: SecureServiceArgs) -> str:
    """The address of a public service, or an empty string."""
    if not args.public:
        return ""
    return f"{'https' if args.platform.issuer else 'http'}://{args.host}"
