"""Each key of full stack files with other values in it: the program plans what is right, or says what is wrong."""

import json
import random
import runpy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import trustme

from components.config.stack_file import decode_config, parse_settings
from components.program.objects_of_others import import_problems
from components.program.plan import plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError
from tests.support import api_rules
from tests.support.monitor import record
from tests.support.stack_values import KINDS, Stack, full, wrong
from tests.support.stacks import ROOT, pulumi_config

pytestmark = pytest.mark.unit

# Of all there are, for one run: another time another part of them would be as good.
TRIED, MADE = 160, 2
STACKS = [(environment, kind) for environment in ("production", "staging") for kind in KINDS] + [("dev", "of others")]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    file.write_bytes(trustme.CA().cert_pem.bytes())
    return file


def accepted(environment: str, stack: Stack) -> bool:
    """Whether the program plans a stack. One that it refuses has problems that say where and why, each in one line."""
    file = f"Pulumi.{environment}.yaml"
    try:
        values = decode_config(pulumi_config(stack), frozenset(), file)
        read = read_stack(ROOT, file, parse_settings(values, file), lambda: date(2026, 11, 15))
        if wrong_import := import_problems(read, plan(read)):
            raise wrong_import
    except ConfigError as error:
        refused = error.problems
    else:
        return True
    assert refused
    assert [p for p in refused if not (p.file and p.key and p.message) or not str(p).isprintable()] == []
    return False


def made_by(environment: str, stack: Stack) -> list[Any]:
    """The objects of the whole program."""
    config = pulumi_config(stack)
    program = str(ROOT / "__main__.py")
    found = record(lambda: runpy.run_path(program, run_name="__main__") and None, environment, config).resources
    return [dict(each.inputs) for each in found if each.type.startswith("kubernetes:") and "kind" in each.inputs]


@pytest.mark.parametrize(("environment", "kind"), STACKS)
def test_a_full_stack_file_and_what_else_may_stand_in_it(
    environment: str, kind: str, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What others installed is no matter here.
    monkeypatch.setattr("components.program.existing.refuse_unfit", lambda *_: None)
    stack = full(environment, kind, authority)
    assert accepted(environment, stack)
    assert api_rules.problems(made_by(environment, stack)) == []
    chance = random.Random(f"{environment} {kind}")  # noqa: S311 - which are tried, and no secret
    every = [each for each in wrong(stack) if _written(each[2])]
    taken = [each for each in chance.sample(every, TRIED) if accepted(environment, each[2])]
    # Else it would be a test of one side alone.
    assert TRIED / 20 < len(taken) < TRIED / 2
    for path, new, changed in chance.sample(taken, MADE):
        assert (path, new, api_rules.problems(made_by(environment, changed))) == (path, new, [])


def _written(stack: Stack) -> bool:
    try:
        return bool(json.dumps(stack, allow_nan=False))
    except ValueError:
        return False
