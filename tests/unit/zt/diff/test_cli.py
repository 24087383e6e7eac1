"""`zt diff` from the command line: exit codes, formats, what is accepted; the plans come from files in memory."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner, Result

from tests.support.stacks import ROOT
from tests.unit.zt.changes.files import SMALL, Files, posture
from zt.cli import app
from zt.diff import command as diff
from zt.diff.source import Sides
from zt.facts.model import ServiceSetting, Side, Writable
from zt.project.errors import ConfigRefusedError, ToolError

Run = Callable[..., Result]

WEAKER = Files({"web": {"calls": ["redis"]}})
STRONGER = Files({"api": {"calls": []}})
MIXED = Files(
    {
        "web": {"calls": ["redis"], "image": "registry.example.org/other/web:v1"},
        "api": {"calls": [], "image": "registry.example.org/shop/api:v1.2.4"},
    },
    posture(critical="audit"),
)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the two plans; the base of the command is this directory."""

    def set_plans(before: Side | None, after: Side, *notes: str) -> None:
        monkeypatch.setattr(diff, "read_sides", lambda *_: Sides(before, after, notes))

    return set_plans


@pytest.fixture
def run(plans: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").mkdir()

    def invoke(before: Files | Side | None, after: Files | Side, *options: str) -> Result:
        sides = [files.side() if isinstance(files, Files) else files for files in (before, after)]
        plans(*sides)
        return CliRunner().invoke(app, ["diff", "--stack", "production", "--base-dir", "old", *options])

    return invoke


class TestExitCodes:
    def test_nothing_differs(self, run: Run) -> None:
        done = run(SMALL, SMALL)
        expected = "production, compared with old\n\nproduction: no change in security\n"
        assert (done.exit_code, done.stdout) == (0, expected)

    def test_stronger(self, run: Run) -> None:
        assert run(SMALL, STRONGER).exit_code == 0

    def test_weaker_in_production(self, run: Run) -> None:
        done = run(SMALL, WEAKER)
        assert done.exit_code == 1
        assert '1 weaker; what is weaker in production needs a reason: --accept "..."' in done.stdout

    def test_weaker_and_accepted(self, run: Run) -> None:
        done = run(SMALL, WEAKER, "--accept", "the cache is\nweb's too")
        assert done.exit_code == 0
        assert done.stdout.endswith("production: 1 weaker; accepted: the cache is web's too\n")

    def test_weaker_elsewhere_is_shown(self, run: Run) -> None:
        done = run(Files(environment="staging"), Files({"web": {"host": "w.example.org"}}, environment="staging"))
        assert done.exit_code == 0
        assert "port 9000 of web is now public at w.example.org" in done.stdout

    @pytest.mark.parametrize(("before", "after"), [("production", "dev"), ("dev", "production")])
    def test_who_leaves_production_needs_a_reason_too(self, run: Run, before: str, after: str) -> None:
        assert run(Side(before, frozenset()), Side(after, frozenset({Writable("a/b", "/x")}))).exit_code == 1

    def test_a_reason_without_a_word(self, run: Run) -> None:
        done = run(SMALL, WEAKER, "--accept", "  ")
        assert (done.exit_code, done.stdout) == (2, "")
        assert "zt: --accept: write why" in done.stderr

    def test_a_base_without_the_stack(self, run: Run) -> None:
        assert run(None, WEAKER).exit_code == 0

    @pytest.mark.parametrize(
        ("error", "code"), [(ConfigRefusedError("base: services/api.yaml:1: wrong"), 2), (ToolError("no git"), 3)]
    )
    @pytest.mark.usefixtures("run")
    def test_a_plan_that_fails(self, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int) -> None:
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr(diff, "read_sides", fail)
        done = CliRunner().invoke(app, ["diff", "--stack", "production", "--base-dir", "old"])
        assert (done.exit_code, done.stderr) == (code, f"error: {error}\n")

    @pytest.mark.parametrize("options", [(), ("--stack", "dev", "--base", "HEAD", "--base-dir", ".")])
    def test_bad_usage(self, options: tuple[str, ...]) -> None:
        assert CliRunner().invoke(app, ["diff", *options]).exit_code == 2

    def test_a_base_that_is_not_there(self) -> None:
        arguments = ["diff", "--stack", "dev", "--project", str(ROOT), "--base", "no-such-ref"]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 2
        assert "zt: --base: no such commit" in done.stderr


class TestFormats:
    def test_text(self, run: Run, snapshot: object) -> None:
        assert run(SMALL, MIXED).stdout == snapshot

    def test_markdown(self, run: Run, snapshot: object) -> None:
        assert run(SMALL, MIXED, "--format", "markdown", "--accept", "a *try*").stdout == snapshot

    def test_json(self, run: Run, snapshot: object) -> None:
        assert json.loads(run(SMALL, MIXED, "--format", "json").stdout) == snapshot

    def test_the_json_keeps_to_its_shape(self, run: Run) -> None:
        texts = ("kind", "layer", "subject", "sentence", "before", "after", "reason", "approval")
        change = {
            "type": "object",
            "required": ["class", "directionKnown", *texts],
            "properties": {
                "class": {"enum": ["weaker", "stronger", "neutral"]},
                "directionKnown": {"type": "boolean"},
                **{key: {"type": "string"} for key in texts},
            },
            "additionalProperties": False,
        }
        shape = {
            "type": "object",
            "required": [
                "version",
                "stack",
                "base",
                "environmentIsProduction",
                "blocked",
                "accepted",
                "summary",
                "notes",
            ],
            "properties": {
                "version": {"const": 1},
                "accepted": {"type": ["string", "null"]},
                "changes": {"type": "array", "items": change},
            },
        }
        done = run(SMALL, MIXED, "--format", "json", "--accept", "a try")
        found = json.loads(done.stdout)
        Draft202012Validator(shape).validate(found)
        assert (found["accepted"], found["blocked"], found["base"]) == ("a try", False, "old")

    def test_a_comment_says_so_when_nothing_differs(self, run: Run) -> None:
        lines = run(SMALL, SMALL, "--format", "markdown").stdout.splitlines()
        assert lines[0] == "<!-- zt diff production -->"
        assert lines[-1] == "Compared with old. **production: no change in security**"

    def test_a_comment_is_text_whatever_a_file_says(self, run: Run) -> None:
        wicked = "r.io/x:1|<!-- zt diff staging -->@acme/admins`*"
        old, new = (Side("dev", frozenset({ServiceSetting("a/b", "image", image)})) for image in ("r.io/x:1", wicked))
        comment = run(old, new, "--format", "markdown").stdout
        [row] = [line for line in comment.splitlines() if "the image of" in line]
        assert comment.count("<!--") == 1
        assert row.replace("\\|", "").count("|") == 5
        assert "@" not in row

    def test_a_comment_stays_below_the_limit_of_its_host(self, run: Run) -> None:
        many = Side("dev", frozenset(Writable(f"shop/service-{n}", "/data") for n in range(2000)))
        comment = run(Side("dev", frozenset()), many, "--format", "markdown").stdout
        assert len(comment) < 65536
        assert "| and 1900 more: `zt diff --stack production` | | |" in comment

    @pytest.mark.parametrize("output_format", ["text", "markdown", "json"])
    def test_a_note_is_in_every_format(self, plans: Callable[..., None], tmp_path: Path, output_format: str) -> None:
        plans(SMALL.side(), SMALL.side(), "read this")
        arguments = ["diff", "--stack", "production", "--base-dir", str(tmp_path), "--format", output_format]
        assert "read this" in CliRunner().invoke(app, arguments).stdout


class TestOutput:
    def test_a_file(self, run: Run, tmp_path: Path) -> None:
        done = run(SMALL, WEAKER, "--format", "json", "--output", "diff.json")
        assert (done.exit_code, done.stdout, done.stderr) == (1, "", "written to diff.json\n")
        assert json.loads((tmp_path / "diff.json").read_text())["blocked"] is True

    def test_a_file_that_cannot_be_written(self, run: Run) -> None:
        done = run(SMALL, WEAKER, "--output", "no/such/file")
        assert done.exit_code == 2
        assert "--output: no/such/file: cannot be written" in done.stderr
