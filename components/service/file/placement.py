"""The section `placement` of a service file: the class of nodes that its pods run on."""

from pydantic import Field

from components.schema.fields import Label
from components.schema.typed_file import TypedFile


class PlacementSpec(TypedFile):
    """The class of nodes that pods run on, from the stack file."""

    class_: Label = Field(alias="class")
    """A class under `placement` of the stack file, which says what it means and whose services may have it."""
