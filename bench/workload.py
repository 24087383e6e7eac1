"""What is measured: a checkout whose program deploys N copies of one service, and the same objects for kubectl."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parent.parent
STACK = "bench"
NAMESPACE = "bench"
_PROGRAM = ("Pulumi.yaml", "__main__.py", "components", "policies")

# Services alone: the platform's layers are off, so that both sides create the same objects and nothing else.
_STACK_FILE = {
    "config": {
        "zero-trust:environment": "local",
        "zero-trust:registries": ["registry.example.org/"],
        "zero-trust:posture": {"networkPolicies": {"value": True}},
    }
}


def checkout(directory: Path, copies: int, stack_file: Mapping[str, object] = _STACK_FILE) -> Path:
    """Lay out the program in `directory` with `copies` services, each calling the one before it."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for name in _PROGRAM:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, directory / name)
    (directory / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump(dict(stack_file)))
    services = directory / "services"
    services.mkdir()
    for number in range(copies):
        (services / f"{_name(number)}.yaml").write_text(yaml.safe_dump(_service(number, last=copies - 1)))
    return directory


def _name(number: int) -> str:
    return f"service-{number:03d}"


def _service(number: int, last: int) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "namespace": NAMESPACE,
        "team": "bench",
        "image": "registry.example.org/bench/service:v1.0.0",
        "port": 8080,
    }
    # Each calls the one before it.
    calls = {"calls": [_name(number - 1)]} if number else {}
    return spec | calls | ({"callers": [_name(number + 1)]} if number < last else {})


def manifests(checkpoint: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The Kubernetes objects that a stack's exported state says the program asked for, namespaces first."""
    objects = [
        resource["inputs"]
        for resource in checkpoint["deployment"]["resources"]
        if resource["type"].startswith("kubernetes:") and "apiVersion" in resource.get("inputs", {})
    ]
    return sorted(objects, key=lambda item: item["kind"] != "Namespace")


def write_manifests(objects: list[dict[str, Any]], target: Path) -> Path:
    """One file for `kubectl -f`: JSON documents in a List, which both sides parse quickly."""
    target.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return target
