"""`python -m bench.admission`: what the rules cost a request, against no rules and against Kyverno's own upstream set.

One run measures the creation of a compliant pod on a bare API server, then under the critical tier alone, under the
whole library as production has it, under the library without the program's own native policies, which hold members of
a namespace, and under the restricted set of the chart `kyverno-policies`, which refuses through the webhook. Every
request is followed by one in a namespace that no rule looks at: both meet the same moment of the same machine, and the
ratio is between those two. Prints ratios, and writes all that was measured to `bench/results/`.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config
from rich.console import Console
from rich.table import Table

from bench.latencies import percentiles
from bench.plane import plane
from bench.record import Record
from bench.workload import NAMESPACE, PROJECT, STACK, checkout
from components.kube.names import IDENTITIES, OBJECTS, PUBLIC_HOSTS, RULE_INTEGRITY
from components.kyverno.library import LIBRARY
from embedded.paths import State
from embedded.pulumi_stack import PASSPHRASE, pulumi_environment
from embedded.toolchain import ensure, module_dir
from embedded.toolchain.table import KUBERNETES_VERSION

# The namespace of the one service of the stack, and one that no rule looks at.
GOVERNED, BARE, FREE = NAMESPACE, "bare", "kube-node-lease"
_UPSTREAM = "charts/kyverno-policies"
_SETTLE_SECONDS = 10
_WARM_UP = 20
_REASON = "the bench measures policies alone"
_OFF = {
    "vault": False,
    "mtls": "off",
    "issuer": "none",
    "networkPolicies": False,
    "injectionFailClosed": False,
}
# The program's own, beside the rules: they came with the attacks of a namespace's members.
_OF_MEMBERS = (IDENTITIES, OBJECTS, RULE_INTEGRITY, PUBLIC_HOSTS)
_REST_OFF = {"important": "off", "bestPractice": "off", "mutate": False, "generate": False}

Latencies = dict[str, list[float]]


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; 0 when every step did what it should."""
    parser = argparse.ArgumentParser(prog="python -m bench.admission", description=__doc__)
    parser.add_argument("--pods", type=int, default=200, help="pods created under each set of rules")
    count: int = parser.parse_args(arguments).pods
    console, record = Console(), Record("admission")
    tools = ensure(["pulumi", "cluster", "controllers", "check", "bench"])
    with tempfile.TemporaryDirectory(prefix="zero-trust-bench-") as scratch, plane(Path(scratch)) as state:
        measured = _measure(Path(scratch), state, tools, count, console, record)
    ratios = _print(console, measured)
    console.print(record.figure("critical-tier", ratios["critical tier"]))
    console.print(record.figure("library", ratios["whole library"] / ratios["upstream restricted set"]))
    console.print(f"written to {record.path.relative_to(PROJECT)}")
    return 0


def _measure(
    scratch: Path, state: State, tools: Path, count: int, console: Console, record: Record
) -> dict[str, Latencies]:
    core: Any = client.CoreV1Api(config.new_client_from_config(str(state.kubeconfig)))
    core.create_namespace({"metadata": {"name": BARE}})
    for namespace in (BARE, FREE):
        core.create_namespaced_service_account(namespace, {"metadata": {"name": "api"}})
    environment = pulumi_environment(state, tools)
    found: dict[str, Latencies] = {}

    def measure(name: str, namespace: str = GOVERNED) -> None:
        console.print(f"measuring: {name}")
        time.sleep(_SETTLE_SECONDS)
        found[name] = _latencies(core, namespace, count)
        record.value(name, {"milliseconds": found[name]})

    measure("no rules", BARE)
    for name, posture in (("critical tier", _OFF | _REST_OFF), ("whole library", _OFF)):
        _up(scratch / "checkout", posture, tools, environment)
        if not found.keys() - {"no rules"}:
            core.create_namespaced_service_account(GOVERNED, {"metadata": {"name": "api"}})
        measure(name)
    kubectl = str(tools / "kubectl")
    _run([kubectl, "delete", "validatingadmissionpolicybindings", *_OF_MEMBERS], environment)
    measure("the library alone")
    _replace_by_upstream(tools, environment)
    measure("upstream restricted set")
    return found


def _up(directory: Path, posture: Mapping[str, object], tools: Path, environment: Mapping[str, str]) -> None:
    stack = {
        "zero-trust:environment": "production",
        "zero-trust:registries": ["registry.example.org"],
        "zero-trust:posture": {layer: {"value": value, "reason": _REASON} for layer, value in posture.items()},
    }
    known = (directory / f"Pulumi.{STACK}.yaml").exists()
    salt = yaml.safe_load((directory / f"Pulumi.{STACK}.yaml").read_text()).get("encryptionsalt") if known else None
    checkout(directory, 1, {"config": stack} | ({"encryptionsalt": salt} if salt else {}))
    commands = [["up", "--yes", "--skip-preview", "--stack", STACK, "--non-interactive"]]
    for arguments in [*([] if known else [["stack", "init", STACK, *PASSPHRASE]]), *commands]:
        _run([str(tools / "pulumi"), *arguments], environment, directory)


def _replace_by_upstream(tools: Path, environment: Mapping[str, str]) -> None:
    kubectl = str(tools / "kubectl")
    kinds = "validatingpolicies,mutatingpolicies,generatingpolicies"
    _run([kubectl, "delete", f"{kinds}", "--all"], environment)
    chart = module_dir("github.com/kyverno/kyverno") / _UPSTREAM
    values = "podSecurityStandard=restricted,validationFailureAction=Enforce"
    options = ["--kube-version", KUBERNETES_VERSION, "--set", values]
    rendered = _run([str(tools / "helm"), "template", "upstream", str(chart), *options], environment)
    _run([kubectl, "apply", "--server-side", "-f", "-"], environment, stdin=rendered)
    _run(
        [kubectl, "wait", "--for=jsonpath={.status.conditionStatus.ready}=true", "validatingpolicies", "--all"],
        environment,
    )


def _run(command: list[str], environment: Mapping[str, str], directory: Path | None = None, stdin: str = "") -> str:
    ran = subprocess.run(
        command, cwd=directory, env=dict(environment), input=stdin, capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        raise SystemExit(f"{' '.join(command)} exited with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def _latencies(core: Any, governed: str, count: int) -> Latencies:
    """Milliseconds of each creation, in the namespace under rules and in the one without."""
    found: Latencies = {GOVERNED: [], FREE: []}
    for number in range(_WARM_UP + count):
        for namespace, values in ((governed, found[GOVERNED]), (FREE, found[FREE])):
            name = f"bench-{number}"
            started = time.perf_counter()
            core.create_namespaced_pod(namespace, _pod(name))
            elapsed = (time.perf_counter() - started) * 1000
            core.delete_namespaced_pod(name, namespace, grace_period_seconds=0)
            if number >= _WARM_UP:
                values.append(round(elapsed, 3))
    return found


def _pod(name: str) -> dict[str, Any]:
    """The pod that every rule admits and none has to fill in, out of the scheduler's reach."""
    baseline = yaml.safe_load((LIBRARY / "baseline.yaml").read_text())
    spec = {**baseline["podSpec"], "schedulingGates": [{"name": "example.org/bench"}]}
    labels = {**baseline["labels"], "app.kubernetes.io/part-of": GOVERNED}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}


def _print(console: Console, measured: Mapping[str, Latencies]) -> dict[str, float]:
    """Print the percentiles; the ratio of the medians for each set of rules."""
    ratios: dict[str, float] = {}
    table = Table("rules", "p50", "p99", "p50 without", "p99 without", "ratio p50", "ratio p99")
    for name, found in measured.items():
        own, free = percentiles(found[GOVERNED]), percentiles(found[FREE])
        ratios[name] = own[0] / free[0]
        shown = [f"{value:.1f} ms" for value in (*own, *free)]
        table.add_row(name, *shown, *(f"{a / b:.2f}" for a, b in zip(own, free, strict=True)))
    console.print(table)
    return ratios


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
