"""The arguments of one service of a team's own stack, from its file and from what the platform says."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

from components.schema.problem import ConfigError
from components.schema.yaml_text import read_text
from components.service.args.document import Platform
from components.service.args.resolve import services_args
from components.service.args.service import SecureServiceArgs
from components.service.file.conditions import Conditions
from components.service.file.directory import Admission, check_services, parse_service, problems_at
from components.service.file.fields import at_keys_of
from components.service.file.team import team_findings


def team_args(path: Path, platform: Platform, as_of: Callable[[], date]) -> SecureServiceArgs:
    """The arguments of the service of a file. Raises `ConfigError` with every problem, each with its line."""
    return text_args(read_text(path, path.name), path.name, platform, as_of)


def text_args(text: str, name: str, platform: Platform, as_of: Callable[[], date]) -> SecureServiceArgs:
    """The arguments of the service of a file's text. `as_of` returns the day by which what has a last day ends.

    Every service of another file is one of another stack: a call names the number of its port, and a caller only has to
    be in a namespace that the platform knows. Raises `ConfigError` with every problem, each with its line.
    """
    file = parse_service(text, name, platform.conditions.domain)
    conditions = {each.name: getattr(platform.conditions, each.name) for each in fields(Conditions)}
    admission = Admission(**conditions, as_of=as_of)
    findings = list(team_findings(file.spec, platform.team, platform.conditions.gateway_api))
    if problems := [*check_services([file], admission), *problems_at([file], findings)]:
        raise ConfigError(problems)
    others = platform.conditions.elsewhere or ()
    with at_keys_of([file]):
        [args] = services_args([file.spec], platform.terms, platform.replicas, elsewhere=others)
    # The platform makes the exceptions that it approved: they are where no team may write.
    return replace(args, exceptions=())
