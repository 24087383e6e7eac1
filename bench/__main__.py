"""`python -m bench`: Pulumi against kubectl, on the same objects, the same API server, in the same run.

For each number of services it measures the first preview, the first `up`, an `up` that changes nothing and `destroy`,
then `kubectl apply --server-side`, `kubectl diff` and `kubectl delete` of the very objects that the program asked for.
Prints ratios. Each row is written to `bench/results/` when it is measured.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figures import BY_NAME
from bench.measure import CommandFailedError, Measurement, measure
from bench.plane import plane
from bench.record import Record
from bench.workload import PROJECT, STACK, checkout, manifests, write_manifests
from embedded.pulumi_stack import PASSPHRASE, pulumi_environment
from embedded.toolchain import ensure

SIZES = (1, 10, 50, 100)
# What each step of Pulumi is compared with.
PEERS = {"preview": "diff", "up": "apply", "no-change up": "diff", "destroy": "delete"}
# How the largest stack is compared: with as many times the smaller one.
_LARGEST, _COMPARED = 500, 100

Row = dict[str, Measurement]


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; 0 when every command did what it should."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--services", type=int, nargs="+", default=list(SIZES), help="how many copies of the service")
    options = parser.parse_args(arguments)
    console, record = Console(), Record("services")
    tools = ensure(["pulumi", "cluster", "bench"])
    rows: dict[int, Row] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="zero-trust-bench-") as scratch, plane(Path(scratch)) as state:
            environment = pulumi_environment(state, tools)
            for count in options.services:
                rows[count] = _measure(count, Path(scratch), tools, environment, console.print)
                record.value(f"{count} services", {step: asdict(value) for step, value in rows[count].items()})
                for name, value in figures(count, rows):
                    console.print(record.figure(name, value))
    except CommandFailedError as error:
        console.print(str(error), markup=False)
        return 1
    finally:
        _print(console, rows)
    console.print(f"written to {record.path.relative_to(PROJECT)}")
    return 0


def figures(count: int, rows: Mapping[int, Row]) -> Iterator[tuple[str, float]]:
    """The figures of the table that these rows give for a number of services."""
    row = rows[count]
    values = {
        f"up-{count}": row["up"].seconds / row["apply"].seconds,
        f"no-change-{count}": row["no-change up"].seconds / row["diff"].seconds,
        f"destroy-{count}": row["destroy"].seconds / row["up"].seconds,
        f"preview-{count}": row["preview"].seconds,
        f"same-{count}": row["no-change up"].seconds,
        f"memory-{count}": row["up"].peak_mib,
    }
    if count == _LARGEST and _COMPARED in rows:
        linear = rows[_COMPARED]["up"].seconds * _LARGEST / _COMPARED
        values[f"growth-{count}"] = row["up"].seconds / linear
    return ((name, value) for name, value in values.items() if name in BY_NAME)


def _measure(count: int, scratch: Path, tools: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> Row:
    directory = checkout(scratch / f"services-{count}", count)
    pulumi, kubectl = str(tools / "pulumi"), str(tools / "kubectl")
    quiet = ("--stack", STACK, "--non-interactive")

    def run(step: str, *command: str) -> Measurement:
        value = measure(command, environment, directory)
        say(f"{count:>4} services  {step:<14} {value.seconds:7.2f} s  {value.peak_mib:7.1f} MiB")
        return value

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
    row["delete"] = run("kubectl delete", kubectl, "delete", "--ignore-not-found", "-f", str(objects))
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
