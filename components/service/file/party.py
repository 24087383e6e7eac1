"""Who takes part in calls: services, and the packages that other people's charts come in."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from components.kube.service_ref import ServiceRef
from components.schema.problem import Key, Problem
from components.service.file.network import CallSpec

PartyFinding = tuple["Party", Key, str, str, tuple[str, ...]]
"""The party, the key that is wrong, the message, the value there, and what is legal."""


class Party(Protocol):
    """A service or a package, with both ends of its calls."""

    @property
    def namespace(self) -> str:
        """Its namespace."""
        ...

    @property
    def ref(self) -> ServiceRef:
        """The reference to it, by namespace and name."""
        ...

    @property
    def calls(self) -> tuple[CallSpec, ...]:
        """What it calls, as its file has it."""
        ...

    @property
    def callers(self) -> tuple[str, ...]:
        """Who may call it, as its file has it."""
        ...

    @property
    def called_ports(self) -> Mapping[str | None, tuple[int, str]]:
        """Number and protocol of each port by the name in a call; one that a call need not name has none."""
        ...

    def called(self) -> tuple[tuple[ServiceRef, CallSpec], ...]:
        """What it calls, each with the call."""
        ...

    def allowed_callers(self) -> tuple[tuple[ServiceRef, str | None], ...]:
        """Who may call it, each with the name of a port."""
        ...


class PartyFile(Protocol):
    """The file of a service or of a package."""

    @property
    def spec(self) -> Party:
        """What it says."""
        ...

    def problem(self, key: str | Key, message: str, value: str = "", legal: Iterable[str] = ()) -> Problem:
        """A problem of one of its keys."""
        ...
