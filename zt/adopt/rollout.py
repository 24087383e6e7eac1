"""The rollout in steps: audit first, then namespace by namespace, and each control once nobody stops for it."""

from collections.abc import Iterator, Mapping, Sequence

import yaml

from zt.adopt.model import Adoption, Draft, NamespaceReport, Step, Talk

_REASON = "adoption: what lives in the cluster is mended before it is enforced (zt adopt)"
# What would stop or cut off somebody on the first day, with the value that only reports.
FIRST_DAY: Mapping[str, object] = {
    "critical": "audit",
    "important": "audit",
    "generate": False,
    "mtls": "PERMISSIVE",
    "authorization": "dry-run",
}
"""The cells of the posture that a stack begins with on a cluster that lives."""


def stack_keys(namespaces: Sequence[str]) -> str:
    """The keys of the stack file for the first step, as YAML; nothing is imported yet."""
    posture = {layer: {"value": value, "reason": _REASON} for layer, value in FIRST_DAY.items()}
    config: dict[str, object] = {"zero-trust:posture": posture, "zero-trust:mesh": {"otherNamespaces": [*namespaces]}}
    text: str = yaml.safe_dump({"config": config}, sort_keys=False, allow_unicode=True, width=120)
    return (
        f"# Keys for the stack file, to merge by hand: mesh.otherNamespaces goes with mesh.mode existing alone.\n{text}"
    )


def order(namespaces: Sequence[NamespaceReport], talks: Sequence[Talk]) -> list[NamespaceReport]:
    """The namespaces in the order of their rollout: those first that little is to be mended in, and few call."""

    def weight(each: NamespaceReport) -> tuple[int, int, str]:
        critical = sum(workload.count("critical") for workload in each.workloads)
        callers = {talk.caller for talk in talks if _of(talk.callee) == each.name and _of(talk.caller) != each.name}
        return critical, len(callers), each.name

    return sorted((each for each in namespaces if each.workloads), key=weight)


def steps(
    stack: str, namespaces: Sequence[NamespaceReport], talks: Sequence[Talk], drafts: Sequence[Draft]
) -> tuple[Step, ...]:
    """All steps, the first day's first."""
    every = [workload for each in namespaces for workload in each.workloads]
    return (
        Step(
            "Begin with reports alone",
            (
                "merge stack.yaml into the stack file: no rule denies, no namespace is closed, the mesh refuses nobody",
                f"zt preflight --stack {stack}, and mode: existing for each layer of others, with its namespace",
                f"pulumi up --stack {stack}; what is violated then stands in the PolicyReports",
            ),
        ),
        *(_of_namespace(stack, each, drafts, talks) for each in order(namespaces, talks)),
        Step(
            "Close the namespaces",
            (
                "declare each edge under calls, callers and egress, or keep a NetworkPolicy of the namespace's own",
                "take generate out of posture: default-deny then reaches every namespace that is not excluded",
            ),
            tuple(
                each.name
                for each in namespaces
                if each.workloads and not each.network_policies and not _complete(each, drafts)
            ),
        ),
        Step(
            "Move the important rules on",
            (f"zt promote RULE --stack {stack}: by measured compliance, from audit to warn to enforce",),
            _violating(namespaces, "important"),
        ),
        Step(
            "Mutual TLS and authorization",
            ("take mtls out of posture once every workload below is in the mesh, and then authorization",),
            tuple(workload.key for workload in every if not workload.in_mesh),
        ),
        Step(
            "Deny",
            (
                "mend what is named here, or write an exception with a reason and a last day (kyverno.exceptions)",
                "take critical out of posture",
            ),
            _violating(namespaces, "critical"),
        ),
    )


def _of_namespace(stack: str, each: NamespaceReport, drafts: Sequence[Draft], talks: Sequence[Talk]) -> Step:
    own = {workload.key for workload in each.workloads}
    files = [draft.file for draft in drafts if draft.workload in own]
    incoming = sorted({talk.caller for talk in talks if talk.callee in own and _of(talk.caller) != each.name})
    actions = list[str]()
    if files:
        actions += [
            f"commit {', '.join(files)}, once what their comments name is decided",
            f"imports.namespaces: [{each.name}] in the stack file",
            f"zt check --stack {stack}, then pulumi preview and pulumi up",
        ]
    rest = sorted(own - {draft.workload for draft in drafts})
    if rest:
        actions.append(f"mend where they come from: {', '.join(rest)}")
    if incoming:
        actions.append(f"agree with the owners of {', '.join(incoming)}, who call into it")
    accounts = [account.name for account in each.accounts]
    if accounts:
        actions.append(f"narrow the service accounts {', '.join(accounts)}")
    return Step(f"Namespace {each.name}", tuple(actions), tuple(sorted({*_violating([each], "critical")})))


def _complete(each: NamespaceReport, drafts: Sequence[Draft]) -> bool:
    drafted = {draft.workload for draft in drafts}
    return all(workload.key in drafted for workload in each.workloads)


def _violating(namespaces: Sequence[NamespaceReport], tier: str) -> tuple[str, ...]:
    return tuple(_counted(namespaces, tier))


def _counted(namespaces: Sequence[NamespaceReport], tier: str) -> Iterator[str]:
    for each in namespaces:
        for workload in each.workloads:
            if rules := sorted({found.rule for found in workload.violations if found.tier == tier}):
                yield f"{workload.key}: {', '.join(rules)}"


def _of(key: str) -> str:
    return key.partition("/")[0] if "/" in key else ""


def blocked(adoption: Adoption) -> int:
    """How many workloads the critical rules would refuse today."""
    return sum(workload.count("critical") > 0 for workload in adoption.workloads)
