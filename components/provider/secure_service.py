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
from components.kube.names import CATALOGUE_KEY, TEAMS_NAMESPACE
from components.schema.problem import ConfigError, Key, Problem, shown_value
from components.schema.typed_file import dotted
from components.service.args.document import Platform, read_document
from components.service.args.team import text_args
from components.service.catalogue import told_to
from components.service.file.directory import parse_service
from components.service.manifests.route import public_url
from components.service.secure_service import SecureService as TeamService
from components.service.secure_service import has_provider

PACKAGE = "zero-trust"
# Whose key it is, in an error.
_SERVICE, _COMPONENT = "service", "SecureService"
_UNWRITTEN = (
    "a secret, or what a resource gives: a service is checked before anything is created, and has no secret in it"
)
_A_DAY = "a day is expected, such as 2026-12-31"
_NO_COMMIT = "exceptions end by the date of the commit, and git has none here: write a day, such as 2026-12-31"


class SecureServiceArgs(TypedDict):
    """What a program says of a service."""

    service: Mapping[str, Any]
    """What a service file says, by the same keys. Without `name` it has the name of the resource."""
    platform: NotRequired[pulumi.Input[str]]
    """What the platform tells the team: `platform.json` of the team's ConfigMap in `platform-teams`. A program gives it
    that has a provider of Kubernetes; without it it is read where `kubernetes:kubeconfig` or the environment leads."""
    as_of: NotRequired[str]
    """The day, such as 2026-12-31, by which exceptions end; without it the date of the commit that is checked out."""


class SecureService(pulumi.ComponentResource):
    """A service of a team and everything that follows from it, on a platform that is there.

    What a service file may not say is refused, with its key, before anything is created. Without a provider of Vault it
    logs in as the team's deployer. Where `platform` is known only during the update, a preview shows no resource of the
    service, and checks what can be judged without it.
    """

    namespace: pulumi.Output[str]
    """The namespace of the service."""
    url: pulumi.Output[str]
    """The URL of a public service; empty for any other."""

    def __init__(self, name: str, args: SecureServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:index:SecureService", name, None, opts)
        given = opts or pulumi.ResourceOptions()
        document = args.get("platform")
        with _refusing():
            text, team = _text(name, args["service"])
            as_of = _day(args.get("as_of"))
            known = _platform_of(team, given) if document is None else None

        def create(told: str) -> dict[str, str]:
            with _refusing():
                platform = known or read_document(told, "platform")
                service = text_args(text, _SERVICE, platform, as_of)
            own = pulumi.ResourceOptions(parent=self, depends_on=given.depends_on)
            own.providers = given.providers
            TeamService.of_team(service, platform, own)
            outputs = {"namespace": service.namespace, "url": public_url(service)}
            self.register_outputs(outputs)
            return outputs

        made = pulumi.Output.from_input("" if document is None else document).apply(create)
        self.namespace, self.url = made["namespace"], made["url"]


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


def _text(name: str, service: Mapping[str, Any]) -> tuple[str, str]:
    """The service as the text of a file, by which it is admitted, and its team.

    Raises `ConfigError` for what no file can say, and for what a file may not say on any platform.
    """
    if problems := [Problem(_SERVICE, dotted(key) or "all of it", _UNWRITTEN) for key in _unwritten(service)]:
        raise ConfigError(problems)
    text = yaml.safe_dump({"name": name, **_whole(service)}, sort_keys=False, allow_unicode=True)
    return text, parse_service(text, _SERVICE).spec.team


def _platform_of(team: str, opts: pulumi.ResourceOptions) -> Platform:
    """What the platform tells the team, from the cluster. Raises `ConfigError`, and so it does for another cluster."""
    if has_provider(opts, "kubernetes"):
        message = (
            "the service comes where the program's own provider of Kubernetes leads, and from there it has to be: "
            f"read the ConfigMap {TEAMS_NAMESPACE}/{team} with that provider, and give its {CATALOGUE_KEY}"
        )
        raise ConfigError([Problem(_COMPONENT, "platform", message)])
    return told_to(team)


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
