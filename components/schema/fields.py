"""The types of single fields in stack file and service files. Each refuses a wrong value and says what is expected."""

import ipaddress
import re
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field, StrictInt, StrictStr

from components.schema.quantity import amount

# Less than this and runc cannot start a process (https://github.com/kubernetes/kubernetes/issues/102243).
_LEAST_MEMORY = 6 * 2**20
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"[A-Za-z0-9.-]+(?::[0-9]{{1,5}})?(?:/{_COMPONENT})+(?::(?P<tag>\w[\w.-]{{0,127}}))?(?:@(?P<digest>sha256:[0-9a-f]{{64}}))?",
    re.ASCII,
)

DNS_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
"""The pattern of a name in Kubernetes: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names"""
DNS_NAME = rf"({DNS_LABEL}\.)+[a-z]([-a-z0-9]*[a-z0-9])?"
"""The pattern of a host's full name, without its length."""
METADATA_ADDRESS = ipaddress.ip_address("169.254.169.254")


def _file_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([-._a-z0-9]{0,61}[a-z0-9])?", value):
        raise ValueError("not a file name: lower-case letters, digits, dots, hyphens and underscores")
    return value


def _config_file(value: str) -> str:
    # The API server takes these as the keys of a ConfigMap, but for a name that begins with two dots.
    if not re.fullmatch(r"[-._A-Za-z0-9]{1,253}", value) or value == "." or value.startswith(".."):
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


def _cidr(value: str) -> str:
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError("not a network such as 10.20.0.0/24") from error
    if network.prefixlen == 0:
        raise ValueError("anywhere is over-broad: name the network that is meant")
    if METADATA_ADDRESS in network:
        raise ValueError("it holds the metadata address 169.254.169.254, which hands out the node's identity")
    return str(network)


def _https(value: str) -> str:
    if not re.fullmatch(r"https://[^\s/@?#]+(:\d{1,5})?/?", value):
        raise ValueError("not an address such as https://vault.example.org:8200 (TLS only, no path, no credentials)")
    return value.rstrip("/")


def _quantity(value: str) -> str:
    if not amount(value):
        raise ValueError("nothing at all: more than 0, such as 250m or 256Mi")
    return value


def _reference(value: str) -> str:
    if re.search(r"[*\s@]|://", value) or not re.match(r"(localhost|[^/]*[.:][^/]*)(/|$)", value):
        raise ValueError("not a registry or repository such as registry.example.org/team (a host first, no wildcard)")
    if value.rstrip("/") in ("docker.io", "index.docker.io", "registry-1.docker.io"):
        raise ValueError("the public Docker Hub is nobody's approved registry: name an organisation below it")
    return value.rstrip("/")


def image_reference(value: str) -> str:
    """The full name of an image with a fixed tag or a digest. Raises `ValueError`.

    The grammar: https://github.com/distribution/reference/blob/v0.6.0/reference.go
    """
    host, slash, _ = value.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        raise ValueError(
            "no registry: an image starts with its registry's host, as registry.example.org/shop/api:v1.2.3"
        )
    match = _IMAGE.fullmatch(value)
    if match is None:
        raise ValueError(
            "not the name of an image such as registry.example.org/shop/api:v1.2.3: a path in lower case, a tag of "
            "letters, digits, dots, hyphens and underscores, 128 at most, or @sha256: and 64 hexadecimal digits"
        )
    if match["tag"] in (None, "latest") and match["digest"] is None:
        raise ValueError("no fixed version: add a tag other than latest, or a digest")
    return value


def _cores(value: str) -> str:
    if not re.fullmatch(r"[0-9]+m|[0-9]+(\.[0-9]{1,3})?", value):
        raise ValueError("not a number of cores such as 250m, 1.5 or 2, to a thousandth at most")
    return _quantity(value)


def _bytes(value: str) -> str:
    if _quantity(value)[-1] in "num":
        raise ValueError("a part of a byte: m stands for thousandths, M and Mi for millions")
    return value


def _memory(value: str) -> str:
    if amount(_bytes(value)) < _LEAST_MEMORY:
        raise ValueError("less than 6Mi, with which no container starts")
    return value


LABEL = AfterValidator(_label)
Label = Annotated[StrictStr, LABEL]
FileName = Annotated[StrictStr, AfterValidator(_file_name)]
ConfigFile = Annotated[StrictStr, AfterValidator(_config_file)]
HostName = Annotated[StrictStr, AfterValidator(_host)]
Cidr = Annotated[StrictStr, AfterValidator(_cidr)]
HttpsAddress = Annotated[StrictStr, AfterValidator(_https)]
Quantity = Annotated[StrictStr, AfterValidator(_quantity)]
ImageReference = Annotated[StrictStr, AfterValidator(_reference)]
Image = Annotated[StrictStr, AfterValidator(image_reference)]
Cores = Annotated[StrictStr, AfterValidator(_cores)]
Size = Annotated[StrictStr, AfterValidator(_bytes)]
Memory = Annotated[StrictStr, AfterValidator(_memory)]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]

DAY_SECONDS = 86400
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_TEXT_IDENTIFIER = "letters, digits and underscores, no digit first, 63 at most"


def identifier(value: str) -> str:
    """A name that an SQL statement reads the same with and without quotes. Raises `ValueError`."""
    if not _IDENTIFIER.fullmatch(value):
        raise ValueError(f"not a name of a database: {_TEXT_IDENTIFIER}")
    return value


def duration(value: str) -> str:
    """A time such as `1h`, `30m` or `90s`. Raises `ValueError`."""
    if not re.fullmatch(r"[1-9]\d{0,5}[smh]", value):
        raise ValueError("not a time such as 1h, 30m or 90s")
    return value


def seconds(value: str) -> int:
    """The seconds of a `duration`."""
    return int(value[:-1]) * _SECONDS[value[-1]]


def _absolute(value: str) -> str:
    if not PurePosixPath(value).is_absolute():
        raise ValueError("not an absolute path")
    return value


AbsolutePath = Annotated[StrictStr, AfterValidator(_absolute)]

Duration = Annotated[StrictStr, AfterValidator(duration)]

Replicas = Annotated[StrictInt, Field(ge=1, le=9)]

Identifier = Annotated[StrictStr, AfterValidator(identifier)]


def http_path(value: str) -> str:
    """An absolute path without a query. Raises `ValueError`."""
    if not re.fullmatch(r"/[^\s?#*]*", value):
        raise ValueError("not an absolute path such as /healthz")
    return value


HttpPath = Annotated[StrictStr, AfterValidator(http_path)]


def _probed_path(value: str) -> str:
    """A path that a probe requests, with a query or without. Raises `ValueError`."""
    path, _, query = value.partition("?")
    http_path(path)
    if not re.fullmatch(r"[-A-Za-z0-9/._~!$&'()*+,;=:@%?]*", query):
        raise ValueError("not a query such as ready=1 behind the path")
    return value


ProbePath = Annotated[StrictStr, AfterValidator(_probed_path)]
"""What the kubelet requests: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Probe."""

# The definition of an HTTPRoute, `spec.rules.matches.path`: https://gateway-api.sigs.k8s.io/reference/spec/#httppathmatch
_PUBLIC_PATH = re.compile(r"/(?:[-A-Za-z0-9/._~!$&'()+,;=:@]|%[0-9A-Fa-f]{2})*")
PUBLIC_PATH_LENGTH = 1024
_AMBIGUOUS = re.compile(r"//|/\.\.?(?:/|$)|%2[fF]")


def public_path(value: str) -> str:
    """A path prefix that a gateway reads as it is written. Raises `ValueError`."""
    if not _PUBLIC_PATH.fullmatch(value):
        raise ValueError(
            "not an absolute path such as /orders: letters, digits, -._~!$&'()+,;=:@/ and %XX for all else"
        )
    if found := _AMBIGUOUS.search(value):
        raise ValueError(f"{found[0]} in it, which a server may read as another path")
    return value


PublicPath = Annotated[StrictStr, Field(max_length=PUBLIC_PATH_LENGTH), AfterValidator(public_path)]

Word = Annotated[StrictStr, Field(min_length=1)]
Words = tuple[Word, ...]
