"""The health of a Vault server, which needs no token.

https://developer.hashicorp.com/vault/api-docs/system/health
"""

from collections.abc import Mapping
from dataclasses import dataclass

# With these parameters the status is 200 in every state, and the body tells the state.
HEALTH = "sys/health?standbyok=true&perfstandbyok=true&sealedcode=200&uninitcode=200&drsecondarycode=200"


@dataclass(frozen=True)
class Health:
    """Whether a server is initialised, sealed, or a standby."""

    initialised: bool
    sealed: bool
    standby: bool


def health_of(answer: Mapping[str, object]) -> Health | None:
    """The health in a server's answer to `HEALTH`; `None` when the answer is not Vault's."""
    if "initialized" not in answer or "sealed" not in answer:
        return None
    return Health(bool(answer["initialized"]), bool(answer["sealed"]), bool(answer.get("standby")))
