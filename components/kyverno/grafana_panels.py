"""Panels of a Grafana dashboard in the classic format, and their positions.

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from collections.abc import Iterable, Sequence
from typing import Any

from components.kube.manifest import Manifest

_WIDTH = 24


def query(expression: str, legend: str = "", *, instant: bool = False) -> Manifest:
    """A query in PromQL."""
    target: Manifest = {"expr": expression, "editorMode": "code", "instant": instant, "range": not instant}
    if legend:
        target["legendFormat"] = legend
    return target


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
    """A panel of a Grafana type such as `timeseries`. With the unit `percentunit` it is red below 90 %."""
    datasource = {"type": "prometheus", "uid": "${datasource}"}
    defaults: Manifest = {"unit": unit, "noValue": "none", "min": 0, "mappings": list(mappings)}
    if unit == "percentunit":
        steps = [{"color": "red", "value": None}, {"color": "orange", "value": 0.9}, {"color": "green", "value": 1}]
        defaults |= {"max": 1, "decimals": 1, "thresholds": {"mode": "absolute", "steps": steps}}
    if kind == "timeseries":
        opacity = 60 if draw == "bars" else 0
        defaults["custom"] = {"drawStyle": draw, "fillOpacity": opacity, "stacking": {"mode": _stacking(draw)}}
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
    """Options that merge two instant queries, the share and the failures, into a table with the lowest share first."""
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
    """The panels with their ids and positions: each row is a height and the panels that share its width equally.

    Panels without a query are left out: their tiers have no rule.
    """
    panels_placed: list[Manifest] = []
    top = 0
    for height, row in rows:
        panels = [candidate for candidate in row if candidate["targets"]]
        if not panels:
            continue
        width = _WIDTH // len(panels)
        for column, manifest in enumerate(panels):
            grid = {"x": column * width, "y": top, "w": width, "h": height}
            panels_placed.append({"id": len(panels_placed) + 1, **manifest, "gridPos": grid})
        top += height
    return panels_placed
