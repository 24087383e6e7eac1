"""Custom objects as the API server reads them: by the schemas of the definitions that the pinned charts bring.

Only the rules in CEL are left to a real API server. https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml
from jsonschema import Draft202012Validator

from embedded.toolchain.charts import stage_charts
from tests.policy.test_chart_images import upgraded

Schema = dict[str, Any]
Definitions = Mapping[tuple[str, str], Draft202012Validator]
"""The schema of each custom kind, by `apiVersion` and `kind`."""

_CHARTS = ("base", "kyverno", "cert-manager", "external-secrets")
_IS_ONE = re.compile(r"^kind: CustomResourceDefinition\s*$", re.MULTILINE)
_INTEGERS = {"int32": 2**31, "int64": 2**63}
# What every object has, and no definition says.
_OF_EVERY_OBJECT: Schema = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {"type": "object"},
}


def definitions(folder: Path) -> Definitions:
    """The schemas of every version that is served; `folder` is where Helm's values are written."""
    texts = [upgraded(folder, chart) for chart in _CHARTS]
    texts.append((stage_charts() / "gateway-api.yaml").read_text(encoding="utf-8"))
    known: dict[tuple[str, str], Draft202012Validator] = {}
    for text in texts:
        for part in re.split(r"^---.*$", text, flags=re.MULTILINE):
            # The other objects are many, and take long to read.
            if _IS_ONE.search(part):
                known |= _versions(yaml.load(part, yaml.CSafeLoader)["spec"])
    return known


def _versions(spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Draft202012Validator]]:
    kind = spec["names"]["kind"]
    for version in spec["versions"]:
        if version["served"]:
            schema = _closed(version["schema"]["openAPIV3Schema"])
            schema["properties"] = {**schema.get("properties", {}), **_OF_EVERY_OBJECT}
            yield (f"{spec['group']}/{version['name']}", kind), Draft202012Validator(schema)


def _closed(schema: Schema) -> Schema:
    """The schema as JSON Schema, with what the API server does beyond that.

    It refuses `null` where that is not said, and drops fields that are not there: nobody writes one to have it dropped.
    """
    made = {key: value for key, value in schema.items() if key not in ("nullable", "format", "type")}
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    elif kind := schema.get("type"):
        made["type"] = [kind, "null"] if schema.get("nullable") else kind
    if (limit := _INTEGERS.get(schema.get("format", ""))) and schema.get("type") == "integer":
        made |= {
            "minimum": max(schema.get("minimum", -limit), -limit),
            "maximum": min(schema.get("maximum", limit), limit - 1),
        }
    if "properties" in schema:
        made["properties"] = {name: _closed(each) for name, each in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            made[key] = _closed(schema[key])
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-embedded-resource")
    if "properties" in schema and "additionalProperties" not in schema and not open_ended:
        made["additionalProperties"] = False
    return made


def problems(objects: Iterable[Mapping[str, Any]], known: Definitions) -> list[str]:
    """What the definitions refuse of these objects, and the custom kinds that no definition has."""
    found: list[str] = []
    groups = {version.partition("/")[0] for version, _ in known}
    for each in objects:
        kind = (each["apiVersion"], each["kind"])
        if kind[0].partition("/")[0] not in groups:
            continue
        if kind not in known:
            found.append(f"{kind[1]} {each['metadata']['name']}: no definition of {kind[0]}")
            continue
        errors = cast("Iterator[Any]", known[kind].iter_errors(each))  # pyright: ignore[reportUnknownMemberType]
        found += [f"{kind[1]} {each['metadata']['name']}: {error.json_path}: {error.message}" for error in errors]
    return found
