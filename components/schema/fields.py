"""The types of single fields in stack file and service files. Each refuses a wrong value and says what is expected."""

import ipaddress
import re
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, StrictStr

from components.schema.metadata_services import outside_host, outside_metadata
from components.schema.quantity import QUANTITY, amount
from components.schema.reached import REACHED
from components.schema.repeats import IN_ORDER
from components.schema.shape import Shape

# Less than this and runc cannot start a process (https://github.com/kubernetes/kubernetes/issues/102243).
_LEAST_MEMORY = 6 * 2**20
# An int64: https://github.com/kubernetes/apimachinery/blob/v0.36.3/pkg/api/resource/quantity.go
_MOST_BYTES = 2**63
# https://github.com/distribution/reference/blob/v0.6.0/regexp.go
_DOMAIN = r"[A-Za-z0-9](?:[-A-Za-z0-9]*[A-Za-z0-9])?"
_REGISTRY = rf"{_DOMAIN}(?:\.{_DOMAIN})*(?::[0-9]{{1,5}})?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_TAG = "[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}"
_IMAGE = rf"(?P<repository>{_REGISTRY}(?:/{_COMPONENT})+)(?::(?P<tag>{_TAG}))?(?:@(?P<digest>sha256:[0-9a-f]{{64}}))?"
_LONGEST_REPOSITORY = 255
_FILE_NAME = r"[a-z0-9]([-._a-z0-9]{0,61}[a-z0-9])?"
# The API server takes these as the keys of a ConfigMap, but for a name that begins with two dots.
_CONFIG_FILE = r"(?!\.$|\.\.)[-._A-Za-z0-9]{1,253}"
_CORES = r"[0-9]+m|[0-9]+(\.[0-9]{1,3})?"
_QUERY = r"[-A-Za-z0-9/._~!$&'()*+,;=:@%?]*"

DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
"""The pattern of a name in Kubernetes: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names"""
DNS_NAME = rf"({DNS_LABEL}\.)+[a-z]([-a-z0-9]{{0,61}}[a-z0-9])?"
"""The pattern of a host's full name, without its length."""
# https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2
HTTPS_ORIGIN = rf"https://({_DOMAIN}(\.{_DOMAIN})*|\[[0-9A-Fa-f:.]+\])(:[0-9]{{1,5}})?"
"""The pattern of an address up to its path, without credentials."""
URL_PATH = r"(/([-A-Za-z0-9._~!$&'()+,;=:@]|%[0-9A-Fa-f]{2})*)*"
"""The pattern of an address's path, which is empty or begins with a slash; a star would be a wildcard."""
# The gateway's listener is called `https-` and the host: https://gateway-api.sigs.k8s.io/reference/spec/#sectionname
LONGEST_PUBLIC_HOST = 253 - len("https-")
LONGEST_WORD = 131_071
"""The most bytes of an argument, or of a variable with its name: MAX_ARG_STRLEN, less one for the end of the text.

https://man7.org/linux/man-pages/man2/execve.2.html
"""
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
_LABELS = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_OBJECT_NAME = rf"{_LABELS}(\.{_LABELS})*"
_LONGEST_NAME = 253


def object_name(value: str) -> str:
    """A valid name of an object that may have dots. Raises `ValueError`."""
    if len(value) > _LONGEST_NAME or not re.fullmatch(_OBJECT_NAME, value):
        raise ValueError("not a name: lower-case letters, digits, hyphens and dots")
    return value


def _file_name(value: str) -> str:
    if not re.fullmatch(_FILE_NAME, value):
        raise ValueError("not a file name: lower-case letters, digits, dots, hyphens and underscores")
    return value


def _config_file(value: str) -> str:
    if not re.fullmatch(_CONFIG_FILE, value):
        raise ValueError("not a file name: letters, digits, dots, hyphens and underscores, no two dots at its start")
    return value


def _label(value: str) -> str:
    if not re.fullmatch(DNS_LABEL, value):
        raise ValueError("not a DNS label: lower-case letters, digits and hyphens, 63 at most")
    return value


def _host(value: str) -> str:
    if "*" in value:
        raise ValueError("a wildcard host would claim other services' names: write one full host name")
    if len(value) > 253 or not re.fullmatch(DNS_NAME, value):
        raise ValueError("not a host name such as api.example.org")
    return value


def _public(value: str) -> str:
    if value.endswith((".svc", ".cluster.local")):
        raise ValueError("a name of the cluster's own, which nobody outside it finds and no authority signs")
    if len(value) > LONGEST_PUBLIC_HOST:
        raise ValueError(f"longer than {LONGEST_PUBLIC_HOST} characters, which its listener's name leaves")
    return value


def _cidr(value: str) -> str:
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError("not a network such as 10.20.0.0/24") from error
    if network.prefixlen == 0:
        raise ValueError("anywhere is over-broad: name the network that is meant")
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        raise ValueError("an address of IPv4 in another form: write it as one, such as 10.20.0.0/24")
    return str(outside_metadata(network))


def https_address(value: str, pattern: str, message: str) -> str:
    """An address that matches a pattern, to a port that there is. Raises `ValueError` with the message."""
    if not re.fullmatch(pattern, value):
        raise ValueError(message)
    try:
        address = urlsplit(value)
        port = 1 if address.port is None else address.port
    except ValueError as error:
        raise ValueError(message) from error
    if not port:
        raise ValueError("port 0 is none: 1 to 65535")
    outside_host(address.hostname or "")
    return value


def _https(value: str) -> str:
    message = "not an address such as https://vault.example.org:8200 (TLS only, no path, no credentials)"
    return https_address(value, rf"{HTTPS_ORIGIN}/?", message).rstrip("/")


def exact_text(value: str) -> str:
    """A text that stands for itself alone. Raises `ValueError`."""
    if not value.strip() or "*" in value:
        raise ValueError("not one exact value (empty, or a wildcard)")
    return value


def _setting(value: str) -> str:
    if not re.fullmatch(r"[^\s\x00-\x1f\x7f\"\\{}$]+", value):
        raise ValueError("not one word, without quotes, braces and dollar signs")
    return value


def _issuer(value: str) -> str:
    message = "not an https address, as the token's `iss` has it to the letter (TLS only, no wildcard)"
    return https_address(value, rf"{HTTPS_ORIGIN}{URL_PATH}", message)


def _quantity(value: str) -> str:
    if not amount(value):
        raise ValueError("nothing at all: more than 0, such as 250m or 256Mi")
    return value


def is_registry(host: str) -> bool:
    """Whether this is no organisation of the Docker Hub, which has neither a dot nor a port.

    Raises `ValueError` for an address of a metadata service.
    """
    name, colon, port = host.partition(":")
    found = ("." in host or host == "localhost") if not colon else port.isdigit() and 0 < int(port) < 65536
    return found and bool(outside_host(name))


def _registry(value: str) -> str:
    place = _reference(value)
    if ":" in place.rpartition("/")[2] and "/" in place:
        raise ValueError("a place of many images, and a tag is that of one: leave it out")
    return place


def _reference(value: str) -> str:
    place = value.rstrip("/")
    match = re.fullmatch(rf"(?P<host>{_REGISTRY})(?:(?:/{_COMPONENT})+(?::{_TAG})?)?", place)
    host = match["host"] if match else ""
    if not is_registry(host):
        raise ValueError("not a registry or repository such as registry.example.org/team (a host first, no wildcard)")
    if place.lower() in ("docker.io", "index.docker.io", "registry-1.docker.io"):
        raise ValueError("the public Docker Hub is nobody's approved registry: name an organisation below it")
    return place


def image_reference(value: str) -> str:
    """The full name of an image with a fixed tag or a digest. Raises `ValueError`.

    The grammar: https://github.com/distribution/reference/blob/v0.6.0/reference.go
    """
    host, slash, _ = value.partition("/")
    if not slash or not is_registry(host):
        raise ValueError(
            "no registry: an image starts with its registry's host, as registry.example.org/shop/api:v1.2.3"
        )
    match = re.fullmatch(_IMAGE, value)
    if match is None:
        raise ValueError(
            "not the name of an image such as registry.example.org/shop/api:v1.2.3: a path in lower case, a tag of "
            "letters, digits, dots, hyphens and underscores, 128 at most, or @sha256: and 64 hexadecimal digits"
        )
    if len(match["repository"]) > _LONGEST_REPOSITORY:
        raise ValueError(f"longer than {_LONGEST_REPOSITORY} characters before its tag")
    if match["tag"] in (None, "latest") and match["digest"] is None:
        raise ValueError("no fixed version: add a tag other than latest, or a digest")
    return value


def _cores(value: str) -> str:
    if not re.fullmatch(_CORES, value):
        raise ValueError("not a number of cores such as 250m, 1.5 or 2, to a thousandth at most")
    return _quantity(value)


def _bytes(value: str) -> str:
    if _quantity(value)[-1] in "num":
        raise ValueError("a part of a byte: m stands for thousandths, M and Mi for millions")
    if not 1 <= amount(value) < _MOST_BYTES:
        raise ValueError("not 1 byte at least, and less than 8Ei, which is the most that Kubernetes counts")
    return value


def _memory(value: str) -> str:
    if amount(_bytes(value)) < _LEAST_MEMORY:
        raise ValueError("less than 6Mi, with which no container starts")
    return value


def _day(value: object) -> object:
    # pydantic would take seconds since 1970, too, and a time at midnight.
    written = isinstance(value, str) and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", value)
    if not written and (not isinstance(value, date) or isinstance(value, datetime)):
        raise ValueError(A_DAY)
    return value


A_DAY = "a day is expected, such as 2026-12-31"
Day = Annotated[date, BeforeValidator(_day, json_schema_input_type=date)]


def _iso_day(value: str) -> str:
    try:
        day = date.fromisoformat(value)
    except ValueError as error:
        raise ValueError(A_DAY) from error
    return day.isoformat()


IsoDay = Annotated[StrictStr, AfterValidator(_iso_day)]
"""A day as a text, such as 2026-12-31."""
LABEL = AfterValidator(_label)
LABEL_SHAPE = Shape(DNS_LABEL)
Label = Annotated[StrictStr, LABEL, LABEL_SHAPE]
ObjectName = Annotated[StrictStr, AfterValidator(object_name), Shape(_OBJECT_NAME, {"maxLength": _LONGEST_NAME})]
"""The name of an object that may have dots, as those of most kinds: a Secret, a ConfigMap, or a class of storage."""
FileName = Annotated[StrictStr, AfterValidator(_file_name), Shape(_FILE_NAME)]
ConfigFile = Annotated[StrictStr, AfterValidator(_config_file), Shape(_CONFIG_FILE)]
HostName = Annotated[StrictStr, AfterValidator(_host), Shape(DNS_NAME, {"maxLength": 253})]
Cidr = Annotated[StrictStr, AfterValidator(_cidr), REACHED]
ExactText = Annotated[StrictStr, AfterValidator(exact_text), Shape(r"[^*]*[^*\s][^*]*")]
SettingText = Annotated[StrictStr, AfterValidator(_setting)]
"""A word of a configuration file of others, such as the id of a key."""
PublicHost = Annotated[
    HostName,
    AfterValidator(_public),
    Shape(rf"(?!.*\.(?:svc|cluster\.local)$){DNS_NAME}", {"maxLength": LONGEST_PUBLIC_HOST}),
]
HttpsAddress = Annotated[StrictStr, AfterValidator(_https), Shape(f"{HTTPS_ORIGIN}/?"), REACHED]
Issuer = Annotated[StrictStr, AfterValidator(_issuer), Shape(f"{HTTPS_ORIGIN}{URL_PATH}"), REACHED]
"""The issuer of tokens (https://openid.net/specs/openid-connect-core-1_0.html#IDToken); `/` at its end counts."""
Quantity = Annotated[StrictStr, AfterValidator(_quantity), Shape(QUANTITY)]
ImageReference = Annotated[StrictStr, AfterValidator(_reference), REACHED]
"""A registry, a path in one, or an image there with a tag or without."""
Registry = Annotated[StrictStr, AfterValidator(_registry), REACHED]
"""A registry, or a path in one."""
Image = Annotated[
    StrictStr,
    AfterValidator(image_reference),
    Shape(rf"(?!.*:latest$)(?=.*/.*[:@])(?=localhost[:/]|[^/]*[.:]){_IMAGE}"),
    REACHED,
]
Cores = Annotated[StrictStr, AfterValidator(_cores), Shape(_CORES)]
Size = Annotated[StrictStr, AfterValidator(_bytes), Shape(QUANTITY)]
Memory = Annotated[StrictStr, AfterValidator(_memory), Shape(QUANTITY)]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]

DAY_SECONDS = 86400
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_DURATION = "[1-9][0-9]{0,5}[smh]"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_TEXT_IDENTIFIER = "letters, digits and underscores, no digit first, 63 at most"


def identifier(value: str) -> str:
    """A name that an SQL statement reads the same with and without quotes. Raises `ValueError`."""
    if not _IDENTIFIER.fullmatch(value):
        raise ValueError(f"not a name of a database: {_TEXT_IDENTIFIER}")
    return value


def duration(value: str) -> str:
    """A time such as `1h`, `30m` or `90s`. Raises `ValueError`."""
    if not re.fullmatch(_DURATION, value):
        raise ValueError("not a time such as 1h, 30m or 90s")
    return value


def seconds(value: str) -> int:
    """The seconds of a `duration`."""
    return int(value[:-1]) * _SECONDS[value[-1]]


def _absolute(value: str) -> str:
    if not PurePosixPath(value).is_absolute():
        raise ValueError("not an absolute path")
    return value


AbsolutePath = Annotated[StrictStr, AfterValidator(_absolute), Shape(r"/[\s\S]*")]

Duration = Annotated[StrictStr, AfterValidator(duration), Shape(_DURATION)]

Replicas = Annotated[StrictInt, Field(ge=1, le=9)]

Identifier = Annotated[StrictStr, AfterValidator(identifier), Shape(_IDENTIFIER.pattern)]


# What the kubelet and the mesh's agent parse as a path: https://pkg.go.dev/net/url#Parse
_HTTP_PATH = r"/([^\s?#*%\x00-\x1f\x7f]|%[0-9A-Fa-f]{2})*"


def http_path(value: str) -> str:
    """An absolute path without a query. Raises `ValueError`."""
    if not re.fullmatch(_HTTP_PATH, value):
        raise ValueError("not an absolute path such as /healthz")
    return value


HttpPath = Annotated[StrictStr, AfterValidator(http_path), Shape(_HTTP_PATH)]


def _probed_path(value: str) -> str:
    """A path that a probe requests, with a query or without. Raises `ValueError`."""
    path, _, query = value.partition("?")
    http_path(path)
    if not re.fullmatch(_QUERY, query):
        raise ValueError("not a query such as ready=1 behind the path")
    return value


ProbePath = Annotated[StrictStr, AfterValidator(_probed_path), Shape(rf"{_HTTP_PATH}(?:\?{_QUERY})?")]
"""What the kubelet requests: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Probe."""

# The definition of an HTTPRoute, `spec.rules.matches.path`: https://gateway-api.sigs.k8s.io/reference/spec/#httppathmatch
PATH_CHARACTERS = re.compile(r"/(?:[-A-Za-z0-9/._~!$&'()+,;=:@]|%[0-9A-Fa-f]{2})*")
PUBLIC_PATH_LENGTH = 1024
_AMBIGUOUS = re.compile(r"//|/\.\.?(?:/|$)|%2[fF]|%5[cC]")
# Envoy decodes what needs no escape before it compares: https://www.rfc-editor.org/rfc/rfc3986#section-2.3
_NEEDLESS = re.compile("%(?:2[dDeE]|3[0-9]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aAeE])")


def public_path(value: str) -> str:
    """A path prefix that a gateway reads as it is written. Raises `ValueError`."""
    if not PATH_CHARACTERS.fullmatch(value):
        raise ValueError(
            "not an absolute path such as /orders: letters, digits, -._~!$&'()+,;=:@/ and %XX for all else"
        )
    return normal_path(value)


def normal_path(value: str) -> str:
    """A path that is the same after the proxies' normalisation, without which no request has it. Raises `ValueError`.

    https://istio.io/latest/docs/ops/best-practices/security/#customize-your-system-on-path-normalization
    """
    if found := _AMBIGUOUS.search(value):
        raise ValueError(f"{found[0]} in it, which a server may read as another path")
    if found := _NEEDLESS.search(value):
        raise ValueError(f"{found[0]} in it, which arrives as {unquote(found[0])}: write that")
    return value


PublicPath = Annotated[
    StrictStr,
    Field(max_length=PUBLIC_PATH_LENGTH),
    AfterValidator(public_path),
    Shape(rf"(?!.*(?:{_AMBIGUOUS.pattern}|{_NEEDLESS.pattern})){PATH_CHARACTERS.pattern}"),
]


def _word(value: str) -> str:
    if len(value.encode()) > LONGEST_WORD:
        raise ValueError(f"more than {LONGEST_WORD} bytes, which no program gets as one argument")
    return value


Word = Annotated[StrictStr, Field(min_length=1), AfterValidator(_word)]
Words = Annotated[tuple[Word, ...], IN_ORDER]
