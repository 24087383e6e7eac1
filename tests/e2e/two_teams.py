"""Two teams, what the platform approved for them, and the files of their services."""

from typing import Any

from tests.e2e.database_shop import WANTED

PAYMENTS, LEDGER = "payments", "ledger"
HOST = "pay.example.org"
OUTSIDE, NETWORK = "api.example.com", "203.0.113.0/24"
TEAMS: dict[str, Any] = {
    PAYMENTS: {
        "namespaces": [PAYMENTS],
        "hosts": {PAYMENTS: [HOST]},
        "approved": {"egress": [OUTSIDE], "networks": [NETWORK]},
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
