"""The report as text for a person, and as JSON for pipelines."""

import json
from collections.abc import Callable
from dataclasses import asdict

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from zt.adopt.model import TIERS, Adoption, NamespaceReport, Workload
from zt.adopt.rollout import blocked
from zt.project.console import printed

JSON_VERSION = 1
_WIDTH = 120
_MOST = 12


def text(adoption: Adoption) -> str:
    """The report without colours, for a file or a pipe."""
    return printed(lambda console: print_adoption(adoption, console), _WIDTH)


def print_adoption(adoption: Adoption, console: Console) -> None:
    """Write the report to a terminal: what is there, who talks to whom, and the steps."""
    for each in adoption.namespaces:
        _namespace(each, console)
    _talks(adoption, console)
    console.print(Text("steps", style="bold"))
    for number, step in enumerate(adoption.steps):
        console.print(Text(f"  {number}. {step.title}", style="bold cyan"))
        for action in step.actions:
            console.print(Padding(Text(f"- {action}"), (0, 0, 0, 5)))
        if step.stops:
            shown = [*step.stops[:_MOST], *([f"and {len(step.stops) - _MOST} more"] if step.stops[_MOST:] else [])]
            console.print(
                Padding(Text(f"would stop or be cut off today: {len(step.stops)}", style="red"), (0, 0, 0, 5))
            )
            for stop in shown:
                console.print(Padding(Text(stop), (0, 0, 0, 7)))
    for policy in adoption.other_policies:
        console.print(Text(f"decides beside NetworkPolicies, not evaluated: {policy}", style="yellow"))
    for reason in adoption.unread:
        console.print(Text(f"not read: {reason}", style="yellow"))
    console.print()
    console.print(Text(summary(adoption), style="bold"), soft_wrap=True)


def _namespace(each: NamespaceReport, console: Console) -> None:
    closed = f"{each.network_policies} network policies" if each.network_policies else "open to everybody"
    mesh = "in the mesh" if each.in_mesh else "outside the mesh"
    console.print(Text.assemble((f"namespace {each.name}", "bold"), f"  {closed}, {mesh}"))
    for workload in each.workloads:
        _workload(workload, console)
    for account in each.accounts:
        users = f", used by {', '.join(account.workloads)}" if account.workloads else ""
        console.print(Padding(Text.assemble(("account ", "bold"), f"{account.name}{users}"), (0, 0, 0, 2)))
        for reason in account.reasons:
            console.print(Padding(Text(reason), (0, 0, 0, 5)))
    console.print()


def _workload(workload: Workload, console: Console) -> None:
    counts = ", ".join(f"{workload.count(tier)} {tier}" for tier in TIERS if workload.count(tier)) or "keeps every rule"
    console.print(Padding(Text.assemble((f"{workload.kind} {workload.name}", "cyan"), f"  {counts}"), (0, 0, 0, 2)))
    for tier in TIERS:
        if rules := sorted({each.rule for each in workload.violations if each.tier == tier}):
            console.print(Padding(Text(f"{tier}: {', '.join(rules)}"), (0, 0, 0, 5)))
    for secret in workload.secrets:
        console.print(Padding(Text(f"secret in {secret.container}: {secret.variable}, {secret.source}"), (0, 0, 0, 5)))


def _talks(adoption: Adoption, console: Console) -> None:
    edges: dict[tuple[str, str, int], list[str]] = {}
    for talk in adoption.talks:
        edges.setdefault((talk.caller, talk.callee, talk.port), []).append(talk.evidence)
    if not edges:
        return
    console.print(Text("who talks to whom", style="bold"))
    for (caller, callee, port), evidence in edges.items():
        at = f":{port}" if port else ""
        console.print(Padding(Text(f"{caller} -> {callee}{at}  ({', '.join(evidence)})"), (0, 0, 0, 2)))
    console.print()


def summary(adoption: Adoption) -> str:
    """The report in one line."""
    workloads, namespaces = len(adoption.workloads), len(adoption.namespaces)
    secrets = sum(len(each.secrets) for each in adoption.workloads)
    return (
        f"{adoption.cluster}: {workloads} workloads in {namespaces} namespaces, {blocked(adoption)} that the critical "
        f"rules would refuse, {secrets} secrets in environments, {len(adoption.drafts)} drafts"
    )


def as_json(adoption: Adoption) -> str:
    """The report for scripts. `version` changes when a key changes its meaning or goes; keys may be added.

        {"version": 1, "cluster", "stack": text, "unread", "other_policies": [text],
         "namespaces": [{"name": text, "labels": {}, "network_policies": number, "in_mesh": bool,
           "workloads": [{"kind", "namespace", "name", "account": text, "replicas": number, "images": [text],
             "in_mesh": bool, "violations": [{"rule", "tier", "message"}], "secrets": [{"container", "variable",
             "source"}]}],
           "accounts": [{"namespace", "name": text, "reasons", "workloads": [text]}]}],
         "talks": [{"caller", "callee": text, "port": number, "evidence": text}],
         "steps": [{"title": text, "actions", "stops": [text]}],
         "drafts": [{"file", "text", "workload": text, "unsaid": [text]}], "files": {path: text}}

    A `port` of 0 is not known. No value of a secret is in it.
    """
    document = {"version": JSON_VERSION, **asdict(adoption)}
    return json.dumps(document, indent=2) + "\n"


FORMATS: dict[str, Callable[[Adoption], str]] = {"text": text, "json": as_json}
