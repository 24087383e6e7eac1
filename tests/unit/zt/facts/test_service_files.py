"""Whatever a service file may say, its diff and the outcome that `zt new` shows can be made of it."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.kyverno.library import load_library
from components.schema.problem import ConfigError
from tests.support import stacks
from tests.support.service_files import NAMESPACE, OPTIONAL, PLACEMENT, RUN, SITE, planned
from zt.facts.model import ServiceSetting
from zt.facts.read_service import service_facts
from zt.new.outcome import objects

pytestmark = pytest.mark.unit

SCRAPER = {"namespace": "monitoring", "serviceAccount": "prometheus"}
PRODUCTION = stacks.settings(
    "production", apiServerCidrs=["10.0.0.1/32"], mesh={"scraper": SCRAPER}, placement=PLACEMENT
)
LIBRARY = load_library()
SMALL = {"namespace": NAMESPACE, "team": "commerce", "image": "registry.example.org/shop/orders:v1", "port": 8080}
# What a key needs beside it.
BESIDE = {
    **{
        key: {"host": "orders.example.org"}
        for key in ("aliases", "paths", "hostUsers", "securityHeaders", "maxRequestBytes", "jwt")
    },
    "hostOwner": {"host": SITE["host"]},
    "secretEnv": {"command": ["serve"], "secrets": {"work": {"generate": ["password"]}}},
}


@pytest.mark.parametrize("key", sorted(OPTIONAL))
def test_each_key_is_read(key: str) -> None:
    accepted: list[object] = []

    @settings(max_examples=30, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(value=OPTIONAL[key], data=st.data())
    def read(value: object, data: st.DataObject) -> None:
        file = {**SMALL, "protocol": data.draw(OPTIONAL["protocol"]), **BESIDE.get(key, {}), key: value}
        with tempfile.TemporaryDirectory() as folder:
            try:
                args = planned(Path(folder), "orders", file, PRODUCTION)
            except ConfigError:
                return
        accepted.append(value)
        assert list(service_facts(args, LIBRARY))
        assert list(objects(args, new_namespace=True))

    read()
    assert accepted


@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(run=RUN)
def test_a_program_that_ends_is_read(run: object) -> None:
    file = {**SMALL, "run": run}
    del file["port"]
    with tempfile.TemporaryDirectory() as folder:
        try:
            args = planned(Path(folder), "orders", file, PRODUCTION)
        except ConfigError:
            return
    assert ServiceSetting("files/orders", "schedule", f"itself at {args.run.schedule or 'each release'}") in set(
        service_facts(args, LIBRARY)
    )
    assert {item.kind for item in objects(args, new_namespace=False)} >= {"CronJob" if args.run.schedule else "Job"}
