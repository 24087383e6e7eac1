"""The volumes of simulated pods."""

from typing import Any

import pytest

from embedded.supervisor.volumes import provide

pytestmark = pytest.mark.unit


class _Api:
    def __init__(self) -> None:
        self.created: list[dict[str, Any]] = []
        self.deleted: list[str] = []

    def ensure(self, _collection: str, manifest: dict[str, Any]) -> None:
        self.created.append(manifest)

    def delete(self, path: str) -> None:
        self.deleted.append(path)


def _claim(name: str, phase: str = "Pending", **spec: object) -> dict[str, Any]:
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return {"metadata": {"namespace": "shop", "name": name, "uid": name}, "spec": asked, "status": {"phase": phase}}


def test_each_claim_that_waits_gets_one_of_its_own_class() -> None:
    claims = [_claim("a"), _claim("b", storageClassName="fast"), _claim("c", "Bound"), _claim("d", volumeName="other")]
    api = _Api()
    provide(api, claims, [])  # pyright: ignore[reportArgumentType] - what it asks of the API
    assert [(volume["spec"]["claimRef"]["name"], volume["spec"]["storageClassName"]) for volume in api.created] == [
        ("a", ""),
        ("b", "fast"),
    ]


def test_those_whose_claims_are_gone_go_too() -> None:
    volumes = [
        {"metadata": {"name": name}, "status": {"phase": phase}}
        for name, phase in (("simulated-a", "Bound"), ("simulated-b", "Released"), ("local-c", "Released"))
    ]
    api = _Api()
    provide(api, [], volumes)  # pyright: ignore[reportArgumentType] - what it asks of the API
    assert api.deleted == ["/api/v1/persistentvolumes/simulated-b"]
