"""A real plan of one service, trimmed, and what a test changes in it."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from components.service.args.exceptions import ExceptionArgs
from components.service.manifests.exceptions import exception_manifest

Digest = dict[str, Any]

PLAN = Path(__file__).parent / "plan.json"
PROJECT = Path(__file__).parent / "project"
TODAY = date(2026, 6, 1)
_PROGRAM = "urn:pulumi:production::zero-trust::"
_POLICIES = "zero-trust:platform:KyvernoPolicySet"
_SERVICE = "zero-trust:platform:SecureService"


def digest() -> Digest:
    return json.loads(PLAN.read_text())


def inputs(plan: Digest, kind: str, name: str) -> dict[str, Any]:
    """The inputs of a planned resource, to be changed in place."""
    urns = (step["newState"] for step in plan["steps"])
    return next(s["inputs"] for s in urns if s["type"].endswith(f":{kind}") and s["urn"].endswith(f"::{name}"))


def policy(plan: Digest, name: str) -> dict[str, Any]:
    return inputs(plan, "ValidatingPolicy", f"policies-{name}")


def pod(plan: Digest) -> dict[str, Any]:
    return inputs(plan, "Deployment", "shop.api")["spec"]["template"]["spec"]


def add(plan: Digest, token: str, name: str, manifest: dict[str, Any], parent: str = f"{_POLICIES}::policies") -> None:
    """Plan one more resource below a component."""
    urn = f"{_PROGRAM}{parent.split('::', maxsplit=1)[0]}${token}::{name}"
    state = {"urn": urn, "custom": True, "type": token, "inputs": manifest, "parent": f"{_PROGRAM}{parent}"}
    plan["steps"].append({"op": "create", "urn": urn, "newState": state})


def add_exception(plan: Digest, rule: str, expires: str) -> None:
    args = ExceptionArgs(rule, "the vendor ships no other image yet", "commerce", expires)
    manifest = exception_manifest("shop", "api", args, "kyverno")
    token = "kubernetes:policies.kyverno.io/v1:PolicyException"
    add(plan, token, f"shop.api.{rule}", manifest, f"{_SERVICE}::shop.api")


def add_mutation(plan: Digest, spec: dict[str, Any]) -> None:
    manifest = {
        "apiVersion": "policies.kyverno.io/v1",
        "kind": "MutatingPolicy",
        "metadata": {"name": "mirror-images", "namespace": "default"},
        "spec": spec,
    }
    add(plan, "kubernetes:policies.kyverno.io/v1:MutatingPolicy", "policies-mirror-images", manifest)


def add_release(plan: Digest, chart: Path, values: dict[str, Any]) -> None:
    """Plan a release of a chart folder, outside every service."""
    release = {"chart": str(chart), "name": "agent", "namespace": "agents", "values": values, "version": "0.1.0"}
    add(plan, "kubernetes:helm.sh/v3:Release", "agent", release)


def write(plan: Digest, directory: Path) -> str:
    path = directory / "plan.json"
    path.write_text(json.dumps(plan))
    return str(path)
