"""The arguments of what the gateway does with the requests for a public path."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from components.schema.fields import seconds
from components.service.file.routes import CorsSpec, PathSpec, RetriesSpec


@dataclass(frozen=True)
class CorsArgs:
    """The pages whose scripts may read the answers; none without `origins`. `max_age` is in seconds."""

    origins: Sequence[str] = ()
    methods: Sequence[str] = ()
    headers: Sequence[str] = ()
    expose_headers: Sequence[str] = ()
    credentials: bool = False
    max_age: int = 600


@dataclass(frozen=True)
class RetriesArgs:
    """How often a request is sent again, each time for `each` seconds, after `backoff` seconds.

    0 attempts are those of the gateway itself, 0 seconds no limit, and its own time to wait.
    """

    attempts: int = 0
    codes: Sequence[int] = ()
    each: int = 0
    backoff: int = 0


@dataclass(frozen=True)
class RouteArgs:
    """What holds for one of the public paths; `timeout` is in seconds, and 0 is none."""

    path: str
    rewrite: str = ""
    timeout: int = 0
    retries: RetriesArgs = field(default_factory=RetriesArgs)
    cors: CorsArgs = field(default_factory=CorsArgs)
    without_token: bool = False

    @property
    def arrives_at(self) -> str:
        """The prefix as the service sees it."""
        return self.rewrite or self.path

    @property
    def plain(self) -> bool:
        """Whether the route needs no rule of its own for it."""
        return not (self.rewrite or self.timeout or self.retries.attempts or self.cors.origins)


@dataclass(frozen=True)
class PublicPort:
    """A port that is public, with its hosts, and what holds for each path; `name` is empty for the service's `port`."""

    name: str
    port: int
    protocol: str
    hosts: Sequence[str]
    routes: Sequence[RouteArgs]


def all_routes(paths: Sequence[str], routes: Sequence[RouteArgs]) -> tuple[RouteArgs, ...]:
    """What holds for each of these paths, which is nothing for those that `routes` has not."""
    known = {route.path: route for route in routes}
    return tuple(known.get(path, RouteArgs(path)) for path in paths)


def routes_args(paths: Sequence[PathSpec]) -> list[RouteArgs]:
    """The arguments of the public paths in a service file for which something holds."""
    return [route for route in map(route_args, paths) if route != RouteArgs(route.path)]


def route_args(spec: PathSpec) -> RouteArgs:
    """The arguments of a public path in a service file."""
    return RouteArgs(
        path=spec.path,
        rewrite=spec.rewrite or "",
        timeout=seconds(spec.timeout) if spec.timeout else 0,
        retries=_retries(spec.retries) if spec.retries else RetriesArgs(),
        cors=_cors(spec.cors) if spec.cors else CorsArgs(),
        without_token=spec.token is not None,
    )


def _retries(spec: RetriesSpec) -> RetriesArgs:
    each, backoff = (seconds(text) if text else 0 for text in (spec.each, spec.backoff))
    return RetriesArgs(spec.attempts, spec.codes, each, backoff)


def _cors(spec: CorsSpec) -> CorsArgs:
    return CorsArgs(
        spec.origins, spec.methods, spec.headers, spec.expose_headers, spec.credentials, seconds(spec.max_age)
    )
