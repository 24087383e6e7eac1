"""The public paths of a service, and what the gateway does with the requests for each.

https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule
"""

import re
from collections.abc import Sequence
from typing import Annotated, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    StrictBool,
    StrictInt,
    StrictStr,
    model_serializer,
    model_validator,
)

from components.schema.fields import DNS_LABEL, PUBLIC_PATH_LENGTH, Duration, PublicPath, public_path, seconds
from components.schema.problem import UNREPEATED
from components.schema.public import HeaderName
from components.schema.shape import Shape
from components.schema.typed_file import TypedFile, misplaced
from components.service.file.network import GRPC_PATH

ANY_ORIGIN = "*"
# The most of each in a CORS filter.
_MOST_ORIGINS, _MOST_HEADERS, _LONGEST_ORIGIN = 64, 64, 253
# The most of one HTTPRoute: https://gateway-api.sigs.k8s.io/reference/spec/#httproutespec
_MOST_RULES, MOST_PATHS = 16, 64
_ORIGIN = re.compile(rf"(https://({DNS_LABEL}\.)+{DNS_LABEL}|https?://localhost)(:[0-9]{{1,5}})?")
# What a duration of the Gateway API holds: https://gateway-api.sigs.k8s.io/geps/gep-2257/
_LONGEST_SECONDS = 3600
# The int32 of `cors.maxAge`: https://gateway-api.sigs.k8s.io/reference/spec/#httpcorsfilter
_MOST_SECONDS = 2**31 - 1


def _origin(value: str) -> str:
    if value == ANY_ORIGIN:
        return value
    if not _ORIGIN.fullmatch(value) or value.endswith(":443"):
        raise ValueError(
            "not an origin as a browser sends it: https://shop.example.org, with a port only if it is not 443, no path "
            "and no wildcard; http://localhost:3000; or * alone for every page"
        )
    return value


def _path(value: object) -> object:
    if not isinstance(value, str):
        return value
    if len(value) > PUBLIC_PATH_LENGTH:
        raise ValueError(f"longer than {PUBLIC_PATH_LENGTH} characters")
    return {"path": public_path(value)}


Origin = Annotated[
    StrictStr,
    Field(max_length=_LONGEST_ORIGIN),
    AfterValidator(_origin),
    Shape(rf"\*|(?!.*:443$){_ORIGIN.pattern}"),
]
CorsMethod = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class CorsSpec(TypedFile):
    """The pages of other origins whose scripts may read the answers.

    The gateway answers a preflight request itself, so that it needs no token. https://fetch.spec.whatwg.org/#http-cors-protocol
    """

    origins: tuple[Origin, ...] = Field(min_length=1, max_length=_MOST_ORIGINS)
    """The origins of these pages, such as `https://shop.example.org`; `*` alone is every page there is."""
    methods: tuple[CorsMethod, ...] = ()
    """The methods that they may use beside GET, HEAD and POST."""
    headers: tuple[HeaderName, ...] = Field(default=(), max_length=_MOST_HEADERS)
    """The request headers that they may set, such as `Authorization` and `Content-Type`."""
    expose_headers: tuple[HeaderName, ...] = Field(default=(), max_length=_MOST_HEADERS)
    """The headers of an answer that they may read, beside the few that every page may."""
    credentials: StrictBool = False
    """Whether the browser sends along its cookies."""
    max_age: Duration = "10m"
    """How long a browser need not ask again."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for key, values in (
            ("headers", [name.lower() for name in self.headers]),
            ("exposeHeaders", [name.lower() for name in self.expose_headers]),
        ):
            if twice := sorted({value for value in values if values.count(value) > 1}):
                raise misplaced([key], "it stands there twice: keep one", twice[0])
        if seconds(self.max_age) > _MOST_SECONDS:
            raise misplaced(
                ["maxAge"], f"more than {_MOST_SECONDS} seconds, the most that a route counts", self.max_age
            )
        if ANY_ORIGIN in (*self.headers, *self.expose_headers):
            key = "headers" if ANY_ORIGIN in self.headers else "exposeHeaders"
            raise misplaced([key], "every header is over-broad: name them", ANY_ORIGIN)
        if ANY_ORIGIN in self.origins and len(self.origins) > 1:
            raise misplaced(["origins"], "it is every origin: keep it, or the others", ANY_ORIGIN)
        if ANY_ORIGIN in self.origins and self.credentials:
            message = "any page could do there what its visitor may: name the origins, or leave credentials out"
            raise misplaced(["origins"], message, ANY_ORIGIN)
        return self


class RetriesSpec(TypedFile):
    """How often the gateway sends a request again that had no answer, or one of some codes."""

    attempts: Annotated[StrictInt, Field(ge=1, le=10)]
    """How often at most, after the first time."""
    codes: tuple[Annotated[StrictInt, Field(ge=500, le=599)], ...] = ()
    """The answers after which it does, whatever the method, such as 503. Only for paths where twice is as good as once.
    Without any only a request is sent again that the service has not taken."""
    each: Duration | None = None
    """How long each of them may take."""
    backoff: Duration | None = None
    """How long to wait before the second time; longer before each further one."""


class PathSpec(TypedFile):
    """A path prefix that is public; its text alone has none of the rest."""

    path: PublicPath
    """The prefix."""
    rewrite: PublicPath | None = None
    """What stands in its place when the request comes to the service; `/` takes it away."""
    timeout: Duration | None = None
    """How long an answer may take, all attempts together; then it is 504. By default as long as it does."""
    retries: RetriesSpec | None = None
    """How often a request is sent again. By default twice, when the service has not taken it."""
    cors: CorsSpec | None = None
    """The pages of other origins whose scripts may read the answers; by default none."""
    token: Literal["none"] | None = None
    """`none`: requests need no token there and below, unlike those for the other paths of a service with `jwt`."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.rewrite and self.path == "/":
            # istiod would make /appusers of /users: it puts /app before what follows the slash.
            raise misplaced(["rewrite"], "it takes the place of a prefix such as /v1, and / is none", self.rewrite)
        for key, value in (("timeout", self.timeout), ("retries", self.retries and self.retries.each)):
            if value is not None and seconds(value) > _LONGEST_SECONDS:
                raise misplaced([key], "more than an hour: leave it out", value)
        if self.timeout and self.retries and self.retries.each and seconds(self.retries.each) > seconds(self.timeout):
            message = f"longer than the timeout of all of them, which is {self.timeout}"
            raise misplaced(["retries", "each"], message, self.retries.each)
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> object:
        values = cast("dict[str, object]", handler(self))
        return (
            {key: value for key, value in values.items() if value is not None}
            if self.settings or self.token
            else self.path
        )

    @property
    def arrives_at(self) -> str:
        """The prefix as the service sees it."""
        return self.rewrite or self.path

    @property
    def settings(self) -> tuple[str, ...]:
        """The keys that need a rule of their own in a route."""
        return tuple(key for key in ("rewrite", "timeout", "retries", "cors") if getattr(self, key) is not None)


LentPaths = Annotated[tuple[PublicPath, ...], Field(min_length=1)]
PublicPathSpec = Annotated[PathSpec, BeforeValidator(_path, json_schema_input_type=PublicPath | PathSpec)]


def _check_prefixes(paths: Sequence[str], *, grpc: bool) -> None:
    """Raise `PydanticCustomError` for public paths of one port that no route takes beside each other."""
    first: dict[str, int] = {}
    for number, path in enumerate(paths):
        if grpc and path != "/" and not GRPC_PATH.fullmatch(path):
            message = "no service of gRPC such as /shop.Cart, nor one of its methods such as /shop.Cart/AddItem"
            raise misplaced(["paths", number], message, path)
        if first.setdefault(path.rstrip("/"), number) != number:
            raise misplaced(["paths", number], "it stands there twice: keep one", path)


def check_paths(paths: tuple[PathSpec, ...], *, grpc: bool) -> None:
    """Raise `PydanticCustomError` for paths of one port of a service that are no good beside each other."""
    _check_prefixes([public.path for public in paths], grpc=grpc)
    own = [public for public in paths if public.settings]
    if len(own) + (len(own) < len(paths)) > _MOST_RULES:
        message = f"{len(own)} of them have settings of their own, and a route has {_MOST_RULES} rules"
        raise misplaced(["paths"], message, UNREPEATED)
    for number, public in enumerate(paths):
        if grpc and public.settings:
            message = "a route of gRPC has none: leave it out, or write protocol: http2"
            raise misplaced(["paths", number, public.settings[0]], message, UNREPEATED)


def check_tokenless(port: Sequence[str], paths: Sequence[PathSpec], *, jwt: bool) -> None:
    """Raise `PydanticCustomError` for a path without a token where no path needs one, or that the service cannot tell
    from one that does: it tells requests apart by the path that it sees. `port` is the key before `paths`.
    """
    for number, public in enumerate(paths):
        if not public.token:
            continue
        key = [*port, "paths", number, "token"]
        if not jwt:
            raise misplaced(key, "it needs jwt: without that no request needs a token", public.token)
        arrives = public.arrives_at.rstrip("/")
        same = [other.path for other in paths if not other.token and other.arrives_at.rstrip("/") == arrives]
        if same:
            message = f"its requests come to the service as those for {same[0]} do, which need a token"
            raise misplaced(key, message, public.token)
