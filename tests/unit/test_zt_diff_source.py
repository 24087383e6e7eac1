"""Where `zt diff` takes its base from, and that each side is planned by its own program."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from components.typed_file import ConfigError
from tests.unit.stacks import ROOT
from zt import diff_source
from zt.diff_changes import changes
from zt.diff_facts import Side
from zt.diff_source import Base, Sides, base_of, read_sides
from zt.tool_error import ConfigRefusedError, ToolError

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


class TestBothPlans:
    def test_each_side_by_its_own_program_and_rules(self, tmp_path: Path) -> None:
        before = project(tmp_path / "a", api=API)
        shutil.copytree(ROOT / "components", before / "components", ignore=shutil.ignore_patterns("__pycache__"))
        network = before / "components" / "service_network.py"
        network.write_text(network.read_text().replace("_DNS_PORT = 53", "_DNS_PORT = 5353"))
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

    def test_a_program_that_this_command_cannot_read(self, tmp_path: Path) -> None:
        before, after = project(tmp_path / "a", api=API), project(tmp_path / "b", api=API)
        (before / "components").mkdir()
        (before / "components" / "__init__.py").write_text("raise RuntimeError('of another time')")
        sides = read_sides(Base(before, "a"), after, "staging")
        assert sides.base == sides.change
        assert sides.notes == (
            "the base's components/ and this zt do not go together: this checkout's planned its files",
        )

    def test_a_refusal_of_the_base(self, tmp_path: Path) -> None:
        bad = project(tmp_path / "a", api=API.replace("port", "prot"))
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
        monkeypatch.setattr(diff_source, "_run", lambda *_: side)
        before, after = project(tmp_path / "a"), project(tmp_path / "b", api=API)
        (before / "Pulumi.staging.yaml").unlink()
        note = "the base has no stack staging, so there is nothing to compare with"
        assert read_sides(Base(before, "a", ("a note",)), after, "staging") == Sides(None, side, ("a note", note))

    def test_a_plan_without_an_end(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(diff_source, "_SECONDS", 0.01)
        before = after = project(tmp_path / "a", api=API)
        with pytest.raises(ToolError, match="took longer than"):
            read_sides(Base(before, "a"), after, "staging")
