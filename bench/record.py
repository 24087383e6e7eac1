"""What a bench measured, written as soon as it is: a run that ends half-way keeps what it has."""

import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

import psutil

from bench.figures import BY_NAME
from embedded.toolchain.table import KUBERNETES_VERSION

RESULTS = Path(__file__).resolve().parent / "results"


class Record:
    """The file of one run below `bench/results/`: its figures, all measured values, the machine and the versions."""

    def __init__(self, bench: str) -> None:
        self._date = time.strftime("%Y-%m-%d")
        self._figures: dict[str, float] = {}
        self._values: dict[str, object] = {}
        self.path = RESULTS / f"{bench}-{time.strftime('%Y%m%dT%H%M%S')}.json"

    def figure(self, name: str, value: float) -> str:
        """Write a figure of the table. Returns a line that says it, with its goal."""
        figure = BY_NAME[name]
        self._figures[name] = round(value, 3)
        self._write()
        return f"{figure.what}: {value:.2f} {figure.unit} (goal: at most {figure.goal:g})"

    def value(self, name: str, value: object) -> None:
        """Write anything else that was measured."""
        self._values[name] = value
        self._write()

    def _write(self) -> None:
        RESULTS.mkdir(exist_ok=True)
        content = {
            "date": self._date,
            "machine": f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, {platform.machine()}",
            "versions": {
                "kubernetes": KUBERNETES_VERSION,
                "python": platform.python_version(),
                "pulumi": version("pulumi"),
                "pulumi-kubernetes": version("pulumi-kubernetes"),
            },
            "figures": self._figures,
            "values": self._values,
        }
        fresh = self.path.with_suffix(".part")
        fresh.write_text(json.dumps(content, indent=2) + "\n")
        fresh.replace(self.path)
