"""What the JSON Schema of a file says of a value, so that an editor marks what the loader refuses.

The loader has validators of its own, which say more and in sentences; a test holds the two against each other.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class Shape:
    """The pattern of a text, in Python's notation, and what else the schema says of it."""

    pattern: str = ""
    more: dict[str, Any] = field(default_factory=dict[str, Any], hash=False)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The schema of the type with the pattern."""
        made = {**handler(schema), **self.more}
        if self.pattern:
            made["pattern"] = f"^(?:{re.sub('[?]P<[a-z]+>', '?:', self.pattern)})$"
        return made


class FileSchema(GenerateJsonSchema):
    """The JSON Schema of a file, in which a mapping has no key beside those that its pattern allows.

    A list has each entry once, as `components/schema/repeats.py` says.
    """

    def tuple_schema(self, schema: core_schema.TupleSchema) -> JsonSchemaValue:
        """The schema of a list."""
        return {**super().tuple_schema(schema), "uniqueItems": True}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """The schema of a mapping. pydantic would let any key be there that the pattern does not match."""
        made = super().dict_schema(schema)
        for pattern, values in made.pop("patternProperties", {}).items():
            made["additionalProperties"] = values or True
            made["propertyNames"] = {"type": "string", **made.get("propertyNames", {}), "pattern": pattern}
        return made
