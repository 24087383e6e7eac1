"""The public route of a service: host and paths, as an HTTPRoute, a GRPCRoute or an Ingress."""

import hashlib
from collections.abc import Sequence

from components.ingress.terms import PublicLimits
from components.kube.manifest import Manifest
from components.service.args.routes import CorsArgs, PublicPort, RouteArgs
from components.service.args.service import SecureServiceArgs
from components.service.file.network import GRPC_PATH
from components.service.file.public_hosts import tls_name
from components.service.manifests.metadata import metadata

# Every page may use these (https://fetch.spec.whatwg.org/#cors-safelisted-method).
_ALWAYS_ALLOWED = ("GET", "HEAD", "POST")


def route_kind(public: PublicPort) -> str:
    """The kind of the Gateway API's route to a port."""
    return "GRPCRoute" if public.protocol == "grpc" else "HTTPRoute"


def route_name(args: SecureServiceArgs, public: PublicPort) -> str:
    """The name of the route to a port; neither part can contain a dot, so no two services have the same."""
    return f"{args.name}.{public.name}" if public.name else args.name


def route_names(args: SecureServiceArgs, public: PublicPort) -> list[str]:
    """The names in Envoy of the rules of a route: their own, or the one that istiod gives them by their number."""
    rules = enumerate(route_spec(args, public)["rules"])
    return [rule.get("name", f"{args.namespace}.{route_name(args, public)}.{number}") for number, rule in rules]


def rule_name(args: SecureServiceArgs, public: PublicPort, route: RouteArgs) -> str:
    """The name of the rule for one path of a port, which stays when others come or go."""
    return f"{args.namespace}.{route_name(args, public)}.{hashlib.sha256(route.path.encode()).hexdigest()[:8]}"


def route_spec(args: SecureServiceArgs, public: PublicPort) -> Manifest:
    """The spec of the route from the hosts of a port to it: a rule for all plain paths, and one for each other.

    https://gateway-api.sigs.k8s.io/api-types/httproute/ and https://gateway-api.sigs.k8s.io/api-types/grpcroute/
    """
    plain = [route.path for route in public.routes if route.plain]
    matches = _grpc_matches(plain) if public.protocol == "grpc" else [_prefix(path) for path in plain]
    rules = [{**({"matches": matches} if matches else {}), **_answered(args, public, [])}] if plain else []
    return {
        "parentRefs": [
            {"name": args.platform.ingress.gateway.name, "namespace": args.platform.ingress.gateway.namespace}
        ],
        "hostnames": list(public.hosts),
        "rules": [*rules, *(_rule(args, public, route) for route in public.routes if not route.plain)],
    }


def _rule(args: SecureServiceArgs, public: PublicPort, route: RouteArgs) -> Manifest:
    """The rule for a path with settings. How often a request is sent again is in an EnvoyFilter of the gateway."""
    filters: list[Manifest] = []
    if route.rewrite:
        path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": route.rewrite}
        filters.append({"type": "URLRewrite", "urlRewrite": {"path": path}})
    if route.cors.origins:
        filters.append({"type": "CORS", "cors": _cors(route.cors)})
    return {
        "name": rule_name(args, public, route),
        "matches": [_prefix(route.path)],
        **_answered(args, public, filters),
        **({"timeouts": {"request": f"{route.timeout}s"}} if route.timeout else {}),
    }


def _prefix(path: str) -> Manifest:
    return {"path": {"type": "PathPrefix", "value": path}}


def _answered(args: SecureServiceArgs, public: PublicPort, filters: list[Manifest]) -> Manifest:
    made = [*([_headers(args.limits)] if args.limits.headers else []), *filters]
    return {**({"filters": made} if made else {}), "backendRefs": [_backend(args, public)]}


def _backend(args: SecureServiceArgs, public: PublicPort) -> Manifest:
    return {"name": args.backend or args.name, "port": args.backend_port or public.port}


def _cors(cors: CorsArgs) -> Manifest:
    """https://gateway-api.sigs.k8s.io/reference/spec/#httpcorsfilter."""
    lists = {
        "allowMethods": cors.methods and [*dict.fromkeys((*_ALWAYS_ALLOWED, *cors.methods))],
        "allowHeaders": list(cors.headers),
        "exposeHeaders": list(cors.expose_headers),
    }
    return {
        "allowOrigins": list(cors.origins),
        **{key: values for key, values in lists.items() if values},
        **({"allowCredentials": True} if cors.credentials else {}),
        "maxAge": cors.max_age,
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
    spec: Manifest = {
        "ingressClassName": args.platform.ingress.class_name,
        "rules": [
            {"host": host, "http": {"paths": [_ingress_path(args, public, route.path) for route in public.routes]}}
            for public in args.public_ports
            for host in public.hosts
        ],
    }
    annotations = dict(args.limits.annotations)
    if args.platform.ingress.issuer:
        annotations["cert-manager.io/cluster-issuer"] = args.platform.ingress.issuer
        spec["tls"] = [{"hosts": list(args.hosts), "secretName": tls_name(args.name)}]
    return {"metadata": {**metadata(args), **({"annotations": annotations} if annotations else {})}, "spec": spec}


def _ingress_path(args: SecureServiceArgs, public: PublicPort, path: str) -> Manifest:
    service = _backend(args, public)
    backend = {"service": {"name": service["name"], "port": {"number": service["port"]}}}
    return {"path": path, "pathType": "Prefix", "backend": backend}


def public_url(args: SecureServiceArgs) -> str:
    """The URL of a public service; empty for any other."""
    if not args.public:
        return ""
    return f"{'https' if args.platform.ingress.issuer else 'http'}://{args.hosts[0]}"
