"""The package for other languages, as Pulumi's own checks of a schema see it: those that come before every SDK."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.provider.package import PACKAGE, Package
from embedded.toolchain import ensure

pytestmark = pytest.mark.e2e

SERVICE = f"{PACKAGE}:index:ServiceSpec"


def checked(schema: dict[str, Any], directory: Path) -> subprocess.CompletedProcess[str]:
    """What the pinned CLI says of a schema, without an engine or the network."""
    file = directory / "schema.json"
    file.write_text(json.dumps(schema))
    environment = {"HOME": str(directory), "PULUMI_HOME": str(directory), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    command = [str(ensure(["pulumi"]) / "pulumi"), "schema", "check", str(file)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def dangling(types: dict[str, Any]) -> None:
    types[SERVICE]["properties"]["init"]["additionalProperties"]["$ref"] = f"#/types/{PACKAGE}:index:Nothing"


def unknown_key(types: dict[str, Any]) -> None:
    types[SERVICE]["required"].append("nothing")


def unknown_kind(types: dict[str, Any]) -> None:
    types[SERVICE]["properties"]["image"]["type"] = "text"


def test_every_sdk_can_be_made_of_it(tmp_path: Path) -> None:
    done = checked(json.loads(Package().schema or ""), tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "warning" not in done.stdout.lower()


@pytest.mark.parametrize("broken", [dangling, unknown_key, unknown_kind])
def test_what_no_sdk_can_be_made_of_is_found(tmp_path: Path, broken: Callable[[dict[str, Any]], None]) -> None:
    schema = json.loads(Package().schema or "")
    broken(schema["types"])
    assert checked(schema, tmp_path).returncode != 0
