"""A cluster of plain data: workloads, and the reports that Kyverno would have written about them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zt.cluster.compliance import Metadata, Owner

_GROUPS = {"Pod": "v1", "Service": "v1", "Job": "batch/v1", "CronJob": "batch/v1"}


@dataclass(frozen=True)
class Workload:
    report: dict[str, Any]
    metadata: Metadata
    live: bool


def workload(
    name: str,
    *,
    kind: str = "Deployment",
    namespace: str = "shop",
    labels: Mapping[str, str] | None = None,
    owner: Owner | None = None,
    live: bool = True,
    uid: str = "",
    results: Mapping[str, Sequence[str]],
) -> Workload:
    """A workload; `results` has the rules by what each of them said."""
    made = [
        {"policy": rule, "result": verdict, "message": f"{name} has no tea", "source": "KyvernoValidatingPolicy"}
        for verdict, rules in results.items()
        for rule in rules
    ]
    scope = {
        "apiVersion": _GROUPS.get(kind, "apps/v1"),
        "kind": kind,
        **({"namespace": namespace} if namespace else {}),
        "name": name,
        "uid": uid or f"{kind}/{namespace}/{name}",
    }
    report = {"kind": "PolicyReport", "metadata": {"name": "x"}, "scope": scope, "results": made, "summary": {}}
    return Workload(report, Metadata(name, labels or {}, owner), live)


class FakeCluster:
    """What `zt.compliance.Cluster` promises, without a cluster."""

    where = "context test (https://test)"

    def __init__(self, *workloads: Workload, namespaces: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self.workloads = workloads
        self.namespaces = namespaces or {}
        self.asked: list[tuple[str, str]] = []

    def reports(self) -> Iterator[Mapping[str, object]]:
        return (made.report for made in self.workloads)

    def metadata(self, api_version: str, kind: str) -> Mapping[str, Metadata]:
        self.asked.append((api_version, kind))
        if kind == "Namespace":
            return {name: Metadata(name, labels) for name, labels in self.namespaces.items()}
        found = (made for made in self.workloads if made.live and "scope" in made.report)
        scopes = ((made.report["scope"], made.metadata) for made in found)
        return {s["uid"]: m for s, m in scopes if (s["apiVersion"], s["kind"]) == (api_version, kind)}
