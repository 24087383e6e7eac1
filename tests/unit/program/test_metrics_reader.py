"""The reader of metrics, which connects to each pod by its address: no service and no package may do that."""

from pathlib import Path
from typing import Any

import pytest

from components.program.stack import Stack, read_stack
from components.schema.problem import ConfigError
from tests.support.stacks import settings
from tests.unit.service.test_directory import SMALL, write

pytestmark = pytest.mark.unit

READER = {"namespace": "monitoring", "serviceAccount": "prometheus"}
SERVICE = SMALL.replace("namespace: shop", "namespace: monitoring").replace("r.example.org", "registry.example.org")
PACKAGE = """\
namespace: monitoring
team: platform
manifests: packages/metrics
"""


def stack(root: Path, environment: str, scraper: dict[str, str]) -> Stack:
    values: dict[str, Any] = {"mesh": {"scraper": scraper}}
    return read_stack(root, f"Pulumi.{environment}.yaml", settings(environment, None, **values))


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_it_is_no_service(tmp_path: Path, environment: str) -> None:
    write(tmp_path, prometheus=SERVICE)
    with pytest.raises(
        ConfigError, match=r"mesh\.scraper: the service monitoring/prometheus would reach what its file"
    ):
        stack(tmp_path, environment, READER)


def test_it_is_in_no_package(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    (tmp_path / "packages" / "metrics").mkdir(parents=True)
    (tmp_path / "packages" / "metrics.yaml").write_text(PACKAGE)
    with pytest.raises(ConfigError, match=r"mesh\.scraper: the package monitoring/metrics would reach what its file"):
        stack(tmp_path, "production", {**READER, "serviceAccount": "server"})


def test_another_one_is_none_of_them(tmp_path: Path) -> None:
    write(tmp_path, prometheus=SERVICE)
    assert stack(tmp_path, "production", {**READER, "serviceAccount": "other"}).services
    # Where nothing is closed, everybody may read.
    assert stack(tmp_path, "dev", READER).services
