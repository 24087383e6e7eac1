"""The bench's workload must stay a legal checkout: a service file that the program refuses would measure nothing."""

import json
import sys
from pathlib import Path

import pytest

from bench.__main__ import figures
from bench.figures import main, table
from bench.measure import CommandFailedError, Measurement, measure
from bench.record import Record
from bench.workload import checkout, manifests
from components.service.file.directory import Admission, read_services

pytestmark = pytest.mark.unit


def test_the_copies_are_services_that_the_program_takes(tmp_path: Path) -> None:
    directory = checkout(tmp_path / "work", 3)
    services = read_services(directory / "services", Admission(registries=(), api_server_reachable=False))
    assert [spec.name for spec in services] == ["service-000", "service-001", "service-002"]
    assert (directory / "Pulumi.bench.yaml").exists()


def test_only_the_kubernetes_objects_of_a_stack_are_its_peers_workload() -> None:
    service = {"type": "kubernetes:core/v1:Service", "inputs": {"apiVersion": "v1", "kind": "Service"}}
    namespace = {"type": "kubernetes:core/v1:Namespace", "inputs": {"apiVersion": "v1", "kind": "Namespace"}}
    others = [{"type": "pulumi:pulumi:Stack"}, {"type": "random:index/randomPassword:RandomPassword", "inputs": {}}]
    found = manifests({"deployment": {"resources": [*others, service, namespace]}})
    assert [item["kind"] for item in found] == ["Namespace", "Service"]


def test_a_command_that_fails_shows_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match=r"exited with 3:\nout"):
        measure([sys.executable, "-c", "print('out'); raise SystemExit(3)"], {}, tmp_path)


def test_a_command_is_measured(tmp_path: Path) -> None:
    found = measure([sys.executable, "-c", "import time; time.sleep(0.5)"], {}, tmp_path)
    assert found.seconds >= 0.5
    assert found.peak_mib > 1


class TestFigures:
    @pytest.fixture(autouse=True)
    def _of_this_test(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bench.figures.ACCEPTED", tmp_path / "accepted.json")
        monkeypatch.setattr("bench.record.RESULTS", tmp_path)

    def test_what_was_measured_is_written_at_once(self) -> None:
        record = Record("services")
        record.figure("up-50", 1.6)
        record.value("50 services", {"up": 3.0})
        written = json.loads(record.path.read_text())
        assert (written["figures"], written["values"]) == ({"up-50": 1.6}, {"50 services": {"up": 3.0}})
        assert written["machine"]
        assert set(written["versions"]) >= {"pulumi", "kubernetes"}

    def test_accepted_figures_are_in_the_table_with_their_goals(self) -> None:
        assert "not yet" in table()
        record = Record("services")
        record.figure("up-50", 1.5)
        record.figure("no-change-50", 1.31)
        assert main(["accept", str(record.path)]) == 0
        rows = {line.split(" | ")[0]: line for line in table().splitlines()}
        assert "| 1.5 | 1.5 (" in rows["| first `up`, 50 services / `kubectl apply --server-side`"]
        assert "| met |" in rows["| first `up`, 50 services / `kubectl apply --server-side`"]
        assert "| missed |" in rows["| `up` without a change, 50 services / `kubectl diff`"]

    @pytest.mark.parametrize(("value", "code"), [(1.6, 0), (1.7, 1)])
    def test_a_ratio_that_grew_by_more_than_a_tenth_fails(
        self, value: float, code: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before, after = Record("before"), Record("after")
        before.figure("up-50", 1.5)
        before.figure("check", 8.0)
        main(["accept", str(before.path)])
        after.figure("up-50", value)
        after.figure("check", 80.0)
        assert main(["compare", str(after.path)]) == code
        assert ("accepted is 1.50" in capsys.readouterr().err) == bool(code)

    def test_the_figures_of_a_number_of_services_are_those_of_the_table(self) -> None:
        def row(seconds: float) -> dict[str, Measurement]:
            steps = ("preview", "up", "no-change up", "destroy", "apply", "diff", "delete")
            return {step: Measurement(seconds, 10.0) for step in steps}

        rows = {100: row(2.0), 500: row(11.0)}
        assert dict(figures(100, rows)) == {"up-100": 1.0, "no-change-100": 1.0}
        assert dict(figures(500, rows)) == {"growth-500": 1.1}
        assert dict(figures(7, {7: row(1.0)})) == {}
