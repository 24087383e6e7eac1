"""What the door asks of a public service: headers of its answers, how many requests, and how large."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.service_spec import ServiceSpec

HSTS = "Strict-Transport-Security"


@dataclass(frozen=True)
class DoorArgs:
    """How the door treats one service, or what it asks of each one that says nothing; nothing and 0: no limit.

    `requests` are those of `seconds`. `annotations` are the same in the words of a class of Ingress.
    """

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    requests: int = 0
    seconds: int = 1
    max_request_bytes: int = 0
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class DoorTerms:
    """What a stack asks of its public services: the default, and how its class of Ingress says each part."""

    default: DoorArgs = field(default_factory=DoorArgs)
    header_annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    rate_annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    size_annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    other_annotations: Mapping[str, str] = field(default_factory=dict[str, str])
    asked: bool = True
    """Whether the posture asks anything; what a service's file says is no more than that."""


def service_door(spec: ServiceSpec, terms: DoorTerms) -> DoorArgs:
    """What the door asks of this service: the stack's terms, and its own where it wrote some."""
    if not spec.hosts:
        return DoorArgs()
    if not terms.asked:
        return DoorArgs(annotations=terms.other_annotations)
    headers, requests, seconds = dict(terms.default.headers), terms.default.requests, terms.default.seconds
    if isinstance(spec.security_headers, dict):
        own = {name.lower() for name in spec.security_headers}
        headers = {name: text for name, text in headers.items() if name.lower() not in own} | spec.security_headers
    elif spec.security_headers == "none":
        headers = {}
    if spec.rate_limit == "none":
        requests = 0
    elif spec.rate_limit is not None:
        requests, seconds = spec.rate_limit.requests, spec.rate_limit.seconds
    size = terms.default.max_request_bytes if spec.max_request_bytes is None else spec.max_request_bytes
    size = 0 if size == "none" else size
    return DoorArgs(headers, requests, seconds, size, _annotations(terms, headers, requests, seconds, size))


def _annotations(
    terms: DoorTerms, headers: Mapping[str, str], requests: int, seconds: int, size: int
) -> Mapping[str, str]:
    said = dict(terms.other_annotations)
    if headers:
        said |= terms.header_annotations
    if requests:
        numbers = {"{requests}": requests, "{seconds}": seconds}
        said |= {key: _filled(text, numbers) for key, text in terms.rate_annotations.items()}
    if size:
        said |= {key: _filled(text, {"{bytes}": size}) for key, text in terms.size_annotations.items()}
    return said


def _filled(text: str, numbers: Mapping[str, int]) -> str:
    # Not `format`: what a class calls an annotation's value may hold braces of its own.
    for placeholder, number in numbers.items():
        text = text.replace(placeholder, str(number))
    return text
