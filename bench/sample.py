"""`python -m bench.sample`: what a person waits for with the sample of three services, on a control plane of its own.

The first `make up` on nothing, `make preview` and `make up` without a change, `zt check`, the CPU time of the control
plane while nobody asks it anything, and the `make up` of a stopped one. Tools must be there: `make tools`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
from rich.console import Console

from bench.measure import CommandFailedError, Measurement, measure
from bench.record import Record
from bench.workload import PROJECT
from embedded.paths import STATE_VARIABLE

STACK = "production"
# Kyverno's scan and the tokens' renewal come less often than that: an average over less would miss them.
_IDLE_SECONDS = 180


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; 0 when every command did what it should."""
    parser = argparse.ArgumentParser(prog="python -m bench.sample", description=__doc__)
    parser.add_argument("--idle", type=int, default=_IDLE_SECONDS, help="seconds over which the idle plane is measured")
    idle: int = parser.parse_args(arguments).idle
    console, record = Console(), Record("sample")
    with tempfile.TemporaryDirectory(prefix="zero-trust-bench-") as scratch:
        environment = os.environ | {STATE_VARIABLE: str(Path(scratch) / "embedded"), "NO_COLOR": "1"}
        try:
            _measure(environment, idle, console, record)
        except CommandFailedError as error:
            console.print(str(error), markup=False)
            return 1
        finally:
            subprocess.run([sys.executable, "-m", "embedded", "down"], cwd=PROJECT, env=environment, check=False)
    console.print(f"written to {record.path.relative_to(PROJECT)}")
    return 0


def _measure(environment: Mapping[str, str], idle: int, console: Console, record: Record) -> None:
    def embedded(verb: str, *options: str) -> Measurement:
        return measure((sys.executable, "-m", "embedded", verb, *options), environment, PROJECT)

    def figure(name: str, seconds: float) -> None:
        console.print(record.figure(name, seconds))

    zt = Path(sys.executable).with_name("zt")
    check = (str(zt), "check", "--stack", STACK, "--embedded")
    figure("first-stack", embedded("up", "--stack", STACK).seconds)
    # What the first one keeps for the next is a cache like that of the tools.
    measure(check, environment, PROJECT)
    figure("check", measure(check, environment, PROJECT).seconds)
    figure("sample-preview", embedded("preview", "--stack", STACK).seconds)
    figure("sample-up", embedded("up", "--stack", STACK).seconds)
    shares = _idle(Path(environment[STATE_VARIABLE]), idle)
    record.value("idle, % of a core", shares)
    figure("idle", sum(shares.values()))
    embedded("down")
    figure("boot", embedded("up", "--stack", STACK).seconds)


def _idle(state: Path, seconds: int) -> dict[str, float]:
    """The share of a core that each program of the control plane takes, in percent, the largest first."""
    pid = int((state / "run" / "supervisor.pid").read_text())
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    before = {process: _cpu_seconds(process) for process in family}
    time.sleep(seconds)
    shares: dict[str, float] = {}
    for process, spent in before.items():
        name = process.name() if process.pid != pid else "supervisor"
        shares[name] = shares.get(name, 0.0) + (_cpu_seconds(process) - spent) / seconds * 100
    return {name: round(share, 2) for name, share in sorted(shares.items(), key=lambda item: -item[1])}


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
