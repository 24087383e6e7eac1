"""The figures that the benches measure, each with its goal, and those that were last accepted.

`python -m bench.figures accept FILE...` takes over what runs have written to `bench/results/`, and `make docs` then
writes `bench/README.md` anew. `python -m bench.figures compare FILE...` ends with 1 when a ratio is more than a tenth
above the accepted one: seconds differ between machines, and are not compared.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ACCEPTED = Path(__file__).parent / "accepted.json"
_TOLERANCE = 1.1

Unit = Literal["s", "CPU s", "MiB", "ms", "% of a core", "ratio"]


@dataclass(frozen=True)
class Figure:
    """What a value of a bench says, its unit, the goal that it should not exceed, and the command that measures it."""

    name: str
    what: str
    unit: Unit
    goal: float
    command: str = "bench"


def _against_kubectl(count: int) -> tuple[Figure, Figure]:
    return (
        Figure(f"up-{count}", f"first `up`, {count} services / `kubectl apply --server-side`", "ratio", 1.5),
        Figure(f"no-change-{count}", f"`up` without a change, {count} services / `kubectl diff`", "ratio", 1.3),
    )


FIGURES: tuple[Figure, ...] = (
    Figure("cold", "cold set-up of `make up`: all of its tools, with empty caches", "CPU s", 1900, "bench.cold"),
    Figure("first-stack", "first `make up` on nothing, tools cached", "s", 40, "bench.sample"),
    Figure("boot", "`make up` of a stopped control plane that has its stack", "s", 20, "bench.sample"),
    Figure("sample-preview", "`make preview` without a change, sample", "s", 5, "bench.sample"),
    Figure("sample-up", "`make up` without a change, sample", "s", 7, "bench.sample"),
    Figure("check", "`zt check` of the sample, tools built", "s", 8, "bench.sample"),
    Figure("check-200", "`zt check` of 200 services, tools built", "s", 40, "bench.check"),
    Figure("idle", "an idle control plane with its stack", "% of a core", 5, "bench.sample"),
    *_against_kubectl(50),
    Figure("destroy-50", "`destroy` of 50 services / their first `up`", "ratio", 1.0),
    *_against_kubectl(100),
    Figure("preview-200", "first `preview`, 200 services", "s", 15),
    Figure("same-200", "`up` without a change, 200 services", "s", 12),
    Figure("memory-200", "peak memory of an `up`, 200 services", "MiB", 600),
    Figure("growth-500", "first `up`, 500 services / five times that of 100", "ratio", 1.15),
    Figure("critical-tier", "creation of a pod, critical tier / no rules", "ratio", 1.3, "bench.admission"),
    Figure("library", "creation of a pod, whole library / upstream's restricted set", "ratio", 1.0, "bench.admission"),
    Figure("mtls", "added to a round trip by two sidecars, median", "ms", 0.5, "bench.mtls"),
)
BY_NAME = {figure.name: figure for figure in FIGURES}


def accepted() -> dict[str, Any]:
    """The accepted values by figure: each with its `value`, the `date` and the `machine`; {} before the first."""
    return json.loads(ACCEPTED.read_text()) if ACCEPTED.exists() else {}


def accept(results: Iterable[Path]) -> None:
    """Take over the figures of these results. Raises `KeyError` for one that is not in the table."""
    values = accepted()
    for path in results:
        result = json.loads(path.read_text())
        for name, value in result["figures"].items():
            values[BY_NAME[name].name] = {"value": value, "date": result["date"], "machine": result["machine"]}
    ordered = {name: values[name] for name in BY_NAME if name in values}
    ACCEPTED.write_text(json.dumps(ordered, indent=2) + "\n")


def worse(figures: Mapping[str, float]) -> list[str]:
    """A line for each ratio that is more than a tenth above the accepted one."""
    known = accepted()
    return [
        f"{BY_NAME[name].what}: {value:.2f}, accepted is {known[name]['value']:.2f}"
        for name, value in figures.items()
        if name in known and BY_NAME[name].unit == "ratio" and value > known[name]["value"] * _TOLERANCE
    ]


def table() -> str:
    """The figures, their goals and the accepted values, in Markdown."""
    lines = ["| what | goal, at most | measured | | command |", "| --- | --- | --- | --- | --- |"]
    known = accepted()
    for figure in FIGURES:
        measured, verdict = "not yet", ""
        if entry := known.get(figure.name):
            measured = f"{_amount(entry['value'], figure)} ({entry['date']})"
            verdict = "met" if entry["value"] <= figure.goal else "missed"
        command = f"`python -m {figure.command}`"
        lines.append(f"| {figure.what} | {_amount(figure.goal, figure)} | {measured} | {verdict} | {command} |")
    return "\n".join(lines)


def _amount(value: float, figure: Figure) -> str:
    """Three digits, which is more than two runs agree on."""
    number = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
    return number if figure.unit == "ratio" else f"{number} {figure.unit}"


def main(arguments: Sequence[str]) -> int:
    """Accept or compare; 1 when a ratio got worse."""
    parser = argparse.ArgumentParser(prog="python -m bench.figures", description=__doc__)
    parser.add_argument("verb", choices=("accept", "compare"))
    parser.add_argument("results", type=Path, nargs="+", metavar="FILE", help="what a bench wrote to bench/results/")
    options = parser.parse_args(arguments)
    if options.verb == "accept":
        accept(options.results)
        return 0
    lines = [line for path in options.results for line in worse(json.loads(path.read_text())["figures"])]
    for line in lines:
        sys.stderr.write(f"{line}\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
