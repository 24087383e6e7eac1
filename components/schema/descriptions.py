"""What a schema says of each key: the string below its field, read when somebody asks for the schema.

pydantic's own `use_attribute_docstrings` reads the source whenever a class is made: a fifth of a second at each start
of the program, which shows none of them.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from itertools import pairwise

from pydantic import BaseModel


def describe(models: Iterable[type[BaseModel]]) -> None:
    """Give each field its description. Models inside others come before those, as they are made."""
    for model in models:
        written = {name: text for base in reversed(model.__mro__) for name, text in _strings(base)}
        for name, field in model.model_fields.items():
            field.description = field.description or written.get(name)
        model.model_rebuild(force=True)


def _strings(model: type) -> Iterator[tuple[str, str]]:
    """The names of a class's own fields, with the string below each."""
    if not issubclass(model, BaseModel) or model is BaseModel:
        return
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    for field, below in pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            yield field.target.id, inspect.cleandoc(below.value.value)
