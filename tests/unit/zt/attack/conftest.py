"""A production stack of plain data, and a checkout that declares it."""

from pathlib import Path

import pytest

from tests.unit.zt.attack.stack import Stack, write_project

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
    return write_project(tmp_path, SERVICES)
