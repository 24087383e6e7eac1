"""The percentiles that the benches of single requests show."""

from collections.abc import Sequence
from statistics import quantiles


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """The median and the 99th percentile."""
    cuts = quantiles(values, n=100)
    return cuts[49], cuts[98]
