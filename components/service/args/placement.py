"""The arguments of where the pods of a service run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TolerationArgs:
    """A taint of nodes that pods tolerate. An empty `value` or `effect` stands for any."""

    key: str
    value: str = ""
    effect: str = ""


@dataclass(frozen=True)
class PlacementArgs:
    """Where pods run, and with which devices; without a `name` nothing is said of it."""

    name: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict[str, str])
    tolerations: Sequence[TolerationArgs] = ()
    priority_class: str = ""
    runtime_class: str = ""
    resources: Mapping[str, int] = field(default_factory=dict[str, int])
    """Devices of the own container of each pod, by the name of their extended resource."""
    spread: str = "ScheduleAnyway"
