"""The component of the package: a team's service, whose file is an object of the program."""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

import pulumi
import yaml
from pulumi.errors import InputPropertiesError

from components.config.commit_date import commit_date
from components.schema.problem import ConfigError, Key, Problem, shown_value
from components.schema.typed_file import dotted
from components.service.args.document import Platform, read_document
from components.service.args.service import SecureServiceArgs as Admitted
from components.service.args.team import text_args
from components.service.file.directory import parse_service
from components.service.manifests.route import public_url
from components.service.secure_service import SecureService as TeamService

PACKAGE = "zero-trust"
# Whose key it is, in an error.
_SERVICE, _PLATFORM, _COMPONENT = "service", "platform", "SecureService"
_UNWRITTEN = (
    "a secret, or what a resource gives: a service is checked before anything is created, and has no secret in it"
)
_A_DAY = "a day is expected, such as 2026-12-31"
_NO_COMMIT = "exceptions end by the date of the commit, and git has none here: write a day, such as 2026-12-31"


class SecureServiceArgs(TypedDict):
    """What a program says of a service."""

    service: Mapping[str, Any]
    """What a service file says, by the same keys. Without `name` it has the name of the resource."""
    platform: pulumi.Input[str]
    """What the platform tells the team: `platform.json` of the team's ConfigMap in `platform-teams`."""
    as_of: NotRequired[str]
    """The day, such as 2026-12-31, by which exceptions end; without it the date of the commit that is checked out."""


class SecureService(pulumi.ComponentResource):
    """A service of a team and everything that follows from it, on a platform that is there.

    What a service file may not say is refused, with its key, before anything is created. Without a provider of Vault it
    logs in as the team's deployer. Where `platform` is known only during the update, a preview shows no resource of
    the service, and checks what can be judged without the platform.
    """

    namespace: pulumi.Output[str]
    """The namespace of the service."""
    url: pulumi.Output[str]
    """The URL of a public service; empty for any other."""

    def __init__(self, name: str, args: SecureServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:index:SecureService", name, None, opts)
        with _refusing():
            text = _text(name, args["service"])
            as_of = _day(args.get("as_of"))

        def create(document: str) -> dict[str, str]:
            with _refusing():
                platform = read_document(document, _PLATFORM)
                service = text_args(text, _SERVICE, platform, as_of)
            return self._create(service, platform, opts)

        made = pulumi.Output.from_input(args["platform"]).apply(create)
        self.namespace, self.url = made["namespace"], made["url"]

    def _create(self, args: Admitted, platform: Platform, opts: pulumi.ResourceOptions | None) -> dict[str, str]:
        """The resources of the service; returns what the component tells of it."""
        own = pulumi.ResourceOptions(parent=self)
        if opts:
            own.depends_on, own.providers = opts.depends_on, opts.providers
        TeamService.of_team(args, platform, own)
        outputs = {"namespace": args.namespace, "url": public_url(args)}
        self.register_outputs(outputs)
        return outputs


@contextmanager
def _refusing() -> Generator[None]:
    """Turn the problems of the configuration into an error that Pulumi shows without a traceback.

    It has no values of its own: Pulumi would show each of them as a whole. An object has no lines. The list is empty,
    not left out: the SDK would send no error then.
    """
    try:
        yield
    except ConfigError as error:
        raise InputPropertiesError("\n".join(str(replace(each, line=0)) for each in error.problems), []) from error


def _text(name: str, service: Mapping[str, Any]) -> str:
    """The service as the text of a file, by which it is admitted. Raises `ConfigError` for what no file can say."""
    if problems := [Problem(_SERVICE, dotted(key) or "all of it", _UNWRITTEN) for key in _unwritten(service)]:
        raise ConfigError(problems)
    text = yaml.safe_dump({"name": name, **_whole(service)}, sort_keys=False, allow_unicode=True)
    # What can be judged without the platform is judged, even where a preview does not know it.
    parse_service(text, _SERVICE)
    return text


def _unwritten(value: object, key: Key = ()) -> Iterator[Key]:
    """The places of what is no text, number, list or mapping: of outputs, unknown values and archives."""
    if isinstance(value, Mapping):
        for name, inner in cast("Mapping[str, object]", value).items():
            yield from _unwritten(inner, (*key, name))
    elif isinstance(value, list):
        for number, inner in enumerate(cast("list[object]", value)):
            yield from _unwritten(inner, (*key, number))
    elif not isinstance(value, str | int | float | None):
        yield key


def _whole(service: Mapping[str, Any]) -> dict[str, Any]:
    """The service with whole numbers where they are whole: in Pulumi's protocol 2 is 2.0."""
    return json.loads(json.dumps(service), parse_float=_number)


def _number(written: str) -> int | float:
    number = float(written)
    return int(number) if number.is_integer() else number


def _day(written: str | None) -> Callable[[], date]:
    """The day by which exceptions end. Raises `ConfigError` for what is no day."""
    if written is None:
        return _day_of_commit
    try:
        day = date.fromisoformat(written)
    except ValueError as error:
        raise ConfigError([Problem(_COMPONENT, "asOf", _A_DAY, shown_value(written))]) from error
    return lambda: day


def _day_of_commit() -> date:
    try:
        return commit_date(Path.cwd())
    except ConfigError as error:
        raise ConfigError([Problem(_COMPONENT, "asOf", _NO_COMMIT)]) from error
