"""The section `secrets` of a service file."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StrictInt, StrictStr, model_validator

from components.schema.fields import DNS_LABEL, LABEL, FileName
from components.schema.problem import UNREPEATED
from components.schema.shape import Shape
from components.schema.typed_file import SECRET_KEY, TypedFile, misplaced
from components.service.file.network import ServiceName
from components.service.file.template import parse

DATA = ".Data.data"
"""Where the agent's templates have the fields of a secret."""


_FIELD = "[a-z][a-z0-9_]*"
_SHARED = rf"({DNS_LABEL}/)?{DNS_LABEL}/{DNS_LABEL}"


def _key(value: str) -> str:
    if not re.fullmatch(_FIELD, value):
        raise ValueError("not a field name: lower-case letters, digits and underscores, a letter first")
    return value


def _shared_name(value: str) -> str:
    if not re.fullmatch(_SHARED, value):
        raise ValueError("not a secret of another service: write service/secret, or namespace/service/secret")
    return value


FieldName = Annotated[StrictStr, AfterValidator(_key), Shape(_FIELD)]
SharedName = Annotated[StrictStr, AfterValidator(_shared_name), Shape(_SHARED)]


# It stands in the pod's annotations, behind `agent-inject-template-`, and an annotation's name has 63 characters.
_LONGEST_NAME = 63 - len("agent-inject-template-")


def _secret_name(value: str) -> str:
    # `agent-inject-template-file-<name>` is the injector's annotation for a template that is a file.
    if value.startswith("file-"):
        raise ValueError("the agent injector reads this name as that of a template's file: begin it otherwise")
    return value


SecretName = Annotated[
    StrictStr,
    Field(max_length=_LONGEST_NAME),
    LABEL,
    AfterValidator(_secret_name),
    Shape(f"(?!file-){DNS_LABEL}"),
]


_OF_ANOTHER = "the secret is that of {}, whose file says this: leave it out"
_FROM_OUTSIDE = "its other fields come from outside: make it a secret of its own"


class SecretSpec(TypedFile):
    """One secret of a service, or one that another service shares: the file `/vault/secrets/<file>` in its pods."""

    values: dict[FieldName, StrictStr] = Field(default_factory=dict)
    """Fields that are not secret, such as a host or a user name."""
    generate: tuple[FieldName, ...] = ()
    """Fields whose first value is generated."""
    external: tuple[FieldName, ...] = ()
    """In place of these: fields whose values come from outside, such as the key of a payment service. `zt secret set`
    gives them to Vault; the service's pods wait until it has them."""
    from_: SharedName | None = Field(default=None, alias="from")
    """In place of fields: the secret of another service, as `service/secret` or `namespace/service/secret`, whose
    `readers` name this one. It is kept once, and rotated where it belongs."""
    readers: tuple[ServiceName, ...] = ()
    """The services that may read it too, by name or `namespace/name`. A shared secret needs both ends."""
    template: StrictStr | None = None
    """The file's text, with `{{ .Data.data.<field> }}` for a field; by default one line `FIELD=value` for each. A field
    may have `| toJSON`, `| base64Encode` or `| base64Decode` behind it; `{{ .Data.data | toJSON }}` is all of them."""
    file: FileName | None = None
    """The name of the file; by default that of the secret."""
    replaces: Annotated[StrictInt, Field(ge=0)] = 0
    """The version in Vault that changed values replace. Vault refuses to write them over any other version, since that
    could undo a rotation."""

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields of its own, sorted."""
        return tuple(sorted({*self.values, *self.generate, *self.external}))

    def template_problem(self, fields: tuple[str, ...]) -> str:
        """What is wrong with the template for a secret with these fields; empty if nothing is."""
        try:
            parse(self.template or "", DATA, fields)
        except ValueError as error:
            return str(error)
        return ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.from_ is not None:
            self._refuse(("values", "generate", "external", "readers", "replaces"), _OF_ANOTHER.format(self.from_))
            return self
        if not self.fields:
            raise ValueError("no field: write values, generate, or both; external, or from another service's")
        if self.external:
            # The program writes none of it, so that it never has a version of what it does not know.
            self._refuse(("values", "generate", "replaces"), _FROM_OUTSIDE)
        self._check_values()
        if problem := self.template_problem(self.fields):
            raise misplaced(["template"], problem, UNREPEATED)
        return self

    def _refuse(self, keys: tuple[str, ...], message: str) -> None:
        if extra := next((key for key in keys if getattr(self, key)), ""):
            raise misplaced([extra], message, UNREPEATED)

    def _check_values(self) -> None:
        if both := sorted(set(self.values) & set(self.generate)):
            raise ValueError(f"{', '.join(both)} stands under values and generate: keep one")
        if leaked := sorted(key for key in self.values if SECRET_KEY.search(key)):
            raise ValueError(f"{', '.join(leaked)} looks like a secret in plaintext: move it to generate, or external")
        if broken := sorted(key for key, value in self.values.items() if self.template is None and "\n" in value):
            message = "a value of several lines breaks the default file: write a template, as {{ .Data.data | toJSON }}"
            raise misplaced(["values", broken[0]], message, UNREPEATED)
