"""A packet to be sent, what the live rules say of it, and what came back."""

from dataclasses import dataclass
from enum import StrEnum

from zt.attack.network import End, Pod

HTTP, HTTP2, TCP, NAME = "http", "http2", "tcp", "name"
"""What is asked: an HTTP request, with one by HTTP/2 or the question of a database in addition, or an address."""


class Way(StrEnum):
    """How a packet names its target."""

    ADDRESS = "pod address"
    SERVICE = "Service"
    NAME = "name"


class Arrival(StrEnum):
    """What became of a packet. `SILENT`: it was taken, maybe by a proxy on the way, and nothing was heard."""

    OPEN = "open"
    REFUSED = "refused"
    SILENT = "silent"
    NOT_SENT = "not sent"


@dataclass(frozen=True)
class Sender:
    """Where packets leave from: a pod, as its labels and its service account make it.

    `meshed`: through the proxy of the mesh, with the account's certificate. `running`: the pod itself, where it has
    what is needed. `host_network`: from the node's address.
    """

    pod: Pod
    meshed: bool
    running: bool = False
    host_network: bool = False

    def __str__(self) -> str:
        """As a person reads it."""
        way = (
            " in the node's network" if self.host_network else "" if self.meshed or self.running else " without a proxy"
        )
        return f"{self.pod}{way}"


@dataclass(frozen=True)
class Verdict:
    """What the live rules say: whether the packet gets through, and by which of them."""

    allowed: bool
    why: str


@dataclass(frozen=True)
class Packet:
    """One packet. `host` is where it goes to, `by` how that names the target, `question` what it asks there.

    `declared`: a service file declares the connection, so that the packet is no attack, but shows that the other end
    answers.
    """

    sender: Sender
    target: End
    host: str
    port: int
    by: Way
    question: str
    verdict: Verdict | None
    declared: bool = False

    def __str__(self) -> str:
        """As a person reads it."""
        if self.question == NAME:
            return f"{self.sender} asks for the name {self.host}"
        named = f"{self.target}:{self.port}"
        return f"{self.sender} to {named}" + ("" if named == f"{self.host}:{self.port}" else f" by {self.by}")


@dataclass(frozen=True)
class Sent:
    """A packet and what became of it; `answer` is what was heard, or why nothing was."""

    packet: Packet
    arrival: Arrival
    answer: str

    @property
    def differs(self) -> bool:
        """Whether it went otherwise than the live rules say. Of what is not known nothing is said."""
        judged = self.packet.verdict
        if judged is None or self.arrival in (Arrival.SILENT, Arrival.NOT_SENT):
            return False
        return judged.allowed is not (self.arrival is Arrival.OPEN)

    @property
    def judged(self) -> str:
        """What the live rules say, in the word that stands for it; empty where they say nothing."""
        if self.packet.verdict is None:
            return ""
        return Arrival.OPEN.value if self.packet.verdict.allowed else "blocked"

    def __str__(self) -> str:
        """As a person reads it."""
        judged = f"judged {self.judged} ({self.packet.verdict.why}), " if self.packet.verdict else ""
        return f"{self.packet}: {judged}sent: {self.arrival}: {self.answer}"
