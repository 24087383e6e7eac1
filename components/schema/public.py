"""The limits of public requests and the headers of their answers: rate, size, cipher suites, headers."""

import re
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, StrictInt, StrictStr

from components.schema.shape import Shape
from components.schema.typed_file import IS_NONE, IS_VALUE, NONE_OR_VALUE, TypedFile

MOST_HEADERS = 16
"""The most headers that a filter of an HTTPRoute sets: https://gateway-api.sigs.k8s.io/reference/spec/#httpheaderfilter"""
# One is for HSTS.
_MAX_HEADERS = MOST_HEADERS - 1
# https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1, and what frames a body.
_OF_THE_CONNECTION = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "host"),
        *("content-length", "content-encoding", "content-range", "content-type"),
    }
)


_HEADER = r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}"


def _header_name(value: str) -> str:
    if not re.fullmatch(_HEADER, value):
        raise ValueError("not the name of a header such as X-Frame-Options")
    return value


def _answered_name(value: str) -> str:
    if value.lower() in _OF_THE_CONNECTION:
        raise ValueError("it says how the answer is sent, which is the gateway's to say")
    return value


def _header_value(value: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]{0,4094}[\x21-\x7e])?", value):
        raise ValueError("not the value of a header: printable ASCII, without a space at either end")
    return value


def _headers(value: dict[str, str]) -> dict[str, str]:
    names = [name.lower() for name in value]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)} stands there twice: names of headers have no case")
    if len(names) > _MAX_HEADERS:
        raise ValueError(f"{len(names)} headers; {_MAX_HEADERS} at most")
    return value


HeaderName = Annotated[StrictStr, AfterValidator(_header_name), Shape(_HEADER)]
AnswerHeader = Annotated[HeaderName, AfterValidator(_answered_name)]
HeaderValue = Annotated[StrictStr, AfterValidator(_header_value)]
Nothing = Annotated[Literal["none"], IS_NONE]
Headers = Annotated[
    Nothing | Annotated[dict[AnswerHeader, HeaderValue], AfterValidator(_headers), IS_VALUE], NONE_OR_VALUE
]
RequestBytes = Annotated[Nothing | Annotated[StrictInt, Field(ge=1, le=1 << 30), IS_VALUE], NONE_OR_VALUE]


class RateLimitSpec(TypedFile):
    """The number of requests that a host answers in a time; more get 429. Each replica of the gateway counts alone."""

    requests: Annotated[StrictInt, Field(ge=1, le=1_000_000)]
    """So many are answered."""
    per: Literal["second", "minute", "hour"] = "second"
    """The time in which they are."""

    @property
    def seconds(self) -> int:
        """The time, in seconds."""
        return {"second": 1, "minute": 60, "hour": 3600}[self.per]


RateLimit = Annotated[Nothing | Annotated[RateLimitSpec, IS_VALUE], NONE_OR_VALUE]

CipherSuite = Literal[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
]
CIPHER_SUITES: tuple[CipherSuite, ...] = get_args(CipherSuite)

# The settings of every public service, by the names that a service file may override them with.
ROUTE_SETTINGS = {"headers": "security_headers", "rate_limit": "rate_limit", "max_request_bytes": "max_request_bytes"}
