"""The types of the package: what a service file says, as the SDKs of other languages know it."""

from collections.abc import Mapping
from typing import Any, cast

from components.service.file.service import ServiceSpec

Schema = dict[str, Any]
_ANY: Schema = {"$ref": "pulumi.json#/Any", "plain": True}


def service_types(package: str) -> tuple[Schema, dict[str, Schema]]:
    """The type of a service, and all types that are in it, in the schema of a Pulumi package.

    Each is plain, which is Pulumi's word for a value that no resource gives. Limits, patterns and what two keys say
    together have no words there: the component checks them. https://www.pulumi.com/docs/iac/guides/building-extending/packages/schema/
    """
    model = ServiceSpec.model_json_schema(by_alias=True)
    # Of the file, whose name it has; here the resource's.
    model["required"].remove("name")
    objects: dict[str, Schema] = {**model["$defs"], ServiceSpec.__name__: model}
    types = {f"{package}:index:{name}": _object(package, each) for name, each in sorted(objects.items())}
    return {"$ref": _reference(package, ServiceSpec.__name__), "plain": True}, types


def _reference(package: str, name: str) -> str:
    return f"#/types/{package}:index:{name}"


def _object(package: str, schema: Schema) -> Schema:
    properties = {
        key: {**_type(package, field), **_described(field)}
        for key, field in cast("Mapping[str, Schema]", schema["properties"]).items()
    }
    made: Schema = {"type": "object", "description": schema.get("description", ""), "properties": properties}
    return {**made, "required": sorted(schema.get("required", ()))}


def _described(field: Schema) -> Schema:
    return {"description": field["description"]} if "description" in field else {}


def _type(package: str, field: Schema) -> Schema:
    """The type of a value: one of several where the file may say it in several ways."""
    if "$ref" in field:
        return {"$ref": _reference(package, field["$ref"].rpartition("/")[2]), "plain": True}
    if variants := [each for each in field.get("anyOf", field.get("oneOf", ())) if each.get("type") != "null"]:
        return _one_of([_type(package, each) for each in variants])
    if "type" not in field and "enum" in field:
        kinds = {"boolean" if isinstance(value, bool) else "string": None for value in field["enum"]}
        return _one_of([{"type": kind, "plain": True} for kind in kinds])
    made: Schema = {"type": field["type"], "plain": True}
    if field["type"] == "array":
        return {**made, "items": _type(package, field["items"])}
    if field["type"] == "object":
        values: Schema | bool = field.get("additionalProperties", True)
        return {**made, "additionalProperties": _ANY if isinstance(values, bool) else _type(package, values)}
    return made


def _one_of(kinds: list[Schema]) -> Schema:
    # Texts of several patterns are one type.
    different = [kind for number, kind in enumerate(kinds) if kind not in kinds[:number]]
    return different[0] if len(different) == 1 else {"oneOf": different, "plain": True}
