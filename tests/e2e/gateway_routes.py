"""Services that share a public host, and what the gateway does with the requests for each of their paths."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.mesh_pods import Answer, Workload
from tests.e2e.signed_tokens import TokenIssuer

HOST = "api.example.org"
OWNER, GUEST = "shop/api", "bank/ledger"
PAGE, OTHER_PAGE = "https://shop.example.org", "https://evil.example.org"
LOGIN, PARTNER = TokenIssuer("https://login.example.org"), TokenIssuer("https://id.example.org")
GUEST_REQUESTS = 5
COOKIE = "seat"
_SMALL = {"team": "commerce", "port": 8080, "replicas": 1, "host": HOST}
_CORS = {"origins": [PAGE], "methods": ["PUT"], "headers": ["Authorization"], "credentials": True}

CATALOG: dict[str, Any] = {
    **_SMALL,
    "namespace": "shop",
    "image": "registry.example.org/shop/catalog:v1",
    "rateLimit": "none",
    "jwt": [LOGIN.jwt(requiredClaims={"role": ["buyer"]}), PARTNER.jwt()],
    "paths": [
        {"path": "/catalog", "rewrite": "/", "cors": _CORS},
        {"path": "/moved", "rewrite": "/items/new"},
        {"path": "/slow", "timeout": "1s"},
        {"path": "/flaky", "retries": {"attempts": 2, "codes": [503]}},
        {"path": "/docs", "token": "none"},
        "/docs/private",
    ],
}
LEDGER: dict[str, Any] = {
    **_SMALL,
    "namespace": "bank",
    "image": "registry.example.org/bank/ledger:v1",
    "hostOwner": OWNER,
    "paths": ["/accounts", "/statements"],
    "rateLimit": {"requests": GUEST_REQUESTS, "per": "hour"},
}
LENT = {GUEST: ["/accounts", "/statements"]}


def write_services(services: Path) -> None:
    """Write the files of both beside that of the owner, who agrees to the guest."""
    for name, file in (("catalog", CATALOG), ("ledger", LEDGER)):
        (services / f"{name}.yaml").write_text(yaml.safe_dump(file))
    with (services / "api.yaml").open("a") as owner:
        owner.write(yaml.safe_dump({"hostUsers": LENT, "sticky": {"cookie": COOKIE}}))


@dataclass(frozen=True)
class Client:
    """Somebody on the internet, who may have a token."""

    outside: Workload
    gateway: str
    trust: ssl.SSLContext
    own: Mapping[str, str] = field(default_factory=dict[str, str])

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """The answer to a request to the host."""
        sent = {**self.own, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.outside.ask(method, self.gateway, 443, path, HOST, self.trust, sent)

    def seen(self, path: str, method: str = "GET") -> str:
        """The request as the service got it; its status where no service did."""
        answer = self.ask(path, method)
        return answer.headers.get("x-asked", str(answer.status))

    def preflight(self, path: str, origin: str) -> Answer:
        """What a browser asks before a page's script may send a PUT with a token."""
        wanted = {"Access_Control_Request_Method": "PUT", "Access_Control_Request_Headers": "authorization"}
        return self.ask(path, "OPTIONS", Origin=origin, **wanted)

    def with_token(self, issuer: TokenIssuer, **claims: Any) -> "Client":
        """The same client, with a token of an issuer."""
        return Client(self.outside, self.gateway, self.trust, issuer.authorization(**claims))


def served_by(answer: Answer) -> str:
    """The service that answered, by the certificate that the gateway saw."""
    identity = answer.body.partition("By=spiffe://cluster.local/ns/")[2].partition(";")[0]
    return identity.replace("/sa/", "/")


def claim(kind: str, *paths: str, path_type: str = "PathPrefix") -> dict[str, Any]:
    """A route of somebody in the guest's namespace, for paths of the shared host; without any it is for all."""
    matches = [{"path": {"type": path_type, "value": path}} for path in paths]
    if kind == "GRPCRoute":
        matches = [{"method": {"service": path.strip("/")}} for path in paths]
    rule = {"backendRefs": [{"name": "ledger", "port": 8080}], **({"matches": matches} if matches else {})}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": "claim"},
        "spec": {
            "parentRefs": [{"name": "public", "namespace": "istio-ingress"}],
            "hostnames": [HOST],
            "rules": [rule],
        },
    }
