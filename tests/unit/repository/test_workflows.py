"""The workflow files: pinned, with the least rights, without text of strangers in a script, and runnable by hand."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from components.config.posture import TABLE
from tests.support.stacks import ROOT
from zt.cli import app

pytestmark = pytest.mark.unit

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"^\s*(?:- )?uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
LOCAL = re.compile(r"^\s*uses: \./\.github/workflows/([\w-]+\.yml)$")
# Whoever names a branch, a title or a file of a pull request chooses the text of these.
STRANGERS = re.compile(r"\$\{\{")
PULUMI_COMMANDS = {"preview", "up"}
# What a step may use beside the project's own commands: they are on every runner, and on the page of each how-to.
AROUND = {"aws", "base64", "cat", "curl", "gh", "git", "gzip", "jq", "sed", "tail", "tr"}
SHELL = {"umask", "printf", "echo", "if", "else", "fi", "then", "{", "}", "[", "identity", "identity()"}
MAY_WRITE = {
    ("pull-request.yml", "findings"): {"security-events"},
    ("pull-request.yml", "comment"): {"pull-requests"},
}

Job = dict[str, Any]


def load(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Placed:
    """A job and where it stands."""

    path: Path
    name: str
    job: Job


JOBS = [Placed(path, name, job) for path in FILES for name, job in load(path)["jobs"].items()]
RUNS = [
    pytest.param(step["run"], id=f"{path.name}:{name}:{step.get('name', number)}")
    for path in FILES
    for name, job in load(path)["jobs"].items()
    for number, step in enumerate(job.get("steps", []))
    if "run" in step
]


def steps(job: Job) -> list[dict[str, Any]]:
    return job.get("steps", [])


def words(script: str) -> list[str]:
    """The first word of every command of a script, pipelines and substitutions taken apart."""
    text = re.sub(r"\\\n\s*", " ", script)
    text = re.sub(r"'[^']*'", "''", text)
    text = re.sub(r"\$\{[^}]*\}", "", text)
    parts = re.split(r"\n|\||;|&&|\$\(|^\s*(?:if|then|else) ", text, flags=re.MULTILINE)
    # An assignment of a substitution is judged by what is substituted.
    found = [re.sub(r"^\w+=\"?$", "", part.strip()) for part in parts]
    return [part.split()[0] for part in found if part]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
class TestEveryWorkflow:
    def test_every_action_is_pinned_by_digest_with_its_version_beside_it(self, path: Path) -> None:
        uses = [line for line in path.read_text(encoding="utf-8").splitlines() if "uses:" in line]
        assert uses
        for line in uses:
            local = LOCAL.match(line)
            assert PINNED.match(line) or (local and (path.parent / local[1]).is_file()), line

    def test_nothing_is_allowed_that_a_job_does_not_ask_for(self, path: Path) -> None:
        assert load(path)["permissions"] == {}

    def test_it_never_runs_a_stranger_s_code_with_the_repository_s_rights(self, path: Path) -> None:
        # YAML reads the key `on` as true.
        triggers = load(path)[True]
        assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(triggers)

    def test_it_holds_no_stored_secret(self, path: Path) -> None:
        assert "secrets" not in re.sub(r"#.*", "", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("at", JOBS, ids=lambda at: f"{at.path.name}:{at.name}")
class TestEveryJob:
    def test_it_says_what_it_may_do_and_how_long(self, at: Placed) -> None:
        assert "permissions" in at.job
        # GitHub takes no limit at a job that calls a workflow: the called one has it.
        assert "uses" in at.job or 0 < at.job["timeout-minutes"] <= 90

    def test_it_writes_only_what_is_its_task(self, at: Placed) -> None:
        written = {what for what, how in at.job["permissions"].items() if how == "write"} - {"id-token"}
        assert written == MAY_WRITE.get((at.path.name, at.name), set())

    def test_what_writes_to_the_repository_runs_nothing_of_the_change(self, at: Placed) -> None:
        if (at.path.name, at.name) in MAY_WRITE:
            assert not any("checkout" in step.get("uses", "") for step in steps(at.job))
            assert "id-token" not in at.job["permissions"]

    def test_a_checkout_leaves_no_token_behind(self, at: Placed) -> None:
        for step in steps(at.job):
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False

    def test_only_the_branch_of_this_repository_gets_an_identity_from_a_pull_request(self, at: Placed) -> None:
        if "pull_request" in load(at.path)[True] and "id-token" in at.job["permissions"]:
            assert at.job["if"] == "github.event.pull_request.head.repo.full_name == github.repository"

    def test_a_called_workflow_gets_what_it_declares(self, at: Placed) -> None:
        if "uses" not in at.job:
            return
        called = load(at.path.parent / Path(at.job["uses"]).name)
        assert set(at.job["with"]) == set(called[True]["workflow_call"]["inputs"])
        assert at.job["permissions"] == called["jobs"]["run"]["permissions"]
        assert at.job["with"]["task"] in {"preview", "drift", "up"}


@pytest.mark.parametrize("script", RUNS)
class TestEveryScript:
    def test_no_expression_is_pasted_into_it(self, script: str) -> None:
        assert not STRANGERS.search(script)

    def test_its_commands_are_the_project_s_own(self, script: str) -> None:
        own = {"make", ".venv/bin/zt", ".venv/bin/python", "pulumi", "bash"}
        assert set(words(script)) <= own | AROUND | SHELL

    def test_its_commands_exist(self, script: str) -> None:
        targets = re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert set(re.findall(r"\bmake ([a-z0-9-]+)", script)) <= set(targets)
        assert set(re.findall(r"^pulumi (\w+)", script, re.MULTILINE)) <= PULUMI_COMMANDS
        assert all(find_spec(module) for module in re.findall(r"python -m ([\w.]+)", script))
        assert all((ROOT / file).is_file() for file in re.findall(r"\bbash (\S+)", script))

    def test_the_options_of_zt_exist(self, script: str) -> None:
        group: Any = get_command(app)
        for name, rest in re.findall(r"\.venv/bin/zt ([a-z]+)([^\n|]*)", script):
            known = {option for parameter in group.commands[name].params for option in parameter.opts}
            assert set(re.findall(r"(?<=\s)--[a-z-]+", rest)) <= known

    def test_no_token_is_an_argument(self, script: str) -> None:
        assert not re.search(r"(curl|gh|aws|pulumi)\b[^\n|]*\$\{?\w*TOKEN\b", script)


def test_only_ci_installs_more_than_the_command_needs() -> None:
    installs = [step.get("run", "") for at in JOBS if at.path.name != "ci.yml" for step in steps(at.job)]
    assert {run for run in installs if "setup" in run} == {"make setup-zt"}


def test_the_parts_of_a_script_are_found() -> None:
    script = 'a="$(git log | sed x | tr y z)"\nmake up \\\n  --x && if cat a; then\n  gh b\nfi\nevil | curl c'
    assert words(script) == ["git", "sed", "tr", "make", "if", "then", "gh", "fi", "evil", "curl"]


def test_the_stacks_of_the_workflows_are_there() -> None:
    jobs = {name: job for path in FILES for name, job in load(path)["jobs"].items()}
    stacks = {stack for job in jobs.values() for stack in job.get("strategy", {}).get("matrix", {}).get("stack", [])}
    assert stacks == set(TABLE) - {"local"}
    assert all((ROOT / f"Pulumi.{stack}.yaml").is_file() for stack in stacks)
    # All jobs of a pull request look at the same stacks.
    of_request = load(ROOT / ".github/workflows/pull-request.yml")["jobs"]
    assert (
        len({tuple(of_request[name]["strategy"]["matrix"]["stack"]) for name in ("preview", "findings", "diff")}) == 1
    )


def test_production_waits_for_staging_and_for_its_environment() -> None:
    jobs = load(ROOT / ".github/workflows/deploy.yml")["jobs"]
    assert jobs["production"]["needs"] == "staging"
    assert jobs["staging"]["if"] == "github.ref == 'refs/heads/main'"
    for stack, job in jobs.items():
        assert job["with"] == {"stack": stack, "task": "up", "environment": stack}


def test_an_update_is_never_cut_off_and_never_beside_another() -> None:
    concurrency = stack_job()["concurrency"]
    assert "format('up-{0}', inputs.stack)" in concurrency["group"]
    assert concurrency["cancel-in-progress"] == "${{ inputs.task != 'up' }}"


@pytest.mark.parametrize(("file", "task"), [("pull-request.yml", "preview"), ("nightly.yml", "drift")])
def test_each_task_has_an_identity_of_its_own(file: str, task: str) -> None:
    """A pull request's code, which nobody has read yet, never holds what reads the cluster's secrets for drift."""
    jobs = load(ROOT / ".github" / "workflows" / file)["jobs"]
    called = [job for job in jobs.values() if "uses" in job]
    assert called
    for job in called:
        assert job["with"]["environment"] == f"${{{{ matrix.stack }}}}-{task}"
        assert job["with"]["task"] == task


def test_only_reviewed_code_looks_for_drift() -> None:
    for file in FILES:
        for job in load(file)["jobs"].values():
            if job.get("with", {}).get("task") == "drift":
                assert "pull_request" not in load(file)[True]
                assert job["if"] == "github.ref == 'refs/heads/main'"


def test_a_preview_gets_no_token_of_vault() -> None:
    (step,) = (step for step in steps(stack_job()) if "VAULT_ROLE" in step.get("env", {}))
    assert step["env"]["TASK"] == "${{ inputs.task }}"
    login = step["run"].index("auth/jwt/login")
    condition = 'if [ "$TASK" != preview ]; then'
    assert step["run"].index(condition) < login < step["run"].index("\nfi\n")


def test_a_report_follows_each_update_and_each_look_for_drift() -> None:
    names = {step.get("name"): number for number, step in enumerate(steps(stack_job()))}
    write, keep = steps(stack_job())[names["Write the report"] :]
    assert names["Write the report"] > max(names["Update the stack"], names["Look for drift"])
    assert write["if"] == keep["if"] == "${{ !cancelled() && inputs.task != 'preview' }}"
    assert keep["with"]["path"] == "zero-trust-report-${{ inputs.stack }}.html"
    assert keep["with"]["if-no-files-found"] == "error"


def test_each_attacker_tries_production_after_an_update_and_is_in_the_report() -> None:
    from zt.attack.attacker import Attacker

    names = [step.get("name") for step in steps(stack_job())]
    attacks = [step for step in steps(stack_job()) if ".venv/bin/zt attack" in step.get("run", "")]
    tried = [re.findall(r"--as (\S+)", step["run"]) or ["pod"] for step in attacks]
    assert [attacker for (attacker,) in tried] == [attacker.value for attacker in Attacker]
    written = [re.findall(r"--output (\S+)", step["run"])[0] for step in attacks]
    write = steps(stack_job())[names.index("Write the report")]
    assert [re.findall(r"--attacks=([a-z-]+[.]json)", option)[0] for option in write["env"].values()] == written
    assert write["run"].endswith("$" + " $".join(write["env"]))
    for step in attacks:
        assert step["if"] == "${{ !cancelled() && inputs.task == 'up' && inputs.stack == 'production' }}"
        assert names.index("Update the stack") < names.index(step["name"]) < names.index("Write the report")


def stack_job() -> Job:
    return load(ROOT / ".github/workflows/stack.yml")["jobs"]["run"]


def test_the_comment_is_found_by_what_the_command_writes() -> None:
    from zt.diff.output import marker

    text = (ROOT / ".github/workflows/pull-request.yml").read_text(encoding="utf-8")
    begin = re.search(r'startswith\("([^"]+)"\)', text)
    assert begin
    assert marker("production").startswith(begin[1])
