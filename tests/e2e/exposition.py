"""What controllers expose of themselves, and whether PromQL queries use nothing else."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_STRING = r'"(?:[^"\\]|\\.)*"'
_LABEL = re.compile(rf"(\w+)\s*(=~|!~|!=|=)\s*({_STRING})")
_SAMPLE = re.compile(rf"([a-zA-Z_:][\w:]*)(\{{(?:[^{{}}\"]|{_STRING})*\}})? (\S+)")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
_LABEL_REPLACE = re.compile(rf',\s*"(\w+)",\s*{_STRING},\s*"(\w+)",\s*{_STRING}\s*\)')
_WORD = re.compile(rf"{_STRING}|\[[^\]]*\]|(?<![\w.])([a-zA-Z_:][\w:]*)(\{{(?:[^{{}}\"]|{_STRING})*\}})?(\s*\()?")
_OPERATORS = {"or", "and", "unless"}

Exposed = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Series:
    """One time series."""

    metric: str
    labels: Mapping[str, str]
    value: float = 0


@dataclass(frozen=True)
class Selector:
    """A metric in a query, with its matchers as label, operator and value."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]

    def selects(self, series: Series) -> bool:
        return self.metric == series.metric and all(
            _holds(series.labels.get(label, ""), operator, value) for label, operator, value in self.matchers
        )


def _holds(found: str, operator: str, value: str) -> bool:
    same = bool(re.fullmatch(value, found)) if "~" in operator else found == value
    return same != operator.startswith("!")


def parse(text: str) -> list[Series]:
    """The series of an answer in the Prometheus text format."""
    found = [_SAMPLE.match(line) for line in text.splitlines() if not line.startswith("#")]
    return [
        Series(match[1], {label: value for label, _, value in _labels(match[2])}, float(match[3]))
        for match in found
        if match
    ]


def labels_by_metric(series: Iterable[Series]) -> dict[str, frozenset[str]]:
    """Every metric with the labels that any of its series has."""
    exposed: dict[str, frozenset[str]] = {}
    for one in series:
        exposed[one.metric] = exposed.get(one.metric, frozenset()) | one.labels.keys()
    return exposed


def selectors(query: str) -> list[Selector]:
    """Every metric that a query reads."""
    words = _WORD.finditer(_GROUPING.sub("", query))
    return [
        Selector(word[1], _labels(word[2])) for word in words if word[1] and not word[3] and word[1] not in _OPERATORS
    ]


def problems(query: str, exposed: Exposed) -> list[str]:
    """The metrics that nothing exposes, and the labels that no series of their metric has.

    A label that a query groups or joins by has to be one of any of its metrics: which one, the parts of a join share.
    """
    used = selectors(query)
    found = [f"no metric {one.metric}" for one in used if one.metric not in exposed]
    found += [
        f"no label {label} of {one.metric}"
        for one in used
        for label, _, _ in one.matchers
        if one.metric in exposed and label not in exposed[one.metric]
    ]
    available = {label for one in used for label in exposed.get(one.metric, ())}
    replaced = _LABEL_REPLACE.findall(query)
    named = {label.strip() for group in _GROUPING.findall(query) for label in group.split(",")}
    missing = {source for _, source in replaced} | (named - {target for target, _ in replaced})
    found += [f"no label {label} in {query}" for label in sorted(missing - available)]
    return found


def _labels(braces: str | None) -> tuple[tuple[str, str, str], ...]:
    found = _LABEL.findall(braces or "")
    return tuple((label, operator, value[1:-1].replace('\\"', '"')) for label, operator, value in found)
