"""The template of a file with a secret: text, and the fields of the secret between `{{` and `}}`.

This is the part of the agent's language that Vault's agent, the External Secrets Operator and this program render
alike: a field, or all of them, and filters behind it. Everything else is refused, since the agent would find it out in
a pod that then never starts. https://pkg.go.dev/text/template and
https://github.com/hashicorp/consul-template/blob/main/docs/templating-language.md
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_OPEN, _CLOSE = "{{", "}}"
# A dash trims the text beside it only with a space between it and the expression.
_ACTION = re.compile(
    r"(?P<left>-\s)?\s*(?P<path>\.[A-Za-z0-9_.]*)(?P<filters>(\s*\|\s*[A-Za-z0-9]+)*)\s*(?P<right>\s-)?"
)
FILTERS: Mapping[str, str] = {"toJSON": "toJson", "base64Encode": "b64enc", "base64Decode": "b64dec"}
"""The filters by the agent's names, with those of the operator's template language (Sprig)."""
# What Go writes otherwise into JSON, so that it can stand in a page of HTML.
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


@dataclass(frozen=True)
class Action:
    """A field, or all of them without a `name`, through filters. With `left` or `right` the space beside it goes."""

    name: str
    filters: tuple[str, ...]
    left: bool
    right: bool


Part = str | Action


def parse(template: str, data: str, fields: Sequence[str] | None = None) -> tuple[Part, ...]:
    """The parts of a template whose `fields` (`None`: any) stand behind `data`, as `.Data.data`.

    Raises `ValueError` with the line in the template.
    """
    parts: list[Part] = []
    place = 0
    while (start := template.find(_OPEN, place)) >= 0:
        line = f"line {template.count(chr(10), 0, start) + 1} of the template"
        end = template.find(_CLOSE, start)
        if end < 0:
            raise ValueError(f"{line}: `{{{{` is not closed")
        inner = template[start + len(_OPEN) : end]
        parts += [template[place:start], _action(inner, data, fields, line)]
        place = end + len(_CLOSE)
    return (*parts, template[place:])


def _action(inner: str, data: str, fields: Sequence[str] | None, line: str) -> Action:
    match = _ACTION.fullmatch(inner)
    name = match["path"].removeprefix(data).removeprefix(".") if match else ""
    whole = match is not None and match["path"] == data
    known = fields is None or name in fields
    if match is None or not (whole or (match["path"] == f"{data}.{name}" and known)):
        legal = ", ".join(f"{{{{ {data}.{field} }}}}" for field in fields or ())
        raise ValueError(f"{line}: the template has {{{{{inner}}}}}; legal: {legal}, and {{{{ {data} | toJSON }}}}")
    filters = tuple(word.strip() for word in match["filters"].split("|")[1:])
    if unknown := next((word for word in filters if word not in FILTERS), ""):
        raise ValueError(f"{line}: no filter, found {unknown!r}; legal: {', '.join(FILTERS)}")
    if whole and filters[:1] != ("toJSON",):
        raise ValueError(f"{line}: all fields at once make no text: write {{{{ {data} | toJSON }}}}")
    return Action(name, filters, bool(match["left"]), bool(match["right"]))


def render(template: str, data: str, values: Mapping[str, str]) -> str:
    """The text that the agent makes of the template. Raises `ValueError` for what it could not decode either."""
    text, trims = "", False
    for part in parse(template, data, sorted(values)):
        if isinstance(part, str):
            text += part.lstrip() if trims else part
            continue
        if part.left:
            text = text.rstrip()
        text += _filtered(values[part.name] if part.name else dict(values), part.filters)
        trims = part.right
    return text


def _filtered(value: object, filters: Sequence[str]) -> str:
    for name in filters:
        if name == "toJSON":
            value = _json(value)
        elif name == "base64Encode":
            value = base64.b64encode(str(value).encode()).decode()
        else:
            value = base64.b64decode(str(value), validate=True).decode()
    return str(value)


def _json(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "".join(_ESCAPED.get(character, character) for character in text)


def for_operator(template: str, data: str) -> str:
    """The template in the operator's language, in which the fields stand behind a mere dot."""
    return "".join(part if isinstance(part, str) else _written(part) for part in parse(template, data))


def _written(action: Action) -> str:
    filters = "".join(f" | {FILTERS[name]}" for name in action.filters)
    return f"{{{{{'- ' if action.left else ' '}.{action.name}{filters}{' -' if action.right else ' '}}}}}"
