"""What the Gateway's Envoy does with requests for some paths, where the Gateway API has no stable field for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, StrictInt

from components.ingress.hardening import HTTPS_PORT, envoy_filter, first_filter
from components.kube.manifest import Manifest
from components.schema.checked import check_fields

_UNTAKEN = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
_RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
# A dot segment with a parameter, which some servers take for one without (`/docs/..;/admin`), however it is encoded.
_HIDDEN_SEGMENT = r"(?i).*/(\.|%2e){1,2}(;|%3b).*"


@dataclass(frozen=True)
class RouteRetries:
    """How often the gateway sends the requests of one of its routes again; `route` is its name in Envoy.

    `each` and `backoff` are in seconds, and 0 stands for the gateway's own.
    """

    route: str
    attempts: Annotated[StrictInt, Field(ge=1)]
    codes: Sequence[Annotated[StrictInt, Field(ge=400, le=599)]] = ()
    each: Annotated[StrictInt, Field(ge=0)] = 0
    backoff: Annotated[StrictInt, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        check_fields(self)


def retries_filter(gateway: tuple[str, str], retries: Sequence[RouteRetries]) -> Manifest | None:
    """The retries of routes; `None` without any. Of an HTTPRoute only the experimental channel has a field for them.

    https://gateway-api.sigs.k8s.io/geps/gep-1731/ and
    https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto#config-route-v3-retrypolicy
    """
    return envoy_filter("retries", gateway, [_retried(one) for one in retries]) if retries else None


def _retried(retries: RouteRetries) -> Manifest:
    policy: Manifest = {
        "retry_on": _UNTAKEN,
        "num_retries": retries.attempts,
        "retriable_status_codes": list(retries.codes),
    }
    if retries.each:
        policy["per_try_timeout"] = f"{retries.each}s"
    if retries.backoff:
        policy["retry_back_off"] = {"base_interval": f"{retries.backoff}s"}
    return {
        "applyTo": "HTTP_ROUTE",
        "match": {
            "context": "GATEWAY",
            "routeConfiguration": {"portNumber": HTTPS_PORT, "vhost": {"route": {"name": retries.route}}},
        },
        "patch": {"operation": "MERGE", "value": {"route": {"retry_policy": policy}}},
    }


def hidden_segments_filter(gateway: tuple[str, str]) -> Manifest:
    """Refuse requests whose path the gateway and a service would read differently.

    Envoy resolves `..` and hands `..;` on, which servers of servlets resolve after it has been judged. Where some paths
    need no token, that would lead from these to the others.
    """
    permission = {"url_path": {"path": {"safe_regex": {"regex": _HIDDEN_SEGMENT}}}}
    policy = {"permissions": [permission], "principals": [{"any": True}]}
    denied = {"@type": _RBAC, "rules": {"action": "DENY", "policies": {"hidden-segments": policy}}}
    return envoy_filter(
        "paths", gateway, [first_filter({"name": "zero-trust.hidden-segments", "typed_config": denied})]
    )
