"""From a wrong field of the arguments of a service, or of a package, to the key of its file."""

import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from pydantic.alias_generators import to_camel

from components.kube.service_ref import ServiceRef
from components.schema.problem import ConfigError, FieldError, shown_value
from components.service.file.party import PartyFile

_PART = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
# What has another name in a file, by the field of the arguments.
_KEYS = {"called_by": "callers", "routes": "paths"}


@contextmanager
def at_keys_of(files: Sequence[PartyFile]) -> Generator[None, None, None]:
    """Raise `ConfigError` in place of a `FieldError` of one of these, whose field begins with its namespace and name.

    Any other error passes as it is.
    """
    by_key = {file.spec.ref.key: file for file in files}
    try:
        yield
    except FieldError as fault:
        namespace, service, *below = [*fault.key.split(".", 2), ""]
        file = by_key.get(ServiceRef(namespace, service).key)
        if file is None:
            raise
        field, *path = [int(number) if number else name for number, name in _PART.findall(below[0])] or ["name"]
        key = _KEYS.get(str(field), to_camel(str(field)))
        raise ConfigError([file.problem((key, *path), fault.message, shown_value(fault.value), fault.legal)]) from fault
