"""A project with a package of plain manifests: a web front, its store, and a job before both."""

import json
from pathlib import Path
from typing import Any

import yaml

from components.program.stack import Stack, read_stack
from tests.support.stacks import ROOT, settings

Manifest = dict[str, Any]

FOLDER = "packages/guestbook"
HARDENED: Manifest = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
DAYS = {"reason": "the chart can't do better yet", "owner": "web", "granted": "2026-11-01", "expires": "2026-12-01"}
FILE: Manifest = {
    "namespace": "guests",
    "team": "web",
    "manifests": FOLDER,
    "expose": [{"service": "web", "port": 80}],
    "between": [{"workloads": ["web"], "service": "store", "port": 6379}],
}
CHART = ROOT / "tests" / "support" / "charts" / "guestbook"
MENDED: Manifest = {
    "image": {"tag": "2.0.0"},
    "serviceAccount": {"create": True},
    "automountServiceAccountToken": False,
    "podSecurityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "securityContext": HARDENED,
    "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}},
    "probes": {"enabled": True},
    "networkPolicy": {"enabled": False},
    "rbac": {"clusterWide": False},
    "crds": {"enabled": False},
    "password": {"inEnvironment": False},
}
"""The values of that chart that mend all of its sins."""
CHART_FILE: Manifest = {
    "namespace": "guests",
    "team": "web",
    "chart": {"folder": "packages/guestbook"},
    "values": MENDED,
    "expose": [{"service": "guestbook-web", "port": 80}],
    "between": [{"workloads": ["guestbook-web"], "service": "guestbook-store", "port": 6379}],
}
"""A package file of the chart of the tests' own."""
API: Manifest = {
    "namespace": "shop",
    "team": "commerce",
    "image": "registry.example.org/shop/api:v1",
    "port": 8080,
}


def labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": "guestbook", "app.kubernetes.io/component": name}


def pod_spec(name: str, **port: int) -> Manifest:
    ports = [{"name": key, "containerPort": number} for key, number in port.items()]
    container = {
        "name": name,
        "image": f"registry.example.org/guestbook/{name}:v1",
        "securityContext": HARDENED,
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}},
        **({"ports": ports} if ports else {}),
    }
    return {"serviceAccountName": name, "automountServiceAccountToken": False, "containers": [container]}


def workload(kind: str, name: str, **port: int) -> Manifest:
    template = {"metadata": {"labels": labels(name)}, "spec": pod_spec(name, **port)}
    spec = {"selector": {"matchLabels": labels(name)}, "template": template}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def service(name: str, port: int, target: int | str) -> Manifest:
    spec = {"selector": labels(name), "ports": [{"name": "a", "port": port, "targetPort": target}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def account(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}


def job(name: str, **annotations: str) -> Manifest:
    template = {"metadata": {"labels": labels(name)}, "spec": {**pod_spec(name), "restartPolicy": "Never"}}
    meta = {"name": name, "annotations": annotations}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": template}}


def objects() -> list[Manifest]:
    """What the package brings."""
    return [
        *(account(name) for name in ("web", "store", "migrate")),
        workload("Deployment", "web", http=8080, metrics=9090),
        workload("StatefulSet", "store", store=6379),
        service("web", 80, "http"),
        service("store", 6379, 6379),
        job("migrate", **{"helm.sh/hook": "pre-install,pre-upgrade", "helm.sh/hook-weight": "1"}),
    ]


def role(kind: str, name: str, *rules: Manifest) -> Manifest:
    version = "rbac.authorization.k8s.io/v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "rules": list(rules)}


def write(root: Path, made: list[Manifest], file: Manifest, /, **services: Manifest) -> Path:
    """A project with this package and these services."""
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    (root / FOLDER / "all.yaml").write_text(yaml.safe_dump_all(made), encoding="utf-8")
    # By JSON, since YAML would write what stands in two places as an anchor.
    text = yaml.safe_dump(json.loads(json.dumps(file)), sort_keys=False)
    (root / "packages" / "guestbook.yaml").write_text(text, encoding="utf-8")
    (root / "services").mkdir(exist_ok=True)
    for name, values in services.items():
        (root / "services" / f"{name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return root


def stack_of(root: Path, environment: str = "production", /, **changes: Any) -> Stack:
    """A stack of that project."""
    return read_stack(root, f"Pulumi.{environment}.yaml", settings(environment, None, **changes))
