"""Panels of a Grafana dashboard in its classic format, and their places on the page.

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from collections.abc import Iterable, Sequence
from typing import Any

Manifest = dict[str, Any]

_WIDTH = 24


def query(expression: str, legend: str = "", *, instant: bool = False) -> Manifest:
    """A query in PromQL."""
    made: Manifest = {"expr": expression, "editorMode": "code", "instant": instant, "range": not instant}
    if legend:
        made["legendFormat"] = legend
    return made


def panel(
    kind: str,
    title: str,
    description: str,
    queries: Sequence[Manifest],
    *,
    unit: str,
    mappings: Sequence[Manifest] = (),
    draw: str = "line",
    **more: object,
) -> Manifest:
    """A panel of a kind of Grafana's, as `timeseries`. A share, in `percentunit`, is red below 90 %."""
    datasource = {"type": "prometheus", "uid": "${datasource}"}
    defaults: Manifest = {"unit": unit, "noValue": "none", "min": 0, "mappings": list(mappings)}
    if unit == "percentunit":
        steps = [{"color": "red", "value": None}, {"color": "orange", "value": 0.9}, {"color": "green", "value": 1}]
        defaults |= {"max": 1, "decimals": 1, "thresholds": {"mode": "absolute", "steps": steps}}
    if kind == "timeseries":
        filled = 60 if draw == "bars" else 0
        defaults["custom"] = {"drawStyle": draw, "fillOpacity": filled, "stacking": {"mode": _stacking(draw)}}
        more.setdefault("options", {"legend": {"displayMode": "list", "placement": "bottom"}})
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": datasource,
        "targets": [
            {**target, "refId": ref_id, "datasource": datasource}
            for ref_id, target in zip("ABCDEFGH", queries, strict=False)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": more.pop("overrides", [])},
        **more,
    }


def _stacking(draw: str) -> str:
    return "normal" if draw == "bars" else "none"


def compliance_table(key: str, heading: str) -> dict[str, Any]:
    """What makes of two instant queries, the share and the failures, one table with the lowest share on top."""
    share, failing = "Compliance", "Failing results"
    return {
        "transformations": [
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "renameByName": {key: heading, "Value #A": share, "Value #B": failing},
                },
            },
            {"id": "sortBy", "options": {"sort": [{"field": share, "desc": False}]}},
        ],
        "overrides": [
            {
                "matcher": {"id": "byName", "options": failing},
                "properties": [{"id": "unit", "value": "none"}, {"id": "max", "value": None}],
            },
            {
                "matcher": {"id": "byName", "options": share},
                "properties": [{"id": "custom.cellOptions", "value": {"type": "color-background"}}],
            },
        ],
        "options": {"showHeader": True},
    }


def placed(rows: Iterable[tuple[int, Sequence[Manifest]]]) -> list[Manifest]:
    """The panels with their ids and places: each row is a height and the panels that share its width equally.

    A panel without a query is one of tiers without a rule.
    """
    found: list[Manifest] = []
    top = 0
    for height, row in rows:
        panels = [each for each in row if each["targets"]]
        if not panels:
            continue
        width = _WIDTH // len(panels)
        for column, each in enumerate(panels):
            grid = {"x": column * width, "y": top, "w": width, "h": height}
            found.append({"id": len(found) + 1, **each, "gridPos": grid})
        top += height
    return found
