"""The mesh's rules for a service: who may call it, by identity, port and request.

https://istio.io/latest/docs/reference/config/security/authorization-policy/
"""

from collections.abc import Sequence

from components.kube.manifest import Manifest
from components.kube.mesh_labels import dry_run_annotation
from components.kube.names import NETWORKING_API, SECURITY_API
from components.kube.service_ref import ServiceRef
from components.mesh.terms import MeshTerms
from components.service.args.network import JwtArgs
from components.service.args.routes import PublicPort
from components.service.args.service import SecureServiceArgs
from components.service.file.public_hosts import below
from components.service.manifests.metadata import metadata
from components.service.manifests.sticky import sticky_ports
from components.service.manifests.vault_inbound import vault_authorization, vault_mtls


def authorization_policy(args: SecureServiceArgs) -> Manifest | None:
    """The AuthorizationPolicy of a service, with a rule for each caller; `None` when nobody may call it.

    Without one the mesh-wide default deny applies.
    """
    rules = [
        *_callers(args),
        *_peers(args),
        *_gateway(args),
        *_scraper(args),
        *_plaintext(args),
        *vault_authorization(args),
    ]
    if args.platform.mesh.authorization == "off" or not rules:
        return None
    spec: Manifest = {"selector": {"matchLabels": args.selector}, "action": "ALLOW", "rules": rules}
    return {"metadata": {**metadata(args), **dry_run_annotation(args.platform.mesh.authorization)}, "spec": spec}


def request_authentication(args: SecureServiceArgs) -> Manifest | None:
    """The RequestAuthentication of a service, which refuses invalid tokens; `None` without `jwt`.

    It lets requests without a token pass: the rule for the gateway demands one, from the gateway only.
    """
    if not uses_jwt(args):
        return None
    rules = [_jwt_rule(token) for token in args.tokens]
    spec: Manifest = {"selector": {"matchLabels": args.selector}, "jwtRules": rules}
    return {"apiVersion": SECURITY_API, "kind": "RequestAuthentication", "metadata": metadata(args), "spec": spec}


def _jwt_rule(jwt: JwtArgs) -> Manifest:
    rule: Manifest = {"issuer": jwt.issuer, "audiences": list(jwt.audiences)}
    rule |= {"jwks": jwt.jwks} if jwt.jwks else {"jwksUri": jwt.jwks_uri}
    return {**rule, "forwardOriginalToken": True} if jwt.forward_token else rule


def uses_jwt(args: SecureServiceArgs) -> bool:
    """Whether requests from outside need a token on this stack."""
    return bool(args.tokens) and args.public and args.platform.mesh.authorization != "off"


def peer_authentication(args: SecureServiceArgs) -> Manifest | None:
    """The PeerAuthentication for plaintext ports and Vault's, which leaves others in the mesh's mode; `None` without.

    https://istio.io/latest/docs/reference/config/security/peer_authentication/
    """
    if not (args.platform.mesh.on and (args.plaintext_ports or vault_mtls(args))):
        return None
    ports = {str(plaintext.port): {"mode": "PERMISSIVE"} for plaintext in args.plaintext_ports} | vault_mtls(args)
    annotations = {
        f"zero-trust.dev/{plaintext.port}": f"until {plaintext.expires}, by {plaintext.owner}: {plaintext.reason}"
        for plaintext in args.plaintext_ports
    }
    return {
        "apiVersion": SECURITY_API,
        "kind": "PeerAuthentication",
        "metadata": {**metadata(args), **({"annotations": annotations} if annotations else {})},
        "spec": {"selector": {"matchLabels": args.selector}, "portLevelMtls": ports},
    }


def destination_rule(args: SecureServiceArgs) -> Manifest | None:
    """The DestinationRule by which callers accept the service's identity alone; `None` without sidecars or a Service.

    It says too which of its pods a client's requests go to, where that matters.
    A proxy would otherwise accept every identity among the endpoints, and send plaintext to one without a proxy. In the
    PERMISSIVE mode it still does, since services move into the mesh there. In the ambient mode the nodes' proxies read
    no DestinationRule: only the policy `service-objects` keeps other pods from the endpoints.
    https://istio.io/latest/docs/reference/config/networking/destination-rule/
    """
    if not args.listens or args.package:
        return None
    service = ServiceRef(args.namespace, args.name)
    rule = identity_rule(args.platform.mesh, service, [service], metadata(args))
    ports = sticky_ports(args)
    if not ports:
        return rule
    # What a port has of its own takes the place of all that the rule says of the others.
    policy: Manifest = rule["spec"]["trafficPolicy"] if rule else {}
    settings = {**policy, "portLevelSettings": [{**policy, **each} for each in ports]}
    return _destination_rule(service, settings, metadata(args))


def identity_rule(
    mesh: MeshTerms, service: ServiceRef, accounts: Sequence[ServiceRef], meta: Manifest
) -> Manifest | None:
    """The DestinationRule by which the callers of a Service accept these service accounts alone."""
    if not (mesh.sidecars and mesh.strict):
        return None
    tls = {"mode": "ISTIO_MUTUAL", "subjectAltNames": [account.identity(mesh.trust_domain) for account in accounts]}
    return _destination_rule(service, {"tls": tls}, meta)


def _destination_rule(service: ServiceRef, policy: Manifest, meta: Manifest) -> Manifest:
    spec: Manifest = {"host": service.host, "trafficPolicy": policy}
    return {"apiVersion": NETWORKING_API, "kind": "DestinationRule", "metadata": meta, "spec": spec}


def _callers(args: SecureServiceArgs) -> list[Manifest]:
    peers = sorted(args.called_by, key=lambda peer: (peer.service, peer.port))
    return [_edge(args, peer.identity, _requests(peer.port, peer.methods, peer.paths)) for peer in peers]


def _peers(args: SecureServiceArgs) -> list[Manifest]:
    ports = [str(port) for port in args.peers]
    return [_edge(args, ServiceRef(args.namespace, args.name), {"ports": ports})] if ports else []


def _requests(port: int, methods: Sequence[str], paths: Sequence[str]) -> Manifest:
    operation: Manifest = {"ports": [str(port)]}
    if methods:
        operation["methods"] = list(methods)
    if paths:
        operation["paths"] = list(paths)
    return operation


def _edge(args: SecureServiceArgs, caller: ServiceRef, operation: Manifest) -> Manifest:
    principal = caller.principal(args.platform.mesh.trust_domain)
    return {"from": [{"source": {"principals": [principal]}}], "to": [{"operation": operation}]}


def _gateway(args: SecureServiceArgs) -> list[Manifest]:
    """The rules for the gateway at each public port: its paths as the service sees them, and the token with `jwt`.

    A token of any of the issuers will do. What needs none is open without one, but for what lies below and needs one.
    """
    rules: list[Manifest] = []
    for public in args.public_ports:
        prefixes = [route.arrives_at for route in public.routes]
        # In the ambient mode the proxy sees no path; only the route restricts paths there.
        all_paths = "/" in prefixes or args.platform.mesh.ambient
        rule = _from_gateway(args, public, [] if all_paths else prefixes)
        needed = [_with_token(rule, token) for token in args.tokens] if uses_jwt(args) else [rule]
        rules += [*needed, *(_without_token(args, public) if uses_jwt(args) else [])]
    return rules


def _from_gateway(args: SecureServiceArgs, public: PublicPort, prefixes: Sequence[str]) -> Manifest:
    paths = [pattern for prefix in prefixes for pattern in _patterns(prefix)]
    ingress = args.platform.ingress
    return _edge(args, ServiceRef(ingress.gateway.namespace, ingress.account), _requests(public.port, (), paths))


def _with_token(rule: Manifest, token: JwtArgs) -> Manifest:
    [source] = rule["from"]
    made = {**rule, "from": [{"source": {**source["source"], "requestPrincipals": [f"{token.issuer}/*"]}}]}
    claims = sorted(token.required_claims.items())
    when = [{"key": f"request.auth.claims[{name}]", "values": list(values)} for name, values in claims]
    return {**made, "when": when} if when else made


def _without_token(args: SecureServiceArgs, public: PublicPort) -> list[Manifest]:
    with_token = [route.arrives_at for route in public.routes if not route.without_token]
    rules: list[Manifest] = []
    for prefix in (route.arrives_at for route in public.routes if route.without_token):
        rule = _from_gateway(args, public, [prefix])
        if prefix == "/":
            del rule["to"][0]["operation"]["paths"]
        if inner := [pattern for other in with_token if below(other, prefix) for pattern in _patterns(other)]:
            rule["to"][0]["operation"]["notPaths"] = inner
        rules.append(rule)
    return rules


def _patterns(path: str) -> tuple[str, str]:
    # The gateway matches whole path segments: /v1 matches /v1/users and not /v10.
    prefix = path.rstrip("/")
    return prefix, f"{prefix}/*"


def _scraper(args: SecureServiceArgs) -> list[Manifest]:
    platform, metrics = args.platform, args.metrics
    if not (metrics.port and platform.mesh.scraper):
        return []
    # In the ambient mode metrics have their own port, so the port is enough to restrict the scraper to them.
    request = ((), ()) if platform.mesh.ambient else (("GET",), (metrics.path,))
    operation = _requests(metrics.port, *request)
    return [_edge(args, platform.mesh.scraper, operation)]


def _plaintext(args: SecureServiceArgs) -> list[Manifest]:
    """The rules for callers without a certificate, which are identified by their networks only."""
    return [
        {
            "from": [{"source": {"ipBlocks": list(plaintext.networks), "notPrincipals": ["*"]}}],
            "to": [{"operation": {"ports": [str(plaintext.port)]}}],
        }
        for plaintext in args.plaintext_ports
    ]
