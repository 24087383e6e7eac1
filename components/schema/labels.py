"""Keys and values of labels and annotations.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
"""

import re
from typing import Annotated

from pydantic import AfterValidator, StrictStr

from components.schema.fields import DNS_LABEL

PART = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
"""The pattern of a label's value, and of its key's name."""
DOMAIN = rf"{DNS_LABEL}(\.{DNS_LABEL})*"
"""The pattern of its key's domain, without its length."""


def _key(value: str) -> str:
    if not re.fullmatch(rf"({DOMAIN}/)?{PART}", value) or len(value.rpartition("/")[0]) > 253:
        raise ValueError("not the key of a label such as node-pool or example.org/pool")
    return value


def _value(value: str) -> str:
    if value and not re.fullmatch(PART, value):
        raise ValueError("not the value of a label: letters, digits, dots, hyphens and underscores, 63 at most")
    return value


LabelKey = Annotated[StrictStr, AfterValidator(_key)]
"""The key of a label, and of an annotation."""
LabelValue = Annotated[StrictStr, AfterValidator(_value)]
