"""Configuration of the Gateway's Envoy beside its routes: TLS versions, limits of each host, a firewall."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, StrictInt

from components.config.ingress import Directive, PinnedModule
from components.kube.manifest import Manifest
from components.kube.names import ENVOY_FILTER_API, EXTENSIONS_API
from components.schema.checked import check_fields
from components.schema.fields import PublicHost

RATE_LIMIT_FILTER = "envoy.filters.http.local_ratelimit"
BUFFER_FILTER = "envoy.filters.http.buffer"
HTTPS_PORT = 443

_TYPES = "type.googleapis.com/envoy.extensions"
_RATE_LIMIT_TYPE = f"{_TYPES}.filters.http.local_ratelimit.v3.LocalRateLimit"
_BUFFER_TYPE = f"{_TYPES}.filters.http.buffer.v3.Buffer"
_CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager"
# More requests than anybody sends in a second.
_ENDLESS = 2**32 - 1
_METADATA, _SERVICE = "gateway", "service"
_OF_SERVICE = {
    "descriptor_key": _SERVICE,
    "source": "ROUTE_ENTRY",
    "metadata_key": {"key": _METADATA, "path": [{"key": _SERVICE}]},
}
_TLS_VERSIONS = {"1.2": "TLSv1_2", "1.3": "TLSv1_3"}


@dataclass(frozen=True)
class HostLimits:
    """The limits of one public host: `requests` in `seconds` at each replica of the gateway, and the bytes of a body.

    0 is no limit. Where several services share the host they are those of one `service`, which has the `routes` with
    these names in Envoy. Raises `FieldError` for what no file may say.
    """

    host: PublicHost
    requests: Annotated[StrictInt, Field(ge=0, le=_ENDLESS)] = 0
    seconds: Annotated[StrictInt, Field(ge=1, le=3600)] = 1
    max_request_bytes: Annotated[StrictInt, Field(ge=0, le=1 << 30)] = 0
    service: str = ""
    routes: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class FirewallArgs:
    """The WASM module of the firewall, `registry/path@sha256:…`, and its Coraza directives."""

    image: PinnedModule
    directives: Annotated[Sequence[Directive], Field(min_length=1)]

    def __post_init__(self) -> None:
        check_fields(self)


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
    return envoy_filter("tls", gateway, [patch])


def limits_filter(gateway: tuple[str, str], limits: Sequence[HostLimits], enforce: bool) -> Manifest | None:
    """The rate and size limits of each host; `None` when no host has one.

    The filter is off for a host without a limit. Without `enforce` a request over the rate is counted and answered.
    https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/local_rate_limit_filter and
    https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/buffer_filter
    """
    shared: dict[str, list[HostLimits]] = {}
    for one in limits:
        if one.service:
            shared.setdefault(one.host, []).append(one)
    hosts = [patch for one in limits if not one.service and (patch := _host_patch(one, enforce))]
    hosts += [patch for host, services in shared.items() for patch in _shared_patches(host, services, enforce)]
    if not hosts:
        return None
    # Each is inserted first, so the last one runs first: a request over the rate is never buffered.
    filters = [
        http_filter(BUFFER_FILTER, {"@type": _BUFFER_TYPE, "max_request_bytes": 1}),
        http_filter(RATE_LIMIT_FILTER, {"@type": _RATE_LIMIT_TYPE, "stat_prefix": "gateway"}),
    ]
    return envoy_filter("limits", gateway, [*(first_filter(filter_config) for filter_config in filters), *hosts])


def http_filter(name: str, config: Manifest) -> Manifest:
    """An HTTP filter that is off except for hosts whose own configuration switches it on."""
    return {"name": name, "disabled": True, "typed_config": config}


def first_filter(filter_config: Manifest) -> Manifest:
    """The patch that puts an HTTP filter before all others."""
    chain = {"filter": {"name": _CONNECTION_MANAGER}}
    return {
        "applyTo": "HTTP_FILTER",
        "match": {"context": "GATEWAY", "listener": {"portNumber": HTTPS_PORT, "filterChain": chain}},
        "patch": {"operation": "INSERT_FIRST", "value": filter_config},
    }


def _host_patch(limits: HostLimits, enforce: bool) -> Manifest | None:
    filter_configs = host_config(limits, enforce)
    return _merge("VIRTUAL_HOST", limits.host, {"typed_per_filter_config": filter_configs}) if filter_configs else None


def _shared_patches(host: str, services: Sequence[HostLimits], enforce: bool) -> list[Manifest]:
    """The limits of services that share a host, so that none of them uses up what another one may have.

    The rates are buckets of the host, one for each service: one of a route would be another for each of its paths. A
    route says in its metadata whose it is, and one without a limited rate takes of the bucket of all others, which
    never ends.
    """
    limited = [service for service in services if service.requests]
    patches: list[Manifest] = []
    if limited:
        rates = {
            **_rate(HostLimits(host, _ENDLESS), enforce),
            "always_consume_default_token_bucket": False,
            "rate_limits": [{"actions": [{"metadata": _OF_SERVICE}]}],
            "descriptors": [
                {"entries": [{"key": _SERVICE, "value": service.service}], "token_bucket": _bucket(service)}
                for service in limited
            ],
        }
        patches.append(_merge("VIRTUAL_HOST", host, {"typed_per_filter_config": {RATE_LIMIT_FILTER: rates}}))
    for service in services:
        sizes = {BUFFER_FILTER: _size(service)} if service.max_request_bytes else {}
        value: Manifest = {"typed_per_filter_config": sizes} if sizes else {}
        if service.requests:
            value["metadata"] = {"filter_metadata": {_METADATA: {_SERVICE: service.service}}}
        if value:
            patches += [_merge("HTTP_ROUTE", host, value, route) for route in service.routes]
    return patches


def _merge(apply_to: str, host: str, value: Manifest, route: str = "") -> Manifest:
    """The patch of a host's configuration, or of one of its routes."""
    matched: Manifest = {"domainName": host, **({"route": {"name": route}} if route else {})}
    return {
        "applyTo": apply_to,
        "match": {"context": "GATEWAY", "routeConfiguration": {"portNumber": HTTPS_PORT, "vhost": matched}},
        "patch": {"operation": "MERGE", "value": value},
    }


def host_config(limits: HostLimits, enforce: bool) -> Manifest:
    """The `typed_per_filter_config` of a host, by filter; empty without a limit."""
    filter_configs: Manifest = {}
    if limits.requests:
        filter_configs[RATE_LIMIT_FILTER] = _rate(limits, enforce)
    if limits.max_request_bytes:
        filter_configs[BUFFER_FILTER] = _size(limits)
    return filter_configs


def _rate(limits: HostLimits, enforce: bool) -> Manifest:
    return {
        "@type": _RATE_LIMIT_TYPE,
        "stat_prefix": "gateway",
        "token_bucket": _bucket(limits),
        "filter_enabled": _runtime_percent("gateway.rate_limit.enabled", 100),
        "filter_enforced": _runtime_percent("gateway.rate_limit.enforced", 100 if enforce else 0),
    }


def _bucket(limits: HostLimits) -> Manifest:
    return {
        "max_tokens": limits.requests,
        "tokens_per_fill": limits.requests,
        "fill_interval": f"{limits.seconds}s",
    }


def _size(limits: HostLimits) -> Manifest:
    return {
        "@type": f"{_TYPES}.filters.http.buffer.v3.BufferPerRoute",
        "buffer": {"max_request_bytes": limits.max_request_bytes},
    }


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


def envoy_filter(name: str, gateway: tuple[str, str], patches: list[Manifest]) -> Manifest:
    """An EnvoyFilter for the Gateway."""
    return {
        "apiVersion": ENVOY_FILTER_API,
        "kind": "EnvoyFilter",
        "metadata": {"name": f"{gateway[0]}-{name}", "namespace": gateway[1]},
        "spec": {"targetRefs": [_target(gateway)], "configPatches": patches},
    }


def _target(gateway: tuple[str, str]) -> Manifest:
    return {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway[0]}
