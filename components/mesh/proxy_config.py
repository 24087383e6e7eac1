"""What a configuration of proxies may say: the settings with which the rules refuse every pod that has such a proxy.

The mesh has one as `meshConfig.defaultConfig`, a pod as the annotation `proxy.istio.io/config`, a namespace as an
object `ProxyConfig`. https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#ProxyConfig
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

METADATA = re.compile(r"SECRET_TTL|ISTIO_META_[A-Z0-9_]+")
"""The variables that the platform's proxy may have beside those of Istio's chart."""
_PROGRAMS = ("binarypath", "configpath", "customconfigfile", "proxybootstraptemplatepath")
# The injector leaves out what is the default.
_DEFAULTS = ("/usr/local/bin/envoy", "/etc/istio/proxy")
_TPROXY, _NONE = ("TPROXY", "1"), ("NONE", "2")
# What JSON would escape, or the kubelet expand: the rules read the text of the configuration.
_UNREAD = re.compile(r"[$][(]|[^ !#-\[\]-~]")


def plain_keys(config: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """The keys as they are written, and the values, by a name that `binaryPath` and `binary_path` share."""
    return {str(key).replace("_", "").lower(): (str(key), value) for key, value in config.items()}


def refused_settings(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The keys with which the rules refuse the pods of a proxy, each with the reason."""
    keys = plain_keys(config)
    for program, value in (keys[key] for key in _PROGRAMS if key in keys):
        if value not in _DEFAULTS:
            yield program, "gives its pods another program as proxy"
    key, metadata = keys.get("proxymetadata", ("", None))
    for variable in cast("Mapping[str, Any]", metadata) if isinstance(metadata, Mapping) else ():
        if not METADATA.fullmatch(str(variable)):
            yield str(variable), "is a variable that the platform's proxy does not have"
    key, mode = keys.get("interceptionmode", ("", ""))
    if str(mode).upper() in _TPROXY:
        yield key, f"is {mode}, for which a proxy is root and has the capability NET_ADMIN"
    for key, value in keys.values():
        if unread := next((text for text in _texts(value) if _UNREAD.search(text)), None):
            yield key, f"has a text with a sign that the rules do not read, {unread[:20]!r}"


def is_past_the_proxy(config: Mapping[str, Any]) -> bool:
    """Whether nothing redirects the pods of a proxy through it."""
    return str(plain_keys(config).get("interceptionmode", ("", ""))[1]).upper() in _NONE


def image_type(config: Mapping[str, Any]) -> str:
    """The type of the proxy's image; empty for that of the mesh."""
    _, image = plain_keys(config).get("image", ("", None))
    written = plain_keys(cast("Mapping[str, Any]", image)) if isinstance(image, Mapping) else {}
    return str(written.get("imagetype", ("", ""))[1] or "")


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in cast("Mapping[object, object]", value).items():
            yield str(key)
            yield from _texts(inner)
    elif isinstance(value, Sequence):
        for inner in cast("Sequence[object]", value):
            yield from _texts(inner)
