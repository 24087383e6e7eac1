"""The package: its schema, and the process that creates its component for a program of another language."""

import json
from collections.abc import Sequence
from inspect import cleandoc
from typing import Any

import pulumi
from pulumi.errors import InputPropertiesError
from pulumi.provider import ConstructResult
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.server import ComponentInitError, main

from components.provider.secure_service import PACKAGE, SecureService
from components.provider.service_types import service_types

_ABOUT = "A team's services on a zero-trust platform: of each, the object that its service file is."


class Package(ComponentProvider):
    """Serves `SecureService`, with the keys of a service file as types of its schema.

    It has no version: Pulumi puts in that of the tag which the package was added at.
    """

    def __init__(self) -> None:
        super().__init__([SecureService], PACKAGE)
        self.schema = json.dumps(self._typed(json.loads(self.schema or "")))

    @staticmethod
    def _typed(schema: dict[str, Any]) -> dict[str, Any]:
        """The schema that Pulumi read from the annotations, in which a service is any mapping, with its types."""
        service, types = service_types(PACKAGE)
        component = schema["resources"][f"{PACKAGE}:index:SecureService"]
        component["description"] = cleandoc(SecureService.__doc__ or "")
        inputs = component["inputProperties"]
        for each in (*inputs.values(), *component["properties"].values()):
            each["description"] = cleandoc(each["description"])
        inputs["service"] = {**service, "description": inputs["service"]["description"]}
        return {**schema, "description": _ABOUT, "license": "Apache-2.0", "types": types}

    def construct(
        self,
        name: str,
        resource_type: str,
        inputs: pulumi.Inputs,
        options: pulumi.ResourceOptions | None = None,
    ) -> ConstructResult:
        """Create the component. Raises `InputPropertiesError` for what the program says wrongly, as Pulumi shows it."""
        try:
            return super().construct(name, resource_type, inputs, options)
        except ComponentInitError as error:
            if isinstance(error.inner, InputPropertiesError):
                raise error.inner from None
            raise


def serve(arguments: Sequence[str]) -> None:
    """Serve the package to the engine whose address is among the arguments, until it ends the process."""
    main(Package(), list(arguments))
