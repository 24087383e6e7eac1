"""Plain values in a service's environment, and what tells a secret apart from one."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, StrictStr

from components.typed_file import SECRET_KEY, UNREPEATED, misplaced

# Shapes that are secrets wherever they stand; each is the maker's own, or a standard's.
_SECRET_VALUES = MappingProxyType(
    {
        "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
        "a password in an address": re.compile(r"[a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/@]+@"),
        "a token of Vault": re.compile(r"\b(?:hv[sbr]|[sb])\.[A-Za-z0-9_-]{20,}"),
        "a JSON web token": re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\."),
        "an access key of AWS": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
        "a token of a forge": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|glpat-[\w-]{20,})"),
        "a key of a service": re.compile(r"\b(?:xox[abprs]-[\w-]{10,}|sk_live_\w{16,}|AIza[\w-]{35})"),
    }
)
# A key that names the place of a secret is what an application of this platform needs.
_PLACE = re.compile(r"_(FILE|PATH|DIR)$", re.IGNORECASE)


def problem_with_value(value: str) -> str:
    """What secret a value looks like; empty when it looks like none."""
    return next((f"looks like {what}" for what, shape in _SECRET_VALUES.items() if shape.search(value)), "")


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError(
            "not the name of a variable such as LOG_LEVEL: letters, digits and underscores, no digit first"
        )
    return value


def _plain(values: dict[str, str]) -> dict[str, str]:
    for name, value in values.items():
        named = SECRET_KEY.search(name.lower()) and not (_PLACE.search(name) and value.startswith("/"))
        problem = "is called like a secret" if named else problem_with_value(value)
        if problem:
            advice = "every process and crash report has the environment: keep it under secrets and read its file"
            raise misplaced([name], f"{problem}; {advice}", UNREPEATED)
    return values


Environment = Annotated[
    dict[Annotated[StrictStr, AfterValidator(_name)], StrictStr],
    AfterValidator(_plain),
]
"""Names and values of variables, none of which looks like a secret."""


def environment(values: Mapping[str, str]) -> list[dict[str, str]]:
    """The variables as a container lists them."""
    return [{"name": name, "value": value} for name, value in sorted(values.items())]
