"""Whatever stands in a service file: a plan comes of it, or a problem with file, line and key."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from components.schema.problem import ConfigError
from tests.support import stacks
from tests.support.service_files import PLACEMENT, File, planned, service_files

pytestmark = pytest.mark.unit

PRODUCTION = stacks.settings("production", placement=PLACEMENT)


@settings(max_examples=300, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(made=service_files())
def test_a_file_is_planned_or_its_key_is_named(made: tuple[str, File]) -> None:
    name, file = made
    with tempfile.TemporaryDirectory() as folder:
        try:
            assert planned(Path(folder), name, file, PRODUCTION).name == name
        except ConfigError as error:
            for problem in error.problems:
                assert problem.file.startswith("services/")
                assert problem.line > 0
                assert problem.key, str(problem)
