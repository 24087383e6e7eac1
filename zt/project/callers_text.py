"""Adds callers to the text of a service file, and leaves everything else in it as it was written."""

from collections.abc import Sequence
from typing import cast

import yaml

_KEY = "callers"
# Where a new key reads best: behind the calls.
_BEFORE = "calls"


def with_callers(text: str, names: Sequence[str]) -> str:
    """The text with these names at the end of `callers`, a list that is made where there is none."""
    names = [_scalar(name) for name in names]
    # The stubs of yaml do not type the stream, and so not the result.
    root = cast("yaml.Node | None", yaml.compose(text, Loader=yaml.SafeLoader))  # pyright: ignore[reportUnknownMemberType]
    pairs = cast("list[tuple[yaml.Node, yaml.Node]]", root.value) if isinstance(root, yaml.MappingNode) else []
    nodes = {str(cast("object", key.value)): (key, value) for key, value in pairs}
    listed = nodes[_KEY][1] if _KEY in nodes else None
    if isinstance(listed, yaml.SequenceNode):
        return _longer(text, listed, names)
    line = f"{_KEY}: [{', '.join(names)}]\n"
    if _BEFORE in nodes:
        # The end mark of a block stands where the next key begins; that of a flow list at its bracket.
        end = nodes[_BEFORE][1].end_mark.index
        at = end if text[:end].endswith("\n") else text.find("\n", end) + 1 or len(text)
    else:
        at = len(text)
    lead = "" if not at or text[:at].endswith("\n") else "\n"
    return f"{text[:at]}{lead}{line}{text[at:]}"


def _scalar(name: str) -> str:
    """A name as YAML reads it: `no` and `1` would be no text."""
    # The stubs of yaml do not type values.
    read = cast("object", yaml.safe_load(name))  # pyright: ignore[reportUnknownMemberType]
    return name if read == name else f'"{name}"'


def _longer(text: str, listed: yaml.SequenceNode, names: Sequence[str]) -> str:
    items = cast("list[yaml.Node]", listed.value)
    if listed.flow_style or not items:
        at = items[-1].end_mark.index if items else text.index("[", listed.start_mark.index) + 1
        return f"{text[:at]}{', ' if items else ''}{', '.join(names)}{text[at:]}"
    line_end = text.find("\n", items[-1].end_mark.index)
    at, lead = (line_end + 1, "") if line_end >= 0 else (len(text), "\n")
    indent = " " * listed.start_mark.column
    lines = "".join(f"{indent}- {name}\n" for name in names)
    return f"{text[:at]}{lead}{lines}{text[at:]}"
