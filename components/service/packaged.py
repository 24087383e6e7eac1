"""`TeamService`: a team's service for programs in any language, as the package `zero-trust` offers it.

Its input is a service file as a mapping, and what the platform decides comes from the cluster. So the package has one
component with three properties, and a new key of service files is no change of it.
https://www.pulumi.com/docs/iac/guides/building-extending/components/build-a-component/
"""

from datetime import date
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pulumi
import yaml

from components.config.commit_date import commit_date
from components.schema.problem import ConfigError
from components.service.args.team import text_args
from components.service.catalogue import platform_of_cluster
from components.service.manifests.route import public_url
from components.service.secure_service import SecureService

PACKAGE = "zero-trust"


class TeamServiceArgs(TypedDict):
    """The service, and the team that deploys it."""

    team: str
    """The name of the team, whose deployer runs the program."""
    service: dict[str, Any]
    """The keys of a service file; `name` is by default that of the resource."""
    as_of: NotRequired[str]
    """The day by which what has a last day ends, such as 2026-12-31; by default that of the checked-out commit."""


class TeamService(pulumi.ComponentResource):
    """A service of a team with rights of its own, on a platform that it does not own."""

    url: pulumi.Output[str]
    """The public address; empty if it is reached from within the cluster alone."""

    def __init__(self, name: str, args: TeamServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"{PACKAGE}:index:TeamService", name, {}, opts)
        platform = platform_of_cluster(args["team"])
        given = args.get("as_of")
        try:
            day = date.fromisoformat(given) if given else None
        except ValueError as error:
            raise pulumi.RunError(f"asOf: {given} is no day such as 2026-12-31") from error
        text = yaml.safe_dump({"name": name, **_whole_numbers(args["service"])}, sort_keys=False)
        try:
            known = text_args(text, f"{name}.yaml", platform, lambda: day or commit_date(Path.cwd()))
        except ConfigError as error:
            raise pulumi.RunError(str(error)) from error
        SecureService.of_team(known, platform, pulumi.ResourceOptions(parent=self))
        self.url = pulumi.Output.from_input(public_url(known))
        self.register_outputs({"url": self.url})


def _whole_numbers(value: Any) -> Any:
    """The same with whole numbers, which other languages' programs send as floats: JSON has one kind of number."""
    if isinstance(value, dict):
        return {key: _whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
