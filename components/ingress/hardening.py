"""Configuration of the Gateway's Envoy beside its routes: TLS versions, limits of each host, a firewall."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.kube.manifest import Manifest
from components.kube.names import ENVOY_FILTER_API, EXTENSIONS_API
from components.schema.problem import FieldError

RATE_LIMIT_FILTER = "envoy.filters.http.local_ratelimit"
BUFFER_FILTER = "envoy.filters.http.buffer"
HTTPS_PORT = 443

_TYPES = "type.googleapis.com/envoy.extensions"
_RATE_LIMIT_TYPE = f"{_TYPES}.filters.http.local_ratelimit.v3.LocalRateLimit"
_BUFFER_TYPE = f"{_TYPES}.filters.http.buffer.v3.Buffer"
_CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager"
_TLS_VERSIONS = {"1.2": "TLSv1_2", "1.3": "TLSv1_3"}


@dataclass(frozen=True)
class HostLimits:
    """The limits of one public host: `requests` in `seconds` at each replica of the gateway, and the bytes of a body.

    0 is no limit. Raises `FieldError` for a negative number.
    """

    host: str
    requests: int = 0
    seconds: int = 1
    max_request_bytes: int = 0

    def __post_init__(self) -> None:
        if min(self.requests, self.max_request_bytes) < 0 or self.seconds < 1:
            raise FieldError("limits", f"{self.host} has a negative limit, or one in no time")


@dataclass(frozen=True)
class FirewallArgs:
    """The WASM module of the firewall, `registry/path@sha256:…`, and its Coraza directives."""

    image: str
    directives: Sequence[str]


def tls_filter(gateway: tuple[str, str], min_version: str) -> Manifest:
    """The lowest TLS version of every host, as an EnvoyFilter: the Gateway API has no field for it.

    https://istio.io/latest/docs/reference/config/networking/envoy-filter/
    """
    parameters = {"tls_minimum_protocol_version": _TLS_VERSIONS[min_version]}
    context = {
        "@type": f"{_TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"tls_params": parameters},
    }
    socket = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    patch = {
        "applyTo": "FILTER_CHAIN",
        "match": {"context": "GATEWAY", "listener": {"portNumber": HTTPS_PORT}},
        "patch": {"operation": "MERGE", "value": {"transport_socket": socket}},
    }
    return _envoy_filter("tls", gateway, [patch])


def limits_filter(gateway: tuple[str, str], limits: Sequence[HostLimits], enforce: bool) -> Manifest | None:
    """The rate and size limits of each host; `None` when no host has one.

    The filter is off for a host without a limit. Without `enforce` a request over the rate is counted and answered.
    https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/local_rate_limit_filter and
    https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/buffer_filter
    """
    hosts = [patch for host in limits if (patch := _host_patch(host, enforce))]
    if not hosts:
        return None
    # Each is inserted first, so the last one runs first: a request over the rate is never buffered.
    filters = [
        http_filter(BUFFER_FILTER, {"@type": _BUFFER_TYPE, "max_request_bytes": 1}),
        http_filter(RATE_LIMIT_FILTER, {"@type": _RATE_LIMIT_TYPE, "stat_prefix": "gateway"}),
    ]
    return _envoy_filter("limits", gateway, [*(_insert(filter_config) for filter_config in filters), *hosts])


def http_filter(name: str, config: Manifest) -> Manifest:
    """An HTTP filter that is off except for hosts whose own configuration switches it on."""
    return {"name": name, "disabled": True, "typed_config": config}


def _insert(filter_config: Manifest) -> Manifest:
    chain = {"filter": {"name": _CONNECTION_MANAGER}}
    return {
        "applyTo": "HTTP_FILTER",
        "match": {"context": "GATEWAY", "listener": {"portNumber": HTTPS_PORT, "filterChain": chain}},
        "patch": {"operation": "INSERT_FIRST", "value": filter_config},
    }


def _host_patch(limits: HostLimits, enforce: bool) -> Manifest | None:
    filter_configs = host_config(limits, enforce)
    if not filter_configs:
        return None
    return {
        "applyTo": "VIRTUAL_HOST",
        "match": {
            "context": "GATEWAY",
            "routeConfiguration": {"portNumber": HTTPS_PORT, "vhost": {"domainName": limits.host}},
        },
        "patch": {"operation": "MERGE", "value": {"typed_per_filter_config": filter_configs}},
    }


def host_config(limits: HostLimits, enforce: bool) -> Manifest:
    """The `typed_per_filter_config` of a host, by filter; empty without a limit."""
    filter_configs: Manifest = {}
    if limits.requests:
        filter_configs[RATE_LIMIT_FILTER] = {
            "@type": _RATE_LIMIT_TYPE,
            "stat_prefix": "gateway",
            "token_bucket": {
                "max_tokens": limits.requests,
                "tokens_per_fill": limits.requests,
                "fill_interval": f"{limits.seconds}s",
            },
            "filter_enabled": _runtime_percent("gateway.rate_limit.enabled", 100),
            "filter_enforced": _runtime_percent("gateway.rate_limit.enforced", 100 if enforce else 0),
        }
    if limits.max_request_bytes:
        filter_configs[BUFFER_FILTER] = {
            "@type": f"{_TYPES}.filters.http.buffer.v3.BufferPerRoute",
            "buffer": {"max_request_bytes": limits.max_request_bytes},
        }
    return filter_configs


def _runtime_percent(runtime_key: str, percent: int) -> Manifest:
    return {"runtime_key": runtime_key, "default_value": {"numerator": percent, "denominator": "HUNDRED"}}


def firewall(gateway: tuple[str, str], args: FirewallArgs, enforce: bool) -> Manifest:
    """The firewall for every host (https://istio.io/latest/docs/reference/config/proxy_extensions/wasm-plugin/).

    Without `enforce` it only logs what it detects, and a module that cannot be loaded blocks nothing.
    """
    engine = f"SecRuleEngine {'On' if enforce else 'DetectionOnly'}"
    return {
        "apiVersion": EXTENSIONS_API,
        "kind": "WasmPlugin",
        "metadata": {"name": "firewall", "namespace": gateway[1]},
        "spec": {
            "targetRefs": [_target(gateway)],
            "url": f"oci://{args.image}",
            "sha256": args.image.rpartition(":")[2],
            "imagePullPolicy": "IfNotPresent",
            "phase": "AUTHN",
            "failStrategy": "FAIL_CLOSE" if enforce else "FAIL_OPEN",
            "pluginConfig": {
                "default_directives": "default",
                "directives_map": {"default": [*args.directives, engine]},
            },
        },
    }


def _envoy_filter(name: str, gateway: tuple[str, str], patches: list[Manifest]) -> Manifest:
    return {
        "apiVersion": ENVOY_FILTER_API,
        "kind": "EnvoyFilter",
        "metadata": {"name": f"{gateway[0]}-{name}", "namespace": gateway[1]},
        "spec": {"targetRefs": [_target(gateway)], "configPatches": patches},
    }


def _target(gateway: tuple[str, str]) -> Manifest:
    return {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway[0]}
