"""`python -m bench`: Pulumi against kubectl, on the same objects, the same API server, in the same run.

For each number of services it measures the first preview, the first `up`, an `up` that changes nothing and `destroy`,
then `kubectl apply --server-side`, `kubectl diff` and `kubectl delete` of the very objects that the program asked for.
Prints ratios and writes everything measured as JSON to `bench/results/`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.measure import CommandFailedError, Measurement, measure
from bench.plane import RESULTS, plane
from bench.workload import PROJECT, STACK, checkout, manifests, write_manifests
from embedded.pulumi_stack import PASSPHRASE, pulumi_environment
from embedded.toolchain import ensure

SIZES = (1, 10, 50, 100)
# What each step of Pulumi is compared with.
PEERS = {"preview": "diff", "up": "apply", "no-change up": "diff", "destroy": "delete"}

Row = dict[str, Measurement]


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; 0 when every command did what it should."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--services", type=int, nargs="+", default=list(SIZES), help="how many copies of the service")
    options = parser.parse_args(arguments)
    console = Console()
    tools = ensure(["pulumi", "cluster", "bench"])
    try:
        with tempfile.TemporaryDirectory(prefix="zero-trust-bench-") as scratch, plane(Path(scratch)) as state:
            environment = pulumi_environment(state, tools)
            rows = {
                count: _measure(count, Path(scratch), tools, environment, console.print) for count in options.services
            }
    except CommandFailedError as error:
        console.print(str(error), markup=False)
        return 1
    _print(console, rows)
    console.print(f"written to {_write(rows).relative_to(PROJECT)}")
    return 0


def _measure(count: int, scratch: Path, tools: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> Row:
    directory = checkout(scratch / f"services-{count}", count)
    pulumi, kubectl = str(tools / "pulumi"), str(tools / "kubectl")
    quiet = ("--stack", STACK, "--non-interactive")

    def run(step: str, *command: str) -> Measurement:
        found = measure(command, environment, directory)
        say(f"{count:>4} services  {step:<14} {found.seconds:7.2f} s  {found.peak_mib:7.1f} MiB")
        return found

    measure((pulumi, "stack", "init", STACK, *PASSPHRASE), environment, directory)
    row = {
        "preview": run("preview", pulumi, "preview", *quiet),
        "up": run("up", pulumi, "up", "--yes", "--skip-preview", *quiet),
    }
    objects = write_manifests(_objects(pulumi, environment, directory), scratch / f"services-{count}.json")
    row["no-change up"] = run("no-change up", pulumi, "up", "--yes", "--skip-preview", *quiet)
    row["destroy"] = run("destroy", pulumi, "destroy", "--yes", "--skip-preview", *quiet)
    measure((pulumi, "stack", "rm", STACK, "--yes"), environment, directory)
    row["apply"] = run("kubectl apply", kubectl, "apply", "--server-side", "-f", str(objects))
    row["diff"] = run("kubectl diff", kubectl, "diff", "--server-side", "-f", str(objects))
    row["delete"] = run("kubectl delete", kubectl, "delete", "-f", str(objects))
    return row


def _objects(pulumi: str, environment: Mapping[str, str], directory: Path) -> list[dict[str, object]]:
    exported = subprocess.run(
        [pulumi, "stack", "export", "--stack", STACK],
        cwd=directory,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=True,
    )
    return manifests(json.loads(exported.stdout))


def _print(console: Console, rows: Mapping[int, Row]) -> None:
    table = Table("services", *(f"{step} / {peer}" for step, peer in PEERS.items()), "peak memory, up", "growth of up")
    previous: Row | None = None
    for count, row in rows.items():
        ratios = [f"{row[step].seconds / row[peer].seconds:.1f}" for step, peer in PEERS.items()]
        growth = f"{row['up'].seconds / previous['up'].seconds:.1f}" if previous else "-"
        table.add_row(str(count), *ratios, f"{row['up'].peak_mib:.0f} MiB", growth)
        previous = row
    console.print(table)


def _write(rows: Mapping[int, Row]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{time.strftime('%Y%m%dT%H%M%S')}.json"
    measured = {count: {step: asdict(found) for step, found in row.items()} for count, row in rows.items()}
    target.write_text(json.dumps({"services": measured, "cores": os.cpu_count()}, indent=2) + "\n")
    return target


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
