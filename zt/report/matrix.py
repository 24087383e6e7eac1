"""Draws who may talk to whom as a matrix: a row for each caller, a column for each callee.

Arrows between fifty boxes cross each other. In a matrix nothing overlaps, however many services there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, cos, radians, sin
from typing import Literal

from zt.facts.model import ANYTHING
from zt.report.model import Connection, PublicPath, Report

INTERNET = "the internet"

_LONGEST = 34
# The width of a wide letter in a 12 px system font, so that labels do not overlap in any reader's font.
_LETTER = 7.4
_ANGLE = 60
_PAD = 10

Kind = Literal["declared", "open", "public"]
_DESCRIPTIONS: dict[Kind, str] = {
    "declared": "declared in a service file",
    "open": "not declared: nothing holds it back",
    "public": "public",
}


@dataclass(frozen=True)
class Label:
    """The name of a row or a column, and the position of its text."""

    name: str
    shown: str
    """Namespace and name, or the name where all services share one namespace."""
    x: float
    y: float
    service: bool


@dataclass(frozen=True)
class Cell:
    """An open connection. `x` and `y` are the centre of its cell."""

    x: float
    y: float
    source: str
    target: str
    kind: Kind
    description: str


@dataclass(frozen=True)
class Line:
    """A line of the grid. A strong line separates namespaces."""

    x1: float
    y1: float
    x2: float
    y2: float
    strong: bool = False


@dataclass(frozen=True)
class Matrix:
    """Everything to draw, in pixels."""

    width: float
    height: float
    left: float
    top: float
    size: float
    angle: int
    rows: tuple[Label, ...]
    columns: tuple[Label, ...]
    cells: tuple[Cell, ...]
    diagonal: tuple[tuple[float, float], ...]
    lines: tuple[Line, ...]


def matrix(report: Report) -> Matrix:
    """The matrix of a report: outsiders first, then every service, by namespace."""
    names = [service.name for service in report.services]
    outsiders = sorted({c.source for c in report.connections} - set(names))
    sources = [*([INTERNET] if report.public else []), *outsiders, *names]
    size = 34 if len(names) <= 8 else 26 if len(names) <= 20 else 19
    row_text, column_text = _shown(sources), _shown(names)
    left = max(map(len, row_text), default=0) * _LETTER + 2 * _PAD
    longest = max(map(len, column_text), default=0) * _LETTER
    top = longest * sin(radians(_ANGLE)) + 2 * _PAD
    right, bottom = left + len(names) * size, top + len(sources) * size
    x = {name: left + (number + 0.5) * size for number, name in enumerate(names)}
    y = {name: top + (number + 0.5) * size for number, name in enumerate(sources)}
    known = set(names)
    return Matrix(
        width=ceil(right + longest * cos(radians(_ANGLE)) + _PAD),
        height=ceil(bottom + _PAD),
        left=left,
        top=top,
        size=size,
        angle=_ANGLE,
        rows=tuple(
            Label(name, shown, left - _PAD, y[name], name in known)
            for name, shown in zip(sources, row_text, strict=True)
        ),
        columns=tuple(
            Label(name, shown, x[name], top - _PAD / 2, True) for name, shown in zip(names, column_text, strict=True)
        ),
        cells=(
            *(_cell(c.source, c.target, _kind(c), _where(c), x, y) for c in report.connections),
            *(_public(path, x, y) for path in report.public),
        ),
        diagonal=tuple((x[name], y[name]) for name in names),
        lines=_grid(sources, names, left, top, size),
    )


def _kind(connection: Connection) -> Kind:
    return "declared" if connection.declared else "open"


def _where(connection: Connection) -> str:
    requests = ", ".join(connection.requests)
    return f":{connection.port} with {requests}" if requests else f":{connection.port}"


def _public(path: PublicPath, x: dict[str, float], y: dict[str, float]) -> Cell:
    return _cell(INTERNET, path.service, "public", f" at {path.url}", x, y)


def _cell(source: str, target: str, kind: Kind, where: str, x: dict[str, float], y: dict[str, float]) -> Cell:
    subject = "anything" if source == ANYTHING else source
    description = f"{subject} may reach {target}{where} ({_DESCRIPTIONS[kind]})"
    return Cell(x[target], y[source], source, target, kind, description)


def _shown(names: Sequence[str]) -> list[str]:
    """The names as they are drawn, without the namespace if all services share one."""
    spaces = {name.partition("/")[0] for name in names if "/" in name}
    texts = ["anything" if name == ANYTHING else name for name in names]
    if len(spaces) == 1:
        texts = [text.partition("/")[2] if "/" in text else text for text in texts]
    return [text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…" for text in texts]


def _grid(sources: Sequence[str], names: Sequence[str], left: float, top: float, size: float) -> tuple[Line, ...]:
    right, bottom = left + len(names) * size, top + len(sources) * size
    across = (
        Line(left, top + number * size, right, top + number * size, strong)
        for number, strong in enumerate(_borders(sources))
    )
    down = (
        Line(left + number * size, top, left + number * size, bottom, strong)
        for number, strong in enumerate(_borders(names))
    )
    return (*across, *down)


def _borders(names: Sequence[str]) -> list[bool]:
    """Whether each line between names separates two namespaces, including both outer lines."""
    spaces = [name.partition("/")[0] if "/" in name else "" for name in names]
    return [True, *(a != b for a, b in pairwise(spaces)), True] if names else []
