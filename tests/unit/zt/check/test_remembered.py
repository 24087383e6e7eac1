"""What a check keeps of earlier ones: it must never be taken for an answer to another question."""

import json
import os
import subprocess
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.zt.check.planned import add_exception, digest
from zt.check import charts
from zt.check.kyverno_jobs import Job, jobs
from zt.check.kyverno_memory import Verdicts
from zt.check.kyverno_result import Result
from zt.check.plan import Plan, PlannedRelease, namespaces, parse_plan
from zt.check.remembered import Remembered, key_of

pytestmark = pytest.mark.unit

_LOOKS = "require-pod-disruption-budget"


class TestRemembered:
    def test_an_answer_is_its_owners_alone(self, tmp_path: Path) -> None:
        kept = Remembered(tmp_path / "kept")
        assert kept.get("a") is None
        kept.put("a", "answer")
        assert kept.get("a") == "answer"
        assert (tmp_path / "kept" / "a").stat().st_mode & 0o777 == 0o600

    def test_a_folder_that_cannot_be_written_is_no_failure(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        kept = Remembered(tmp_path / "file")
        kept.put("a", "answer")
        kept.trim()
        assert kept.get("a") is None

    def test_what_was_not_asked_for_longest_goes(self, tmp_path: Path) -> None:
        kept = Remembered(tmp_path, limit=8)
        for number, key in enumerate("abc"):
            kept.put(key, "1234")
            os.utime(tmp_path / key, (number, number))
        assert kept.get("a") == "1234"
        kept.trim()
        assert {key for key in "abc" if kept.get(key)} == {"a", "c"}

    def test_a_key_knows_where_a_part_ends(self) -> None:
        assert len({key_of(parts) for parts in (["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"], [])}) == 5


def tool(folder: Path) -> Path:
    made = folder / "tool"
    if not made.exists():
        made.write_text("v1")
    return made


Change = Callable[[dict[str, Any], Path], None]


def planned(change: Change | None, folder: Path) -> tuple[Verdicts, Job]:
    """The memory of a plan, and its job on the Deployment."""
    made = digest()
    executable = tool(folder)
    if change:
        change(made, executable)
    plan: Plan = parse_plan(json.dumps(made), "plan")
    labels = namespaces(plan.objects)
    memory = Verdicts(Remembered(folder / "kept"), executable, plan, plan.exceptions, labels)
    [job] = [job for job in jobs(plan.policies, plan.objects, labels) if job.objects[0].identity[1] == "Deployment"]
    return memory, job


def results(job: Job, result: str = "pass", **changed: Any) -> list[Result]:
    made = Result("require-probes", job.objects[0].identity, result, "said", ("granted",))
    return [replace(made, **changed)]


def state(made: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(step["newState"]["inputs"] for step in made["steps"] if step["newState"]["type"].endswith(f":{kind}"))


def another_image(made: dict[str, Any], _tool: Path) -> None:
    state(made, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example.org/b:v2"


def another_rule(made: dict[str, Any], _tool: Path) -> None:
    state(made, "ValidatingPolicy")["spec"]["validations"][0]["message"] = "another"


def another_neighbour(made: dict[str, Any], _tool: Path) -> None:
    state(made, "PodDisruptionBudget")["spec"]["minAvailable"] = 7


def another_exception(made: dict[str, Any], _tool: Path) -> None:
    add_exception(made, state(made, "ValidatingPolicy")["metadata"]["name"], "2030-01-01")


def another_label(made: dict[str, Any], _tool: Path) -> None:
    state(made, "Namespace")["metadata"].setdefault("labels", {})["team"] = "another"


def another_tool(_made: dict[str, Any], executable: Path) -> None:
    executable.write_text("v1.1")


class TestVerdicts:
    def test_the_same_question_is_not_asked_again(self, tmp_path: Path) -> None:
        memory, job = planned(None, tmp_path)
        assert memory.known([job]) == ([], [job])
        memory.keep(job, results(job))
        assert planned(None, tmp_path)[0].known([job]) == (results(job), [])

    @pytest.mark.parametrize(
        "change",
        [another_image, another_rule, another_neighbour, another_exception, another_label, another_tool],
        ids=lambda change: change.__name__,
    )
    def test_another_question_is(self, tmp_path: Path, change: Change) -> None:
        memory, job = planned(None, tmp_path)
        assert _LOOKS in {policy["metadata"]["name"] for policy in job.policies}  # pyright: ignore[reportIndexIssue] - JSON
        memory.keep(job, results(job))
        changed, asked = planned(change, tmp_path)
        assert changed.known([asked]) == ([], [asked])

    @pytest.mark.parametrize(
        "wrong", [{"result": "error"}, {"identity": ("apps/v1", "Deployment", "default", "other")}]
    )
    def test_an_answer_that_is_none_is_not_kept(self, tmp_path: Path, wrong: dict[str, Any]) -> None:
        memory, job = planned(None, tmp_path)
        memory.keep(job, [*results(job), *results(job, **wrong)])
        assert memory.known([job]) == ([], [job])

    def test_that_every_policy_is_read_is_of_these_policies(self, tmp_path: Path) -> None:
        memory, _ = planned(None, tmp_path)
        assert not memory.all_read()
        memory.keep_all_read()
        assert memory.all_read()
        assert not planned(another_rule, tmp_path)[0].all_read()


class TestCharts:
    @pytest.fixture
    def release(self, tmp_path: Path) -> PlannedRelease:
        chart = tmp_path / "chart"
        (chart / "templates").mkdir(parents=True)
        (chart / "Chart.yaml").write_text("name: a\n")
        return PlannedRelease("urn", "platform", ("", 0), "a", "ns", str(chart), "", "", {"size": 1}, "")

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
        """What helm is asked."""
        made: list[list[str]] = []

        def run(command: list[str], **_how: object) -> subprocess.CompletedProcess[str]:
            made.append(command)
            secret = (
                "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {key: aGlkZGVu}\nstringData: {b: hidden}\n"
            )
            account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\n"
            return subprocess.CompletedProcess(command, 0, f"---\n{secret}---\n{account}", "")

        monkeypatch.setattr(charts.subprocess, "run", run)
        return made

    def rendered(self, folder: Path, release: PlannedRelease, kubernetes: str = "v1.36.0") -> list[object]:
        found, missing = charts.render(tool(folder), [release], kubernetes, Remembered(folder / "kept"))
        assert not missing
        return [planned.manifest for planned in found]

    def test_the_same_chart_is_rendered_once(
        self, tmp_path: Path, release: PlannedRelease, asked: list[list[str]]
    ) -> None:
        first = self.rendered(tmp_path, release)
        assert (self.rendered(tmp_path, release), len(asked)) == (first, 1)

    @pytest.mark.usefixtures("asked")
    def test_no_value_of_a_secret_is_kept(self, tmp_path: Path, release: PlannedRelease) -> None:
        [secret, _] = self.rendered(tmp_path, release)
        assert (secret["data"], secret["stringData"]) == ({"key": ""}, {"b": ""})  # pyright: ignore[reportIndexIssue] - JSON
        [file] = (tmp_path / "kept").iterdir()
        assert "hidden" not in file.read_text()
        assert "aGlkZGVu" not in file.read_text()

    def test_another_question_is_asked(self, tmp_path: Path, release: PlannedRelease, asked: list[list[str]]) -> None:
        self.rendered(tmp_path, release)
        self.rendered(tmp_path, replace(release, values={"size": 2}))
        self.rendered(tmp_path, replace(release, name="b"))
        self.rendered(tmp_path, replace(release, namespace="other"))
        self.rendered(tmp_path, release, "v1.37.0")
        (Path(release.chart) / "templates" / "new.yaml").write_text("")
        self.rendered(tmp_path, release)
        assert len(asked) == 6

    def test_secret_values_leave_no_trace(
        self, tmp_path: Path, release: PlannedRelease, asked: list[list[str]]
    ) -> None:
        mark = "4dabf18193072939515e22adb298388d"
        secret = replace(release, values={"password": {mark: "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"x"'}})
        self.rendered(tmp_path, secret)
        self.rendered(tmp_path, deepcopy(secret))
        assert (len(asked), (tmp_path / "kept").exists()) == (2, False)

    def test_a_chart_with_a_link_is_rendered_each_time(
        self, tmp_path: Path, release: PlannedRelease, asked: list[list[str]]
    ) -> None:
        (Path(release.chart) / "templates" / "link.yaml").symlink_to(tmp_path / "elsewhere")
        self.rendered(tmp_path, release)
        self.rendered(tmp_path, release)
        assert len(asked) == 2
