"""A production stack of plain data, and a checkout that declares it."""

from pathlib import Path

import pytest

from tests.support.stacks import ROOT
from tests.unit.zt.attack.stack import PORTS, Stack

SERVICES = {
    "api": """\
host: api.example.org
calls: [postgres, redis]
secrets:
  database: {values: {username: api}, generate: [password]}
""",
    "postgres": "callers: [api]\nsecrets: {superuser: {generate: [password]}}\n",
    "redis": "callers: [api]\nsecrets: {auth: {generate: [password]}}\n",
}


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    logs = [tmp_path / "audit-1.log", tmp_path / "audit-2.log"]
    for log in logs:
        log.touch()
    return Stack(logs)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "policies").symlink_to(ROOT / "policies")
    (tmp_path / "Pulumi.production.yaml").symlink_to(ROOT / "Pulumi.production.yaml")
    (tmp_path / "services").mkdir()
    for name, rest in SERVICES.items():
        image = f"registry.example.org/shop/{name}:v1"
        head = f"namespace: shop\nteam: commerce\nimage: {image}\nport: {PORTS[name]}\n"
        (tmp_path / "services" / f"{name}.yaml").write_text(head + rest)
    return tmp_path
