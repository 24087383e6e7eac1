"""The sentence of what a team with a stack of its own may do."""

from collections.abc import Mapping
from types import MappingProxyType

from zt.facts.model import TeamGrant

_OF_A_TEAM: Mapping[str, str] = MappingProxyType(
    {
        "namespace": "deploys in namespace {}",
        "host": "may have the public host {}",
        "egress": "may let its services reach {} outside the cluster",
        "network": "may let its services reach the network {}",
        "patch": "may patch the pods of {}",
        "database": "makes users in database {}",
        "user": "is deployed by the user {}",
        "group": "is deployed by the group {}",
    }
)


def team_sentence(grant: TeamGrant, now: str) -> str:
    """The sentence of a grant that came or went, with `now` or `no longer`."""
    return f"team {grant.team} {now} {_OF_A_TEAM[grant.what].format(grant.value)}"
