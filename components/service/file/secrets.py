"""The section `secrets` of a service file."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StrictInt, StrictStr, model_validator

from components.schema.fields import LABEL, FileName
from components.schema.typed_file import SECRET_KEY, TypedFile

PLACEHOLDER = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
FIELD_OF_SECRET = re.compile(r"\.Data\.data\.([a-z][a-z0-9_]*)")


def _key(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", value):
        raise ValueError("not a field name: lower-case letters, digits and underscores, a letter first")
    return value


FieldName = Annotated[StrictStr, AfterValidator(_key)]


# It stands in the pod's annotations, behind `agent-inject-template-`, and an annotation's name has 63 characters.
_LONGEST_NAME = 63 - len("agent-inject-template-")


def _secret_name(value: str) -> str:
    # `agent-inject-template-file-<name>` is the injector's annotation for a template that is a file.
    if value.startswith("file-"):
        raise ValueError("the agent injector reads this name as that of a template's file: begin it otherwise")
    return value


SecretName = Annotated[StrictStr, Field(max_length=_LONGEST_NAME), LABEL, AfterValidator(_secret_name)]


class SecretSpec(TypedFile):
    """One secret of a service: the file `/vault/secrets/<file>` in its pods."""

    values: dict[FieldName, StrictStr] = Field(default_factory=dict)
    """Fields that are not secret, such as a host or a user name."""
    generate: tuple[FieldName, ...] = ()
    """Fields whose first value is generated."""
    template: StrictStr | None = None
    """The file's text, with `{{ .Data.data.<field> }}` for a field; by default one line `FIELD=value` for each."""
    file: FileName | None = None
    """The name of the file; by default that of the secret."""
    replaces: Annotated[StrictInt, Field(ge=0)] = 0
    """The version in Vault that changed values replace. Vault refuses to write them over any other version, since that
    could undo a rotation."""

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields, sorted."""
        return tuple(sorted({*self.values, *self.generate}))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.fields:
            raise ValueError("no field: write values, generate, or both")
        if both := sorted(set(self.values) & set(self.generate)):
            raise ValueError(f"{', '.join(both)} stands under values and generate: keep one")
        if leaked := sorted(key for key in self.values if SECRET_KEY.search(key)):
            raise ValueError(f"{', '.join(leaked)} looks like a secret in plaintext: move it to generate")
        for placeholder in PLACEHOLDER.findall(self.template or ""):
            field = FIELD_OF_SECRET.fullmatch(placeholder)
            if field is None or field[1] not in self.fields:
                raise ValueError(
                    f"the template has {{{{ {placeholder} }}}}; legal: "
                    + ", ".join(f"{{{{ .Data.data.{name} }}}}" for name in self.fields)
                )
        return self
