"""A stack of fifty services to report on, a cluster that runs it badly in places, and attacks on it."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tests.support.clusters import FakeCluster, Workload, workload
from tests.support.consents import agree
from tests.support.stacks import ROOT

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEAMS: Mapping[str, str] = {
    "shop": "commerce",
    "payments": "payments",
    "identity": "platform-identity",
    "logistics": "logistics",
    "search": "discovery",
    "customer-support": "care",
}
_PARTS = ("api", "postgres", "redis", "events", "web", "worker", "reporting", "notifications", "import")
NAMES: Sequence[tuple[str, str]] = [(space, part) for space in TEAMS for part in _PARTS][:50]
HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)> & {{ 7*7 }}"

Keys = dict[str, Any]


def project(directory: Path, services: Mapping[str, Keys] | None = None, changes: Keys | None = None) -> Path:
    """A project with these service files and this checkout's stacks and rules; `changes` go to its production."""
    (directory / "policies").symlink_to(ROOT / "policies")
    for file in ROOT.glob("Pulumi.*.yaml"):
        (directory / file.name).write_text(file.read_text())
    if changes:
        production = directory / "Pulumi.production.yaml"
        values = yaml.safe_load(production.read_text())
        values["config"] |= {f"zero-trust:{key}": value for key, value in changes.items()}
        production.write_text(yaml.safe_dump(values))
    (directory / "services").mkdir()
    for name, keys in (fifty() if services is None else services).items():
        (directory / "services" / f"{name}.yaml").write_text(yaml.safe_dump(keys))
    agree(directory / "services")
    return directory


def service(namespace: str, name: str, **keys: Any) -> Keys:
    team = TEAMS.get(namespace, "commerce")
    image = f"registry.example.org/{namespace}/{name}:v1.4.2"
    return {"name": name, "namespace": namespace, "team": team, "image": image, "port": 8080, **keys}


def exception(rule: str, reason: str, granted: str, expires: str, owner: str = "ann@example.org") -> Keys:
    return {"rule": rule, "reason": reason, "owner": owner, "granted": granted, "expires": expires}


def fifty() -> dict[str, Keys]:
    """Every service's file by its name."""
    return {f"{space}-{name}": _one(space, name) for space, name in NAMES}


def _one(space: str, name: str) -> Keys:
    match name:
        case "postgres":
            return service(space, name, port=5432, protocol="tcp", secrets={"superuser": {"generate": ["password"]}})
        case "redis":
            return service(space, name, port=6379, protocol="tcp", writable=["/data"])
        case "web":
            return service(space, name, host=f"{space}.example.org", calls=["api"])
        case "api":
            others = [f"{other}/api" for other in TEAMS if (other, "api") != (space, "api")]
            near = [other for number, other in enumerate(others) if (number + len(space)) % 3 == 0]
            secrets = {"database": {"generate": ["password"]}, "session": {"generate": ["key"]}}
            return service(space, name, calls=["postgres", "redis", *near], secrets=secrets)
        case "worker":
            return service(space, name, calls=["postgres", "events"], secrets={"database": {"generate": ["password"]}})
        case "import":
            ended = exception("disallow-latest-tag", "The vendor publishes no tags.", "2026-01-01", "2026-02-01")
            root = "require-read-only-root-filesystem"
            runs = exception(root, "It unpacks archives beside itself.", "2026-02-01", "2026-03-15")
            return service(space, name, calls=["postgres"], exceptions=[ended, runs] if space == "shop" else [runs])
        case _:
            return service(space, name, calls=["events"] if name == "notifications" else [])


RULES = ("require-probes", "require-requests-and-limits", "disallow-latest-tag", "require-labels")

EVERY = {"require-probes": 7, "require-requests-and-limits": 11}


def workloads() -> list[Workload]:
    """A Deployment for each service: of every seventh the probes are missing, of every eleventh the limits."""
    made: list[Workload] = []
    for number, (space, name) in enumerate(NAMES):
        failed = [
            rule for rule, every in (("require-probes", 7), ("require-requests-and-limits", 11)) if not number % every
        ]
        results = {"fail": failed, "pass": [rule for rule in RULES if rule not in failed]}
        made.append(workload(name, namespace=space, labels={"team": TEAMS[space]}, results=results))
    return made


def certificate(host: str, end: str | None, ready: bool = True, renewal: str | None = None, why: str = "") -> Keys:
    """A Certificate as cert-manager keeps it."""
    status: Keys = {"conditions": [{"type": "Ready", "status": "True" if ready else "False", "message": why}]}
    status |= {"notAfter": end} if end else {}
    status |= {"renewalTime": renewal} if renewal else {}
    spec = {"dnsNames": [host], "secretName": f"{host}-tls", "issuerRef": {"name": "letsencrypt-prod"}}
    return {"metadata": {"namespace": "istio-ingress", "name": host}, "spec": spec, "status": status}


class ReportCluster(FakeCluster):
    """A fake cluster that has certificates."""

    def __init__(self, *made: Workload, certificates: Sequence[Keys] = (), policies: Sequence[Keys] = ()) -> None:
        super().__init__(*made, namespaces={space: {"team": team} for space, team in TEAMS.items()})
        self.held = certificates
        self.policies = policies
        self.listed = 0

    def reports(self) -> Any:
        self.listed += 1
        return super().reports()

    def certificates(self) -> Sequence[Keys]:
        return self.held

    def network_policies(self) -> Sequence[Keys]:
        return self.policies


def cluster() -> ReportCluster:
    """Fifty Deployments and the certificates of the public hosts, not all of them as they should be."""
    return ReportCluster(
        *workloads(),
        certificates=[
            certificate("shop.example.org", "2026-05-20T10:00:00Z", renewal="2026-04-20T10:00:00Z"),
            certificate("payments.example.org", "2026-03-10T10:00:00Z", renewal="2026-02-08T10:00:00Z"),
            certificate("identity.example.org", "2026-02-20T10:00:00Z"),
            certificate("logistics.example.org", None, ready=False, why="Waiting for the challenge to be answered"),
        ],
    )


def attacks(directory: Path, stack: str = "production", **changes: Any) -> Path:
    """What `zt attack --format json` writes."""
    rows = [
        (1, "Lateral movement to the database", "database-as-intruder", "blocked", "RBAC: access denied"),
        (2, "Secrets in the environment", "read-environment", "blocked", "no variable holds a secret"),
        (3, "Vault with a stolen shell", "other-path", "blocked", "403 permission denied"),
        (4, "Other namespaces and the Kubernetes API", "list-pods", "not measured", "istiod cannot be reached"),
        (5, "A malicious pod", "foreign-image", "succeeded", "the pod was admitted"),
    ]
    packet = {"from": "shop/redis", "to": "shop/postgres:5432", "by": "name", "declared": False, "judged": "blocked"}
    packets = [
        packet | {"rule": "no egress rule of shop/redis", "sent": "refused", "answer": "refused", "differs": False},
        packet | {"by": "Service", "rule": "", "sent": "open", "answer": "heard: N", "differs": True},
        packet | {"by": "Service", "judged": "", "rule": "", "sent": "silent", "answer": "", "differs": False},
        packet | {"declared": True, "judged": "open", "rule": "", "sent": "open", "answer": "N", "differs": False},
    ]
    control = {"layer": "critical", "component": "KyvernoPolicySet", "rules": ["restrict-image-registries"]}
    document = {
        "version": 1,
        "stack": stack,
        "service": "shop/api",
        "cluster": "context test (https://test)",
        "vault": "https://vault.example.org:8200",
        "summary": {"blocked": 3, "succeeded": 1, "not measured": 1},
        "attacks": [
            {
                "number": number,
                "title": title,
                "result": result,
                "attempts": [
                    {
                        "name": name,
                        "tried": f"as shop/api: {name}",
                        "result": result,
                        "answer": answer,
                        "control": control,
                        "seconds": 0.1,
                        **({"packets": packets} if number == 1 else {}),
                    }
                ],
            }
            for number, title, name, result, answer in rows
        ],
        **changes,
    }
    file = directory / "attacks.json"
    file.write_text(json.dumps(document))
    return file


def member_attacks(directory: Path) -> Path:
    """What `zt attack --as namespace-edit --format json` writes."""
    document = json.loads(attacks(directory).read_text())
    pods = next(attack for attack in document["attacks"] if attack["result"] == "succeeded")
    title = "A service's connections and data"
    document |= {"as": "namespace-edit", "attacks": [{**pods, "number": 9, "title": title}]}
    file = directory / "member.json"
    file.write_text(json.dumps(document))
    return file
