"""Who may call a service, by identity, port and request: its rules in the mesh.

https://istio.io/latest/docs/reference/config/security/authorization-policy/
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from components.mesh_metadata import SECURITY_API, dry_run_annotation
from components.service_args import SecureServiceArgs, metadata

# A manifest is open: its schema is the API server's.
Manifest: TypeAlias = dict[str, Any]


def principal(trust_domain: str, namespace: str, account: str) -> str:
    """A workload's identity in the mesh, as an AuthorizationPolicy names it."""
    return f"{trust_domain}/ns/{namespace}/sa/{account}"


def authorization_policy(args: SecureServiceArgs) -> Manifest | None:
    """The ALLOW of a service, one rule for each edge; `None` when nobody may call it.

    Without an ALLOW the mesh's default deny holds.
    """
    rules = [*_callers(args), *_door(args), *_scraper(args), *_clear_text(args)]
    if args.platform.authorization == "off" or not rules:
        return None
    spec: Manifest = {"selector": {"matchLabels": args.selector}, "action": "ALLOW", "rules": rules}
    return {"metadata": {**metadata(args), **dry_run_annotation(args.platform.authorization)}, "spec": spec}


def request_authentication(args: SecureServiceArgs) -> Manifest | None:
    """What makes a token's claims known to the rules, and a wrong token an error; `None` without one.

    A request without a token passes it: only the rule of the public door asks for one.
    """
    if not uses_jwt(args):
        return None
    jwt = args.jwt
    rule: Manifest = {"issuer": jwt.issuer, "audiences": list(jwt.audiences)}
    rule |= {"jwks": jwt.jwks} if jwt.jwks else {"jwksUri": jwt.jwks_uri}
    if jwt.forward_token:
        rule["forwardOriginalToken"] = True
    spec: Manifest = {"selector": {"matchLabels": args.selector}, "jwtRules": [rule]}
    return {"apiVersion": SECURITY_API, "kind": "RequestAuthentication", "metadata": metadata(args), "spec": spec}


def uses_jwt(args: SecureServiceArgs) -> bool:
    """Whether requests from outside need a token on this stack."""
    return bool(args.jwt.issuer) and args.public and args.platform.authorization != "off"


def peer_authentication(args: SecureServiceArgs) -> Manifest | None:
    """The ports that take connections without a certificate; every other one keeps to the mesh's mode.

    https://istio.io/latest/docs/reference/config/security/peer_authentication/
    """
    if not (args.platform.mesh and args.plaintext_ports):
        return None
    ports = {str(clear.port): {"mode": "PERMISSIVE"} for clear in args.plaintext_ports}
    annotations = {
        f"zero-trust.dev/{clear.port}": f"until {clear.expires}, by {clear.owner}: {clear.reason}"
        for clear in args.plaintext_ports
    }
    return {
        "apiVersion": SECURITY_API,
        "kind": "PeerAuthentication",
        "metadata": {**metadata(args), "annotations": annotations},
        "spec": {"selector": {"matchLabels": args.selector}, "portLevelMtls": ports},
    }


def _callers(args: SecureServiceArgs) -> list[Manifest]:
    peers = sorted(args.called_by, key=lambda peer: (peer.namespace, peer.name))
    return [_edge(args, peer.namespace, peer.name, _requests(args.port, peer.methods, peer.paths)) for peer in peers]


def _requests(port: int, methods: Sequence[str], paths: Sequence[str]) -> Manifest:
    operation: Manifest = {"ports": [str(port)]}
    if methods:
        operation["methods"] = list(methods)
    if paths:
        operation["paths"] = list(paths)
    return operation


def _edge(args: SecureServiceArgs, namespace: str, account: str, operation: Manifest) -> Manifest:
    name = principal(args.platform.trust_domain, namespace, account)
    return {"from": [{"source": {"principals": [name]}}], "to": [{"operation": operation}]}


def _door(args: SecureServiceArgs) -> list[Manifest]:
    """The rule of the gateway: the public paths, and the end user's token where the service asks for one."""
    if not args.public:
        return []
    # A node's proxy reads no path: the route alone holds the door to these there.
    every = "/" in args.paths or args.platform.ambient
    paths: list[str] = [] if every else [found for path in args.paths for found in _below(path)]
    operation = _requests(args.port, (), paths)
    rule = _edge(args, args.platform.gateway_namespace, args.platform.gateway_account, operation)
    if uses_jwt(args):
        rule["from"][0]["source"]["requestPrincipals"] = [f"{args.jwt.issuer}/*"]
        claims = sorted(args.jwt.required_claims.items())
        if when := [{"key": f"request.auth.claims[{name}]", "values": list(values)} for name, values in claims]:
            rule["when"] = when
    return [rule]


def _below(path: str) -> tuple[str, str]:
    # The door's prefixes end at a slash: /v1 holds /v1/users and not /v10.
    prefix = path.rstrip("/")
    return prefix, f"{prefix}/*"


def _scraper(args: SecureServiceArgs) -> list[Manifest]:
    platform, metrics = args.platform, args.metrics
    if not (metrics.port and platform.scraper_account):
        return []
    # On a port of their own there is nothing else that a node's proxy would have to tell them from.
    request = ((), ()) if platform.ambient else (("GET",), (metrics.path,))
    operation = _requests(metrics.port, *request)
    return [_edge(args, platform.scraper_namespace, platform.scraper_account, operation)]


def _clear_text(args: SecureServiceArgs) -> list[Manifest]:
    """The rules of callers without a certificate, who are known by their network alone."""
    return [
        {
            "from": [{"source": {"ipBlocks": list(clear.networks), "notPrincipals": ["*"]}}],
            "to": [{"operation": {"ports": [str(clear.port)]}}],
        }
        for clear in args.plaintext_ports
    ]
