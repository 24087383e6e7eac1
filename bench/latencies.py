"""What the benches of single requests have in common: the percentiles that they show, and the file of all values."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles

from bench.plane import RESULTS


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """The median and the 99th percentile."""
    cuts = quantiles(values, n=100)
    return cuts[49], cuts[98]


def write_milliseconds(bench: str, measured: object) -> Path:
    """Write what a bench measured beside the other results, and return the file."""
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{bench}-{time.strftime('%Y%m%dT%H%M%S')}.json"
    target.write_text(json.dumps({"milliseconds": measured, "cores": os.cpu_count()}, indent=2) + "\n")
    return target
