"""The pages of the documentation, the generated ones among them, and the blocks of them that a reader runs.

An indented block is for the shell. What a comment before it says, which no page shows, is for the tests:

- `not run: why` - it needs what a laptop does not have.
- `ends with 1: what it says` - it fails, and what it prints has these words.

Before a fenced block `append to FILE` writes it to the end of that file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.support.stacks import ROOT

_WHERE = ("*.md", "docs/**/*.md", "policies/*.md", "bench/*.md", "embedded/*.md")
PAGES = sorted(page for pattern in _WHERE for page in ROOT.glob(pattern))
# What may stand in a fence: none of it is for the shell. Output has no name.
FENCES = {"", "json", "mermaid", "python", "typescript", "yaml"}

_COMMENT = re.compile(r"<!--(.*)-->", re.DOTALL)
_NOT_RUN = re.compile(r"not run: (\S.*)")
_ENDS = re.compile(r"ends with ([1-9]\d*): (\S.*)")
_APPEND = re.compile(r"append to (\S+)")


@dataclass(frozen=True)
class Block:
    """A block of code: `fence` is what its fence says it is, `None` an indented one."""

    page: str
    line: int
    text: str
    fence: str | None = None
    not_run: str = ""
    code: int = 0
    says: str = ""
    append_to: str = ""

    @property
    def is_command(self) -> bool:
        """Whether a reader types it."""
        return self.fence is None

    @property
    def commands(self) -> list[str]:
        """Its lines, one that goes on in the next joined with it."""
        return [line.strip() for line in self.text.replace("\\\n", " ").splitlines() if line.strip()]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


class MarkError(ValueError):
    """A comment before a block that says nothing the tests understand."""


def blocks(text: str, page: str) -> Iterator[Block]:
    """The blocks of a page in order. Raises `MarkError` for a comment before one that is no legal mark of it."""
    before: Token | None = None
    for token in MarkdownIt().parse(text):
        if token.type in ("code_block", "fence"):
            line = token.map[0] + 1 if token.map else 0
            yield _block(page, line, token, _mark(before))
        before = token


def _mark(before: Token | None) -> str:
    comment = _COMMENT.fullmatch(before.content.strip()) if before and before.type == "html_block" else None
    return " ".join(comment[1].split()) if comment else ""


def _block(page: str, line: int, token: Token, mark: str) -> Block:
    command = token.type == "code_block"
    here = (page, line, token.content, None if command else token.info)
    if not mark:
        return Block(*here)
    if command and (found := _NOT_RUN.fullmatch(mark)):
        return Block(*here, not_run=found[1])
    if command and (found := _ENDS.fullmatch(mark)):
        return Block(*here, code=int(found[1]), says=found[2])
    if not command and (found := _APPEND.fullmatch(mark)):
        return Block(*here, append_to=found[1])
    legal = "'not run: why' or 'ends with N: what it says'" if command else "'append to FILE'"
    raise MarkError(f"{page}:{line}: the comment before it is {mark!r}; legal: {legal}")


def of_page(page: Path) -> list[Block]:
    """The blocks of a file of the project."""
    return list(blocks(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT))))


def every_block() -> list[Block]:
    """The blocks of all pages."""
    return [block for page in PAGES for block in of_page(page)]
