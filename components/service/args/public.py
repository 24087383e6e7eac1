"""The headers and limits of one public service."""

from collections.abc import Mapping
from typing import Protocol

from components.ingress.terms import PublicLimits, PublicTerms
from components.kube.service_ref import ServiceRef
from components.schema.problem import FieldError
from components.schema.public import MOST_HEADERS, Headers, RateLimit, RequestBytes


class Limited(Protocol):
    """What is public: a service, or a package."""

    @property
    def ref(self) -> ServiceRef:
        """The reference to it, by namespace and name."""
        ...

    @property
    def hosts(self) -> tuple[str, ...]:
        """Its public host names."""
        ...

    @property
    def security_headers(self) -> Headers | None:
        """Its response headers, if it has its own."""
        ...

    @property
    def rate_limit(self) -> RateLimit | None:
        """Its rate of requests, if it has its own."""
        ...

    @property
    def max_request_bytes(self) -> RequestBytes | None:
        """Its largest body, if it has its own."""
        ...


def public_limits(spec: Limited, terms: PublicTerms) -> PublicLimits:
    """The headers and limits of a service: those in its file, and for the rest the defaults of the stack.

    Raises `FieldError` for more headers than a route sets.
    """
    if not spec.hosts:
        return PublicLimits()
    if not terms.on:
        return PublicLimits(annotations=terms.other_annotations)
    headers, requests, seconds = dict(terms.default.headers), terms.default.requests, terms.default.seconds
    if isinstance(spec.security_headers, dict):
        replaced = {name.lower() for name in spec.security_headers}
        headers = {name: text for name, text in headers.items() if name.lower() not in replaced} | spec.security_headers
    elif spec.security_headers == "none":
        headers = {}
    check_headers(headers, spec.ref.key)
    if spec.rate_limit == "none":
        requests = 0
    elif spec.rate_limit is not None:
        requests, seconds = spec.rate_limit.requests, spec.rate_limit.seconds
    size = terms.default.max_request_bytes if spec.max_request_bytes is None else spec.max_request_bytes
    size = 0 if size == "none" else size
    return PublicLimits(headers, requests, seconds, size, _annotations(terms, headers, requests, seconds, size))


def check_headers(headers: Mapping[str, str], owner: str) -> None:
    """Raise `FieldError` for more headers of a service, or of a package, than a route sets."""
    if len(headers) > MOST_HEADERS:
        message = f"{len(headers)} with those of the stack, and a route sets {MOST_HEADERS} at most"
        raise FieldError(f"{owner}.securityHeaders", message)


def _annotations(
    terms: PublicTerms, headers: Mapping[str, str], requests: int, seconds: int, size: int
) -> Mapping[str, str]:
    annotations = dict(terms.other_annotations)
    if headers:
        annotations |= terms.header_annotations
    if requests:
        numbers = {"{requests}": requests, "{seconds}": seconds}
        annotations |= {key: _filled(text, numbers) for key, text in terms.rate_annotations.items()}
    if size:
        annotations |= {key: _filled(text, {"{bytes}": size}) for key, text in terms.size_annotations.items()}
    return annotations


def _filled(text: str, numbers: Mapping[str, int]) -> str:
    # Not `format`, since the value of an annotation may contain other braces.
    for placeholder, number in numbers.items():
        text = text.replace(placeholder, str(number))
    return text
