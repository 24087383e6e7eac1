"""What `zt adopt` says of a living cluster: workloads and their violations, who talks to whom, accounts, and steps."""

from collections.abc import Mapping
from dataclasses import dataclass, field

TIERS = ("critical", "important", "best-practice")


@dataclass(frozen=True, order=True)
class Violation:
    """A rule that a workload does not keep, with the rule's tier and its message."""

    rule: str
    tier: str
    message: str


@dataclass(frozen=True, order=True)
class ExposedSecret:
    """A secret in the environment of a container: by reference to a Secret, or written out. No value is kept."""

    container: str
    variable: str
    source: str
    """`secret NAME/KEY`, `secret NAME` for all of its keys, or `written in the manifest`."""


@dataclass(frozen=True, order=True)
class Talk:
    """One workload calls another, or a host outside; `evidence` says where that is written or logged.

    `caller` and `callee` are `namespace/workload`. A host outside has a `callee` without a slash.
    """

    caller: str
    callee: str
    port: int
    evidence: str


@dataclass(frozen=True)
class Workload:
    """A controller, or a pod that nobody controls, with what a platform team has to know of it."""

    kind: str
    namespace: str
    name: str
    account: str
    replicas: int
    images: tuple[str, ...]
    in_mesh: bool
    violations: tuple[Violation, ...] = ()
    secrets: tuple[ExposedSecret, ...] = ()

    @property
    def key(self) -> str:
        """`namespace/name`, as messages name it."""
        return f"{self.namespace}/{self.name}"

    def count(self, tier: str) -> int:
        """How many rules of a tier it does not keep."""
        return len({each.rule for each in self.violations if each.tier == tier})


@dataclass(frozen=True, order=True)
class Account:
    """A service account that may do more than a workload needs, with each right and the binding that gives it."""

    namespace: str
    name: str
    reasons: tuple[str, ...]
    workloads: tuple[str, ...]


@dataclass(frozen=True)
class Draft:
    """A service file as far as it can be derived: it loads. `unsaid` is what it leaves out, and why."""

    file: str
    text: str
    workload: str
    unsaid: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """A step of the rollout: what to do, in order, and who would stop if it were done too early."""

    title: str
    actions: tuple[str, ...]
    stops: tuple[str, ...] = ()


@dataclass(frozen=True)
class NamespaceReport:
    """One namespace: its workloads, its accounts with too much, and whether anything closes its network."""

    name: str
    labels: Mapping[str, str]
    workloads: tuple[Workload, ...]
    accounts: tuple[Account, ...]
    network_policies: int
    in_mesh: bool


@dataclass(frozen=True)
class Adoption:
    """The whole report."""

    cluster: str
    stack: str
    namespaces: tuple[NamespaceReport, ...]
    talks: tuple[Talk, ...]
    steps: tuple[Step, ...]
    drafts: tuple[Draft, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further files to commit, by their path: the keys of the stack file for the first step."""
    unread: tuple[str, ...] = ()
    """What could not be read, and why: the report says nothing about it."""
    other_policies: tuple[str, ...] = ()
    """Network policies of administrators and of the plugin, which no edge of the report is read from."""

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """The workloads of all namespaces."""
        return tuple(workload for each in self.namespaces for workload in each.workloads)
