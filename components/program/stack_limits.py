"""How much of something one stack may have: what the API server, or the gateway, takes no more of."""

from collections.abc import Iterator

from components.config.posture import Posture
from components.config.settings import Settings
from components.config.stack_source import StackSource
from components.ingress.secure_ingress import MOST_HOSTS
from components.program.stack_teams import team_hosts
from components.schema.problem import Problem


def limit_problems(settings: Settings, posture: Posture, hosts: int, source: StackSource) -> Iterator[Problem]:
    """More public hosts than the Gateway has listeners for; `hosts` are those of services and packages."""
    of_teams = sum(len(names) for names in team_hosts(settings).values())
    if settings.ingress.kind != "gateway-api" or posture.issuer == "none" or hosts + of_teams <= MOST_HOSTS:
        return
    found = f"{hosts} of services and packages, {of_teams} of teams"
    message = f"a Gateway has listeners for {MOST_HOSTS} public hosts: let another stack have some of them"
    yield source.problem("ingress.kind", message, found, ["ingress"])
