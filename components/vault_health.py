"""What a Vault server tells everybody about itself.

https://developer.hashicorp.com/vault/api-docs/system/health
"""

from collections.abc import Mapping
from dataclasses import dataclass

# Every state of a server answers this with 200, so that the body tells which one it is.
HEALTH = "sys/health?standbyok=true&perfstandbyok=true&sealedcode=200&uninitcode=200&drsecondarycode=200"


@dataclass(frozen=True)
class Health:
    """Whether a server has been initialised, is sealed, and leaves the work to another one."""

    initialised: bool
    sealed: bool
    standby: bool


def health_of(answer: Mapping[str, object]) -> Health | None:
    """The health in a server's answer to `HEALTH`; `None` when this is no answer of a Vault."""
    if "initialized" not in answer or "sealed" not in answer:
        return None
    return Health(bool(answer["initialized"]), bool(answer["sealed"]), bool(answer.get("standby")))
