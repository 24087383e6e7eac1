"""The command blocks of the documentation: each is run or says why not, and each `zt` and `make` command is there."""

import re
import shlex

import pytest
from typer.testing import CliRunner

from tests.support.documentation import FENCES, Block, MarkError, blocks, every_block
from tests.support.stacks import ROOT
from zt.cli import app

pytestmark = pytest.mark.unit

_COMMAND = re.compile(r"^(?:.* && )?(?:\.venv/bin/)?(?P<line>(?:zt|make) .*)$")
_TARGET = re.compile(r"^([a-z0-9-]+):", re.MULTILINE)
_TYPED = re.compile(
    r"^\s*(\$ |(\.venv/bin/|\./)?(zt|make|pulumi|kubectl|python3?|pip|git|helm|istioctl|eval|export|rm) )",
    re.MULTILINE,
)

BLOCKS = every_block()
FENCED = [block for block in BLOCKS if not block.is_command]
NOT_RUN = [block for block in BLOCKS if block.not_run]
EVERY = [
    (block, found["line"])
    for block in BLOCKS
    if block.is_command
    for line in block.commands
    if (found := _COMMAND.match(line))
]


@pytest.mark.parametrize(("block", "command"), EVERY, ids=str)
def test_the_command_line_takes_it(block: Block, command: str) -> None:
    program, *words = shlex.split(command, comments=True)
    if program == "make":
        targets = [word for word in words if "=" not in word]
        assert set(targets) <= set(_TARGET.findall((ROOT / "Makefile").read_text())), block
    else:
        assert taken(words) == 0, block


def taken(words: list[str]) -> int:
    """The exit code of the command line: `--help` ends it before the command runs, and after the words are parsed."""
    return CliRunner().invoke(app, [*words, "--help"]).exit_code


def test_a_command_that_is_not_there_is_found() -> None:
    assert taken(["check", "--stak", "production"]) == 2
    assert taken(["new", "servise"]) == 2


@pytest.mark.parametrize("block", FENCED, ids=str)
def test_no_command_hides_in_a_fence(block: Block) -> None:
    assert block.fence in FENCES, "a command is an indented block"
    assert not _TYPED.search(block.text)


def test_few_blocks_are_not_run() -> None:
    listed = "\n".join(f"{block}: {block.not_run}" for block in NOT_RUN)
    assert len(NOT_RUN) <= LIMIT, listed


LIMIT = 20
"""What needs a cluster, a cloud or a Vault of one's own, root, or minutes; more than that is a page nobody tried."""


class TestMarks:
    def test_a_comment_says_what_becomes_of_the_block_behind_it(self) -> None:
        text = (
            "<!-- not run: needs a cluster -->\n\n    pulumi up\n\n"
            "Then\n\n<!-- ends with 2: refused -->\n\n    make up\n\n"
            "- In a list:\n\n  <!-- not run: as root -->\n\n      nsenter\n\n"
            "<!-- append to services/api.yaml -->\n```yaml\na: 1\n```\n\n    zt check\n"
        )
        cluster, refused, listed, file, plain = blocks(text, "a.md")
        assert (cluster.not_run, cluster.text, cluster.line) == ("needs a cluster", "pulumi up\n", 3)
        assert (refused.code, refused.says) == (2, "refused")
        assert listed.not_run == "as root"
        assert (file.append_to, file.fence, file.text) == ("services/api.yaml", "yaml", "a: 1\n")
        assert plain == Block("a.md", plain.line, "zt check\n")

    @pytest.mark.parametrize(
        "mark", ["not run", "not run:", "not run: ", "ends with 0: x", "ends with 1", "skipped: x"]
    )
    def test_one_without_a_reason_is_refused(self, mark: str) -> None:
        with pytest.raises(MarkError, match=r"a\.md:3: the comment before it is .*; legal: 'not run: why'"):
            list(blocks(f"<!-- {mark} -->\n\n    make up\n", "a.md"))

    def test_a_fence_is_never_run(self) -> None:
        with pytest.raises(MarkError, match="legal: 'append to FILE'"):
            list(blocks("<!-- not run: x -->\n```\nmake up\n```\n", "a.md"))

    @pytest.mark.parametrize("text", ["$ make up", "  kubectl get pods", ".venv/bin/zt check", "make up"])
    def test_a_command_in_a_fence_is_found(self, text: str) -> None:
        assert _TYPED.search(f"key: value\n{text}\n")

    def test_a_continued_line_is_one_command(self) -> None:
        [block] = blocks("    zt check \\\n      --stack dev\n    make up\n", "a.md")
        assert [command.split() for command in block.commands] == [["zt", "check", "--stack", "dev"], ["make", "up"]]
