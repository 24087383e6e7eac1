"""What an attempt is: data, so that a list of them can be shown, filtered and tested as a table."""

from dataclasses import dataclass

from zt.attack.evidence import Control
from zt.attack.session import Run

TITLES = {
    1: "Lateral movement to the database",
    2: "Secrets in the environment",
    3: "Vault with a stolen shell",
    4: "Other namespaces and the Kubernetes API",
    5: "A malicious pod",
    6: "Reading data with the application's own credentials",
}
"""The attacks of the zero-trust model, by their numbers there."""


@dataclass(frozen=True)
class Attempt:
    """One thing that is tried. `tried` is a sentence; `{service}` in it is the compromised service."""

    name: str
    attack: int
    tried: str
    control: Control
    run: Run
