"""What `zt new service` says is created is what the component creates, on every platform."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import pulumi
import pulumi_vault
import pytest
from pulumi_kubernetes import Provider

from components.kube.service_ref import ServiceRef
from components.service.args.containers import ContainerArgs, ScratchArgs
from components.service.args.database import DatabaseArgs, GrantArgs
from components.service.args.exceptions import ExceptionArgs
from components.service.args.jobs import JobArgs, RunArgs
from components.service.args.lifecycle import StopArgs
from components.service.args.network import (
    EgressArgs,
    JwtArgs,
    MetricsArgs,
    Peer,
    PlaintextPortArgs,
    PortArgs,
    StickyArgs,
)
from components.service.args.probes import ProbeArgs, ProbesArgs
from components.service.args.scaling import AutoscalingArgs
from components.service.args.service import ApiRuleArgs, SecureServiceArgs
from components.service.args.storage import ConfigArgs, VolumeArgs
from components.service.file.storage import SHARED_MEMORY
from components.service.secure_service import SecureService
from tests.support.monitor import Recording, record
from tests.support.stacks import platform, service
from zt.new.outcome import objects, vault_items

pytestmark = pytest.mark.unit

LAYERS = list(product((False, True), ("off", "dry-run", "enforce"), (False, True), ("", "ingress", "gateway-api")))
FULL: dict[str, Any] = {
    "called_by": [Peer(ServiceRef("shop", "web"), 8080)],
    "kubernetes_api": [
        ApiRuleArgs([""], ["configmaps"], ["get"]),
        ApiRuleArgs([""], ["nodes"], ["list"], "2026-02-01", cluster_wide=True),
    ],
    "host": "api.example.org",
    "exceptions": [ExceptionArgs("require-probes", "no time yet for them", "ann", "2026-02-01")],
}
COMMANDS = ProbesArgs(ProbeArgs(5, 3, command=["bin/well"]), ProbeArgs(5, 3, command=["bin/well"]))
SHAPES: dict[str, dict[str, Any]] = {
    "full": FULL,
    "network": {
        "host": "api.example.org",
        "egress": [EgressArgs("pay.example.org", 443)],
        "jwt": JwtArgs("https://l.example.org", "https://l.example.org/keys", "", ["shop"]),
        "plaintext_ports": [PlaintextPortArgs(8080, ["10.0.0.0/24"], "no certificate yet", "ann", "2026-02-01")],
        "metrics": MetricsArgs(9090, "/metrics"),
    },
    "small": {"secrets": [], "replicas": 1},
    "several": {
        "init": [ContainerArgs("fetch", "registry.example.org/shop/fetch:v1", 1000)],
        "sidecars": [
            ContainerArgs("web", "registry.example.org/shop/web:v1", 1000, config=ConfigArgs("/etc/web", {"a": "b"}))
        ],
        "scratch": [ScratchArgs("work", "/work"), ScratchArgs("shm", SHARED_MEMORY, "1Gi", memory=True)],
    },
    "peers": {"peers": [6222], "pod_env": {"POD_NAME": "name"}, "stop": StopArgs(5, 60)},
    "in order": {"peers": [6222], "start_in_order": True, "volumes": [VolumeArgs("data", "/data", "1Gi")]},
    "ports": {"ports": [PortArgs("admin", 9001), PortArgs("sync", 9002, "tcp")]},
    "sticky": {"sticky": StickyArgs(cookie="seat"), "ports": [PortArgs("admin", 9001, "http", StickyArgs(header="X"))]},
    "worker": {"port": 0, "health": "", "probes": COMMANDS},
    "worker with metrics": {"port": 0, "health": "", "metrics": MetricsArgs(9100, "/metrics")},
    "once": {"port": 0, "health": "", "replicas": 1, "run": RunArgs(timeout=60)},
    "night": {
        "port": 0,
        "health": "",
        "replicas": 1,
        "run": RunArgs("0 3 * * *", 2, 60),
        "volumes": [VolumeArgs("data", "/data", "1Gi")],
    },
    "stateful": {
        "volumes": [VolumeArgs("data", "/data", "1Gi"), VolumeArgs("media", "/media", "1Gi", "", "ReadWriteMany")],
        "autoscaling": AutoscalingArgs(2, 5),
        "config": ConfigArgs("/etc/api", {"a.yaml": "a"}),
        "jobs": [
            JobArgs("migrate", reads=["media"]),
            JobArgs(
                "night",
                schedule="0 3 * * *",
                secrets=["database"],
                own_volumes=[VolumeArgs("dump", "/dump", "1Gi")],
            ),
        ],
    },
    "database": {
        "databases": [
            DatabaseArgs(
                connection="main",
                database="shop",
                grants=[GrantArgs("public", ["SELECT"], all_tables=True)],
                owner="owner.shop.shop.api",
                schemas=["public"],
                file="db",
                template="{{ .Data.username }}",
            ),
            DatabaseArgs(
                "audit", "shop", grants=[GrantArgs("log", ["INSERT"], tables=["lines"])], name="audit", file="audit"
            ),
        ],
        "jobs": [JobArgs("migrate", owns=["database"]), JobArgs("night", "0 3 * * *", databases=["audit"])],
    },
}


def run(args: SecureServiceArgs) -> Recording:
    def program() -> None:
        cluster, vault = Provider("cluster"), pulumi_vault.Provider("vault", address="https://v:8200")
        SecureService(args.key, args, pulumi.ResourceOptions(providers=[cluster, vault]))

    return record(program)


@pytest.mark.parametrize(("vault", "authorization", "network", "route"), LAYERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_list_is_what_the_component_registers(
    shape: str, vault: bool, authorization: str, network: bool, route: str
) -> None:
    layers = {"injection": vault, "authorization": authorization, "network_policies": network, "route": route}
    facts = platform(vault=vault, issuer="letsencrypt-prod", **layers)
    args = service(**{**SHAPES[shape], "platform": facts})
    made = run(args).resources
    kinds = [one.type.rsplit(":", 1)[1] for one in made if one.type.startswith("kubernetes:")]
    assert sorted(item.kind for item in objects(args, new_namespace=False)) == sorted(kinds)
    in_vault = sorted(name for one in made if (name := vault_name(one.type.rsplit("/", 1)[-1], one.inputs)))
    assert sorted(item.name for item in vault_items(args)) == in_vault
    assert len([one for one in made if one.type.startswith("vault:")]) == len(in_vault)


def vault_name(type_: str, inputs: Mapping[str, Any]) -> str:
    """What the command calls a resource of Vault's provider."""
    match type_:
        case "policy:Policy":
            return inputs["name"]
        case "authBackendRole:AuthBackendRole":
            return f"auth/{inputs['backend']}/role/{inputs['roleName']}"
        case "secretV2:SecretV2":
            return f"{inputs['mount']}/data/{inputs['name']}"
        case "secretBackendRole:SecretBackendRole":
            return f"{inputs['backend']}/creds/{inputs['name']}"
        case _:
            return ""
