"""No two services of a stack make one object, whatever they, their jobs and their volumes are called."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pulumi_vault
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pulumi_kubernetes import Provider

from components.config.settings import Settings
from components.program.plan import plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError
from components.service.secure_service import SecureService
from tests.support import stacks
from tests.support.monitor import Registered, record
from tests.support.service_files import DATABASES_OF_THE_STACK, File

pytestmark = pytest.mark.unit

NO_WORDS = dict.fromkeys(("headers", "hsts", "rateLimit", "maxRequestBytes"), "none")
INGRESS = {"kind": "ingress", "className": "nginx", "controller": {"namespace": "nginx", "serviceAccount": "nginx"}}
STACKS = {
    "production": stacks.settings("production", apiServerCidrs=["10.0.0.1/32"]),
    "local": stacks.settings(
        "local", apiServerCidrs=["10.0.0.1/32"], ingress={**INGRESS, **NO_WORDS}, posture={"issuer": {"value": "ca"}}
    ),
}
# Names that are those of others with something behind them.
SERVICES = st.sampled_from(["a", "b", "a-b", "a-peers", "a-config", "a-tls", "a-data", "volume", "volume-data-a"])
PARTS = st.sampled_from(["a", "b", "b-c", "peers", "config", "tls", "data", "data-0", "data-a-0", "acme", "external"])
SECRETS = {"generate": ["password"]}


@st.composite
def several(draw: st.DrawFn) -> list[File]:
    """Two or three services beside each other, with all that has a name of its own."""
    files: list[File] = []
    for number in range(draw(st.integers(2, 3))):
        secret = draw(st.sampled_from(["a", "b", "tls"]))
        modes = st.sampled_from(["ReadWriteOnce", "ReadWriteMany"])
        volumes = draw(st.dictionaries(PARTS, modes, max_size=2))
        file: File = {
            "name": draw(SERVICES),
            "namespace": draw(st.sampled_from(["shop", "shop", "a"])),
            "team": "commerce",
            "image": "registry.example.org/shop/web:v1",
            "port": 8080,
            "host": f"h{number}.example.org",
            "secrets": {secret: SECRETS},
            "egress": [{"host": "a.example.net", "port": 443}],
            "peers": draw(st.sampled_from([[], [9000]])),
            "jobs": {
                name: {
                    "command": ["a"],
                    "secrets": [secret],
                    "egress": ["a.example.net"],
                    "ownVolumes": {
                        volume: {"path": f"/{volume}", "size": "1Gi"}
                        for volume in draw(st.lists(PARTS, max_size=1, unique=True))
                    },
                }
                for name in draw(st.lists(PARTS, max_size=2, unique=True))
            },
            "volumes": {
                name: {"path": f"/{name}", "size": "1Gi", "accessMode": mode} for name, mode in volumes.items()
            },
            "leaderElection": draw(st.booleans()),
        }
        file |= {"config": {"files": {"a": "b"}}} if draw(st.booleans()) else {}
        beside = draw(st.sampled_from(["", "peers", "config"]))
        file |= {"sidecars": {beside: {"port": 9100, "config": {"files": {"a": "b"}}}}} if beside else {}
        files.append(file)
    return files


def made_by(root: Path, files: list[File], environment: str, chosen: Settings) -> list[Registered]:
    """What a stack registers for its services. Raises `ConfigError`."""
    folder = root / "services"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for number, file in enumerate(files):
        (folder / f"file{number}.yaml").write_text(yaml.safe_dump(file), encoding="utf-8")
    known = chosen.model_copy(update={"databases": DATABASES_OF_THE_STACK})
    services = plan(read_stack(root, f"Pulumi.{environment}.yaml", known)).services

    def program() -> None:
        providers = [Provider("cluster"), pulumi_vault.Provider("vault", address="https://v:8200")]
        for args in services:
            SecureService(args.key, args, pulumi.ResourceOptions(providers=providers))

    return record(program).resources


def identities(made: list[Registered]) -> Iterator[tuple[str, ...]]:
    """Each resource by what it is for Pulumi, in Vault and in the cluster, and what controllers make of it there."""
    for each in made:
        inputs: Any = each.inputs
        yield "pulumi", each.type, each.parent, each.name
        if each.type.startswith("vault:"):
            place = str(inputs.get("backend") or inputs.get("mount"))
            yield "vault", each.type, place, str(inputs.get("name") or inputs.get("roleName"))
        if "kind" not in inputs:
            continue
        namespace = inputs["metadata"].get("namespace", "")
        name, spec = inputs["metadata"]["name"], inputs.get("spec", {})
        yield inputs["kind"], namespace, name
        for tls in spec.get("tls", ()) if inputs["kind"] == "Ingress" else ():
            yield "Secret", namespace, tls["secretName"]
        for claim in spec.get("volumeClaimTemplates", ()):
            yield from (("PersistentVolumeClaim", namespace, f"{claim['metadata']['name']}-{name}-{n}") for n in (0, 1))
        if "template" in spec:
            yield "pods", namespace, spec["template"]["metadata"]["labels"]["app"]


@pytest.mark.parametrize("environment", STACKS)
def test_each_object_is_made_once(tmp_path: Path, environment: str) -> None:
    accepted: list[int] = []

    @settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(files=several())
    def once(files: list[File]) -> None:
        try:
            made = made_by(tmp_path, files, environment, STACKS[environment])
        except ConfigError as error:
            # Both are named: the one that is refused by its file, and the other in the sentence.
            assert all(problem.file and problem.line for problem in error.problems)  # noqa: PT017 - most are accepted
            return
        accepted.append(len(files))
        assert [name for name, count in Counter(identities(made)).items() if count > 1] == []

    once()
    assert len(accepted) > 10


SMALL: File = {
    "namespace": "shop",
    "team": "commerce",
    "image": "registry.example.org/shop/web:v1",
    "port": 8080,
}
PAIR: list[File] = [
    {**SMALL, "name": "a", "host": "a.example.org"},
    {**SMALL, "name": "a-tls", "secrets": {"key": SECRETS}},
]


def test_a_secret_is_not_that_with_a_host_s_key(tmp_path: Path) -> None:
    assert made_by(tmp_path, PAIR, "production", STACKS["production"])
    told = (
        r"services/file1\.yaml:\d+: name: the Secret of its secrets is called so, as that with the key of a's host is"
    )
    with pytest.raises(ConfigError, match=told):
        made_by(tmp_path, PAIR, "local", STACKS["local"])
    assert made_by(tmp_path, [PAIR[0], {**PAIR[1], "namespace": "bank"}], "local", STACKS["local"])
