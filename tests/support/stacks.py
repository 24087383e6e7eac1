"""The project's own stack files and services, as the tests read them."""

import json
from pathlib import Path
from typing import Any

import yaml

from components.config.overlay import Overlay
from components.config.posture import TABLE
from components.config.settings import Settings
from components.config.stack_file import parse_settings
from components.ingress.terms import IngressTerms, PublicTerms
from components.kube.names import PROJECT
from components.kube.service_ref import ServiceRef
from components.mesh.terms import MeshTerms
from components.program.plan import Plan, plan
from components.program.stack import Stack
from components.service.args.platform import PlatformTerms
from components.service.args.service import SecretArgs, SecureServiceArgs
from components.service.file.directory import Admission, read_services
from components.vault.terms import Delivery, StoreTerms, VaultTerms

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = tuple(TABLE)


def values(environment: str) -> dict[str, Any]:
    """The decoded values of a stack file."""
    text = (ROOT / f"Pulumi.{environment}.yaml").read_text(encoding="utf-8")
    return {key.removeprefix(f"{PROJECT}:"): value for key, value in yaml.safe_load(text)["config"].items()}


def pulumi_config(config: dict[str, Any]) -> dict[str, str]:
    """Values as Pulumi hands them to a program: objects as JSON text."""
    return {f"{PROJECT}:{k}": v if isinstance(v, str) else json.dumps(v) for k, v in config.items()}


def settings(environment: str, /, overlay: Overlay | None = None, **changes: object) -> Settings:
    return parse_settings({**values(environment), **changes}, f"Pulumi.{environment}.yaml", overlay)


def stack(environment: str, /, overlay: Overlay | None = None, **changes: object) -> Stack:
    chosen = settings(environment, overlay, **changes)
    services = read_services(ROOT / "services", Admission(chosen.registries, api_server_reachable=True))
    file = f"Pulumi.{environment}.yaml"
    return Stack(file, chosen, chosen.decisions(), services)


def plan_of(environment: str, /, overlay: Overlay | None = None, **changes: object) -> Plan:
    return plan(stack(environment, overlay, **changes))


def platform(**changes: Any) -> PlatformTerms:
    """A platform with every layer enforced. Each change names what one layer's terms say, without that layer's name."""
    full: dict[str, Any] = {
        "vault": True,
        "injection": True,
        "mesh": True,
        "strict": True,
        "authorization": "enforce",
        "network_policies": True,
        "route": "gateway-api",
        "issuer": "ca",
        "gateway_namespace": "istio-ingress",
        "gateway_account": "public-istio",
        **changes,
    }
    vault, injection, store = full.pop("vault"), full.pop("injection"), full.pop("store", StoreTerms())
    delivery = Delivery.EXTERNAL_SECRETS if store.server else Delivery.AGENT if injection else Delivery.APPLICATION
    names = {"vault_port": "port", "vault_networks": "networks", "secret_refresh": "refresh"}
    vaults = {name: full.pop(key) for key, name in names.items() if key in full}
    vaults |= {
        name: full.pop(name) for name in ("kv_mount", "database_mount", "databases", "auth_path") if name in full
    }
    own = ("ambient", "strict", "authorization", "trust_domain", "revision", "scraper", "collector", "collector_port")
    meshes = {name: full.pop(name) for name in own if name in full}
    return PlatformTerms(
        vault=VaultTerms(delivery if vault else Delivery.KUBERNETES_SECRET, store=store, **vaults),
        mesh=MeshTerms(full.pop("mesh"), **meshes),
        ingress=IngressTerms(
            route=full.pop("route"),
            issuer=full.pop("issuer"),
            class_name=full.pop("ingress_class", ""),
            gateway=ServiceRef(full.pop("gateway_namespace"), "public"),
            account=full.pop("gateway_account"),
            public=full.pop("public", PublicTerms()),
        ),
        **full,
    )


def service(**changes: Any) -> SecureServiceArgs:
    """A small service with one secret."""
    secret = SecretArgs("database", "database", {"host": "db"}, ["password"], "P={{ .Data.data.password }}\n")
    small: dict[str, Any] = {
        "name": "api",
        "namespace": "shop",
        "team": "commerce",
        "image": "registry.example.org/shop/api:v1.2.3",
        "port": 8080,
        "platform": platform(),
        "secrets": [secret],
    }
    return SecureServiceArgs(**{**small, **changes})
