"""An attempt as data, so that a list of attempts can be shown, filtered and tested as a table."""

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
    7: "Switching a rule off",
    8: "Running a program as a service",
    9: "A service's connections and data",
    10: "More rights than the role gives",
    11: "The host name of another service",
    12: "Secrets and privileges of the platform",
    13: "A malicious pod of a namespace's member",
}
"""The titles of the attacks: a pod's by their numbers in the zero-trust model, then those of a namespace's member."""


@dataclass(frozen=True)
class Attempt:
    """One attempt of an attack. `tried` is a sentence; `{service}` in it stands for the compromised service."""

    name: str
    attack: int
    tried: str
    control: Control
    run: Run
