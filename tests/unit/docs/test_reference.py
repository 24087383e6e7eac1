"""The generated reference: current, and a schema that says what the program says."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from docs.generate import main, pages
from tests.support.stacks import ROOT

pytestmark = pytest.mark.unit

SERVICES = sorted((ROOT / "services").glob("*.yaml"))


def test_the_committed_pages_are_those_that_the_code_makes() -> None:
    assert main(["--check"]) == 0


def test_a_stale_page_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("docs.generate.ROOT", tmp_path)
    assert main(["--check"]) == 1
    assert "docs/reference/rules.md is out of date: run `make docs`" in capsys.readouterr().err
    assert main([]) == 0
    assert main(["--check"]) == 0


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: path.stem)
def test_the_schema_takes_the_services_of_the_stack(path: Path) -> None:
    jsonschema.validate(yaml.safe_load(path.read_text()), schema())


def test_the_schema_refuses_an_unknown_key() -> None:
    service = yaml.safe_load(SERVICES[0].read_text())
    with pytest.raises(jsonschema.ValidationError, match="colour"):
        jsonschema.validate({**service, "colour": "red"}, schema())


def test_every_table_has_its_columns() -> None:
    for name, text in pages().items():
        if name.endswith(".md"):
            rows = [line for line in text.splitlines() if line.startswith("|")]
            assert rows
            assert {row.replace("\\|", "").count("|") for row in rows} <= {4, 5, 6}


def schema() -> dict[str, object]:
    return json.loads((ROOT / "docs" / "reference" / "service.schema.json").read_text())
