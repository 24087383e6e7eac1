"""The project's own stack files and services, as the tests read them."""

import json
from pathlib import Path
from typing import Any

import yaml

from components.plan import Plan, plan
from components.posture import TABLE
from components.service_args import PlatformArgs, SecretArgs, SecureServiceArgs
from components.service_files import Admission, read_services
from components.settings import PROJECT, Settings, parse_settings
from components.settings_platform import Overlay
from components.stack import Stack

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
    return Stack(file, chosen, chosen.decisions(), overlay.charts if overlay else None, services)


def plan_of(environment: str, /, overlay: Overlay | None = None, **changes: object) -> Plan:
    return plan(stack(environment, overlay, **changes))


def platform(**changes: Any) -> PlatformArgs:
    """A platform with every layer enforced."""
    full: dict[str, Any] = {
        "vault": True,
        "injection": True,
        "mesh": True,
        "authorization": "enforce",
        "network_policies": True,
        "route": "gateway-api",
        "issuer": "ca",
        "gateway_name": "public",
        "gateway_namespace": "istio-ingress",
        "gateway_account": "public-istio",
    }
    return PlatformArgs(**{**full, **changes})


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
