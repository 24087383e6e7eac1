"""Two teams, what the platform approved for them, and the files of their services."""

from typing import Any

from tests.e2e.database_shop import WANTED

PAYMENTS, LEDGER = "payments", "ledger"
HOST = "pay.example.org"
PIPELINE, OPERATORS = "ci:repo:example/payments:ref:refs/heads/main", "payments-ops"
OUTSIDE, NETWORK = "api.example.com", "203.0.113.0/24"
TEAMS: dict[str, Any] = {
    PAYMENTS: {
        "namespaces": [PAYMENTS],
        "hosts": {PAYMENTS: [HOST]},
        "approved": {"egress": [OUTSIDE], "networks": [NETWORK]},
        "deployedBy": {"users": [PIPELINE], "groups": [OPERATORS]},
    },
    LEDGER: {"namespaces": [LEDGER]},
}
PLACEMENT: dict[str, Any] = {
    "gpu": {
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "gpu", "effect": "NoSchedule"}],
        "priorityClass": "high",
        "namespaces": [PAYMENTS],
    }
}
CHECKOUT: dict[str, Any] = {
    "namespace": PAYMENTS,
    "team": PAYMENTS,
    "costCenter": "retail",
    "image": "registry.example.org/payments/checkout:v1.0.0",
    "port": 8080,
    "host": HOST,
    "health": "/healthz",
    "calls": ["ledger/book:8080"],
    "egress": [{"host": OUTSIDE, "port": 443}],
    "secrets": {"stripe": {"generate": ["key"]}},
    "database": WANTED,
}
BOOK: dict[str, Any] = {
    "namespace": LEDGER,
    "team": LEDGER,
    "costCenter": "finance",
    "image": "registry.example.org/ledger/book:v1.0.0",
    "port": 8080,
    "health": "/healthz",
    "callers": ["payments/checkout"],
}


def peer(peers: Any) -> tuple[str, str]:
    """The namespace and the application of the first peer of a rule."""
    one = peers[0]
    namespace = (one.namespace_selector and one.namespace_selector.match_labels) or {}
    labels = (one.pod_selector and one.pod_selector.match_labels) or {}
    return namespace.get("kubernetes.io/metadata.name", ""), labels.get("app", "")
