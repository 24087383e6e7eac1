"""The facts of what the gateway lets through to a service."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Public:
    """A path prefix of a public host, and the port of the service behind it, which may see another path."""

    service: str
    port: int
    host: str
    path: str
    rewrite: str = ""
    kind: Literal["public"] = "public"


@dataclass(frozen=True)
class WithoutToken:
    """A path prefix of a service with a token, as the service sees it, for which a request from outside needs none."""

    service: str
    path: str
    kind: Literal["without-token"] = "without-token"


@dataclass(frozen=True)
class CrossOrigin:
    """An origin, or all of them (anything), whose pages may read the answers to requests for a path prefix.

    `credentials` are `credentials` where the browser sends cookies along.
    """

    service: str
    path: str
    origin: str
    credentials: str = ""
    kind: Literal["cross-origin"] = "cross-origin"
