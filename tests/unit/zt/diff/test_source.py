"""Where `zt diff` takes its base from, and that each side is planned by its own program."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from components.schema.problem import ConfigError
from tests.support.stacks import ROOT
from zt.changes.compare import changes
from zt.diff import source as diff_source
from zt.diff.source import Base, Sides, base_of, read_sides
from zt.facts.model import Side, Unjudged
from zt.facts.worker import VERSION
from zt.project.errors import ConfigRefusedError, ToolError

API = """\
namespace: shop
team: commerce
image: registry.example.org/shop/api:v1
port: 8080
"""

Git = Callable[..., str]


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Git in a new repository `work`, on its branch `main`, without this machine's configuration."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    work = tmp_path / "work"
    work.mkdir()

    def run(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        command = ["git", "-C", str(work), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    run("init", "--initial-branch=main")
    (work / "file").write_text("one")
    run("add", ".")
    run("commit", "-m", "one")
    return run


@pytest.fixture
def work(git: Git, tmp_path: Path) -> Path:
    return tmp_path / "work"


def commit(git: Git, work: Path, text: str) -> str:
    (work / "file").write_text(text)
    git("commit", "-am", text)
    return git("rev-parse", "HEAD")


def content(work: Path, ref: str | None = None) -> tuple[str, str, bool]:
    """The text of the base's file, the base's name, and whether it is said to be the commit that is checked out."""
    with base_of(work, ref, None) as base:
        return (base.directory / "file").read_text(), base.name, bool(base.notes)


class TestTheBase:
    def test_of_a_branch_it_is_where_it_left_the_default_one(self, git: Git, work: Path) -> None:
        start = git("rev-parse", "HEAD")
        git("checkout", "-b", "feature")
        commit(git, work, "mine")
        git("checkout", "main")
        commit(git, work, "theirs")
        git("checkout", "feature")
        assert content(work) == ("one", f"{start[:12]} (merge base with main)", False)

    def test_of_a_clone_it_is_the_default_branch_of_its_origin(self, git: Git, work: Path, tmp_path: Path) -> None:
        git("branch", "-m", "trunk")
        git("clone", str(work), str(tmp_path / "clone"))
        assert content(tmp_path / "clone")[1].endswith("(merge base with origin/HEAD)")

    def test_on_the_default_branch_it_is_said_that_only_the_uncommitted_is_compared(self, work: Path) -> None:
        (work / "file").write_text("uncommitted")
        text, _, said = content(work)
        assert (text, said) == ("one", True)

    def test_without_a_default_branch_it_is_the_last_commit(self, git: Git, work: Path) -> None:
        git("branch", "-m", "trunk")
        text, name, said = content(work)
        assert (text, name[12:], said) == ("one", " (HEAD)", True)

    def test_a_commit_that_is_named(self, git: Git, work: Path) -> None:
        commit(git, work, "two")
        assert content(work, "HEAD~1")[::2] == ("one", False)

    @pytest.mark.parametrize("ref", ["nowhere", "--all", "HEAD:file"])
    def test_a_commit_that_is_not_there(self, work: Path, ref: str) -> None:
        with pytest.raises(ConfigError, match=r"zt: --base: no such commit in .*work, found"), base_of(work, ref, None):
            pass

    def test_a_branch_without_a_common_commit(self, git: Git, work: Path) -> None:
        git("checkout", "--orphan", "other")
        git("commit", "-m", "another beginning")
        with pytest.raises(ConfigError, match="no common commit here: fetch more"), base_of(work, None, None):
            pass

    def test_a_project_below_the_root_of_its_repository(self, git: Git, work: Path) -> None:
        project = work / "infra"
        project.mkdir()
        (project / "file").write_text("infra")
        git("add", ".")
        git("commit", "-m", "infra")
        assert content(project)[0] == "infra"

    def test_the_repository_is_left_as_it_was(self, git: Git, work: Path) -> None:
        before = git("status", "--porcelain=v2", "--branch", "--show-stash"), git("worktree", "list")
        content(work)
        assert (git("status", "--porcelain=v2", "--branch", "--show-stash"), git("worktree", "list")) == before

    def test_a_hooks_repository_is_not_this_one(self, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GIT_DIR", "/nowhere")
        assert content(work)[0] == "one"

    def test_no_repository_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="no such commit"), base_of(tmp_path, None, None):
            pass

    def test_without_git(self, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        with pytest.raises(ToolError, match="git: "), base_of(work, None, None):
            pass

    def test_a_link_out_of_the_commit(self, git: Git, work: Path) -> None:
        (work / "link").symlink_to("/etc/hosts")
        git("add", ".")
        git("commit", "-m", "link")
        with pytest.raises(ToolError, match="cannot be unpacked"), base_of(work, None, None):
            pass

    def test_a_directory(self, tmp_path: Path) -> None:
        with base_of(tmp_path, None, tmp_path) as base:
            assert base == Base(tmp_path, str(tmp_path))
        with pytest.raises(ConfigError, match="zt: --base-dir: there is no such directory"):
            base_of(tmp_path, None, tmp_path / "none").__enter__()


def project(directory: Path, **services: str) -> Path:
    """A project with its rules and stack files, and no program of its own."""
    (directory / "services").mkdir(parents=True)
    (directory / "policies").symlink_to(ROOT / "policies")
    (directory / "Pulumi.staging.yaml").write_text((ROOT / "Pulumi.staging.yaml").read_text())
    for name, text in services.items():
        (directory / "services" / f"{name}.yaml").write_text(text)
    return directory


def program(directory: Path) -> None:
    """This checkout's program as another commit could have it: one package has another name, DNS another port."""
    for here, there in (("components", "elsewhere"), ("zt", "zt")):
        shutil.copytree(ROOT / here, directory / there, ignore=shutil.ignore_patterns("__pycache__"))
        for file in (directory / there).rglob("*.py"):
            text = re.sub(r"\bcomponents\b", "elsewhere", file.read_text())
            file.write_text(text.replace("DNS_PORT = 53\n", "DNS_PORT = 5353\n"))


class TestBothPlans:
    def test_each_side_by_its_own_program_and_rules(self, tmp_path: Path) -> None:
        before = project(tmp_path / "a", api=API)
        program(before)
        (before / "policies").unlink()
        shutil.copytree(ROOT / "policies", before / "policies")
        shutil.rmtree(before / "policies" / "critical" / "disallow-host-ports")
        # The change has files alone: this checkout's program plans them.
        after = project(tmp_path / "b", api=API + "host: api.example.org\n")
        sides = read_sides(Base(before, "a"), after, "staging")
        assert sides.base is not None
        assert sides.notes == ()
        dns = "kube-system/k8s-app=kube-dns"
        assert [change.sentence for change in changes(sides.base, sides.change)] == [
            "port 8080 of api is now public at api.example.org",
            f"every service may now reach {dns}:53",
            f"every service may now reach {dns}:53 (UDP)",
            f"every service may no longer reach {dns}:5353",
            f"every service may no longer reach {dns}:5353 (UDP)",
            "critical rule disallow-host-ports is new, and at Warn",
        ]
        assert list(before.rglob("__pycache__")) == []

    def test_a_base_of_files_alone(self, tmp_path: Path) -> None:
        before, after = project(tmp_path / "a", api=API), project(tmp_path / "b", api=API)
        # Older than `zt diff` itself.
        for package in ("components", "zt"):
            (before / package).mkdir()
            (before / package / "__init__.py").write_text("raise RuntimeError('of another time')")
        sides = read_sides(Base(before, "a"), after, "staging")
        assert sides.base == sides.change
        unseen = "so no change of the program itself is seen"
        assert sides.notes == (
            f"the base has no program that gives facts: this checkout's planned its files, {unseen}",
        )

    def test_a_refusal_of_the_base(self, tmp_path: Path) -> None:
        bad = project(tmp_path / "a", api=API.replace("port", "prot").replace("team", "tame"))
        with pytest.raises(ConfigRefusedError) as caught:
            read_sides(Base(bad, "a"), project(tmp_path / "b", api=API), "staging")
        lines = str(caught.value).splitlines()
        assert len(lines) > 1
        assert all(line.startswith("base: services/api.yaml:") for line in lines)

    def test_a_refusal_of_the_change(self, tmp_path: Path) -> None:
        before, after = project(tmp_path / "a"), project(tmp_path / "b", api=API.replace("port", "prot"))
        (before / "Pulumi.staging.yaml").unlink()
        with pytest.raises(ConfigRefusedError, match=r"^change: services/api.yaml:"):
            read_sides(Base(before, "a"), after, "staging")

    def test_a_stack_that_the_base_does_not_have(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        side = Side("staging", frozenset())
        written = json.dumps({"version": VERSION, "side": {"environment": "staging", "facts": []}})
        monkeypatch.setattr(diff_source, "_run", lambda *_: written)
        before, after = project(tmp_path / "a"), project(tmp_path / "b", api=API)
        (before / "Pulumi.staging.yaml").unlink()
        note = "the base has no stack staging, so there is nothing to compare with"
        assert read_sides(Base(before, "a", ("a note",)), after, "staging") == Sides(None, side, ("a note", note))

    def test_a_plan_without_an_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(diff_source, "_SECONDS", 0.01)
        before = after = project(tmp_path / "a", api=API)
        with pytest.raises(ToolError, match="took longer than"):
            read_sides(Base(before, "a"), after, "staging")


NOTE = "what its zt did not know of yet shows as new"


def checkout(directory: Path, module: str, body: str) -> Path:
    """A checkout whose `zt` has one module. It finds what it writes in `SIDE`, which names the directory it runs in."""
    (directory / "zt").mkdir(parents=True)
    (directory / "Pulumi.staging.yaml").touch()
    (directory / "zt" / "__init__.py").touch()
    side = '{"environment": os.getcwd(), "facts": [{"kind": "unjudged", "namespace": " ".join(sys.argv[1:])}]}'
    text = f"import json, os, sys\nSIDE = {side}\n{body}\n"
    path = directory / "zt" / ("facts/__main__.py" if module == "facts" else f"{module}.py")
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return directory


def facts(directory: Path, version: object = VERSION) -> Path:
    return checkout(directory, "facts", f"print(json.dumps({{'version': {version!r}, 'side': SIDE}}))")


def side(directory: Path, arguments: str = "staging") -> Side:
    return Side(str(directory), frozenset({Unjudged(arguments)}))


class TestTheFactsOfAnotherCheckout:
    def test_of_this_version(self, tmp_path: Path) -> None:
        before, after = facts(tmp_path / "a"), facts(tmp_path / "b")
        assert read_sides(Base(before, "a"), after, "staging") == Sides(side(before), side(after), ())

    def test_its_warnings_are_passed_on(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        said = "sys.stderr.write('warning: renamed\\nnoise\\n')"
        before = checkout(tmp_path / "a", "facts", f"{said}; print(json.dumps({{'version': {VERSION}, 'side': SIDE}}))")
        read_sides(Base(before, "a"), facts(tmp_path / "b"), "staging")
        assert capsys.readouterr().err == "base: warning: renamed\n"

    def test_whatever_python_is_told_of_other_paths(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setenv("PYTHONSAFEPATH", "1")
        before, after = facts(tmp_path / "a"), facts(tmp_path / "b")
        assert read_sides(Base(before, "a"), after, "staging") == Sides(side(before), side(after), ())

    def test_of_an_older_version(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(diff_source, "VERSION", VERSION + 1)
        before, after = facts(tmp_path / "a"), facts(tmp_path / "b", VERSION + 1)
        versions = f"the base's facts have version {VERSION}, and this zt's {VERSION + 1}"
        note = f"{versions}: what the older one did not know of yet shows as new"
        assert read_sides(Base(before, "a"), after, "staging") == Sides(side(before), side(after), (note,))

    def test_without_a_version(self, tmp_path: Path) -> None:
        before, after = checkout(tmp_path / "a", "diff_worker", "print(json.dumps(SIDE))"), facts(tmp_path / "b")
        note = f"the base is older than the versioned facts: {NOTE}"
        expected = Sides(side(before, f"{before} staging"), side(after), (note,))
        assert read_sides(Base(before, "a"), after, "staging") == expected

    @pytest.mark.parametrize("name", ["base", "change"])
    def test_of_a_newer_version(self, tmp_path: Path, name: str) -> None:
        before = facts(tmp_path / "a", 99 if name == "base" else VERSION)
        after = facts(tmp_path / "b", 99 if name == "change" else VERSION)
        newer = f"its facts have version 99, and this zt reads up to {VERSION}"
        said = f"{name}: {newer}: use the newer zt, which is the {name}'s own"
        with pytest.raises(ToolError, match=f"^{re.escape(said)}$"):
            read_sides(Base(before, "a"), after, "staging")

    @pytest.mark.parametrize("version", [0, "1", True, None])
    def test_of_no_version_that_there_is(self, tmp_path: Path, version: object) -> None:
        before, after = facts(tmp_path / "a", version), facts(tmp_path / "b")
        with pytest.raises(ToolError, match=r"^base: its facts cannot be read by this zt: version: "):
            read_sides(Base(before, "a"), after, "staging")

    @pytest.mark.parametrize("module", ["facts", "diff_worker"])
    @pytest.mark.parametrize(
        "body", ["", "print('hello')", "print('[]')", "print(json.dumps({'version': 1, 'side': 1}))"]
    )
    def test_that_are_none(self, tmp_path: Path, module: str, body: str) -> None:
        before, after = checkout(tmp_path / "a", module, body), facts(tmp_path / "b")
        with pytest.raises(ToolError, match=r"^base: its facts cannot be read by this zt: "):
            read_sides(Base(before, "a"), after, "staging")

    @pytest.mark.parametrize("module", ["facts", "diff_worker"])
    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ("raise RuntimeError('of another time')", "status 1:\nTraceback .*RuntimeError: of another time$"),
            ("sys.exit(3)", "status 3:\nwithout a word$"),
        ],
    )
    def test_a_program_that_fails_is_not_replaced(self, tmp_path: Path, module: str, body: str, said: str) -> None:
        before, after = checkout(tmp_path / "a", module, body), facts(tmp_path / "b")
        with pytest.raises(ToolError, match=f"(?s)^base: its zt.{module} failed with {said}"):
            read_sides(Base(before, "a"), after, "staging")

    @pytest.mark.parametrize("module", ["facts", "diff_worker"])
    def test_a_program_that_refuses_its_files(self, tmp_path: Path, module: str) -> None:
        before = checkout(tmp_path / "a", module, "sys.stderr.write('one\\ntwo\\n')\nsys.exit(2)")
        with pytest.raises(ConfigRefusedError, match=r"^base: one\nbase: two$"):
            read_sides(Base(before, "a"), facts(tmp_path / "b"), "staging")
