"""A namespace as it grew over years: root, latest, secrets in variables, accounts with too much, and no policy."""

from typing import Any

Body = dict[str, Any]

NAME = "legacy"
TOKEN = "sk-live-0123456789"


def _metadata(name: str, **labels: str) -> Body:
    return {"name": name, "namespace": NAME, **({"labels": labels} if labels else {})}


def _pods(app: str, container: Body, **spec: Any) -> Body:
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": app, **container}], **spec}}


def _controller(kind: str, app: str, template: Body, **spec: Any) -> Body:
    selector = {"matchLabels": {"app": app}}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": _metadata(app, app=app),
        "spec": {"selector": selector, "template": template, **spec},
    }


def _service(name: str, port: int, target: int, **selector: str) -> Body:
    ports = [{"name": "main", "port": port, "targetPort": target}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(name),
        "spec": {"selector": selector, "ports": ports},
    }


WEB = _controller(
    "Deployment",
    "web",
    _pods(
        "web",
        {
            "image": "registry.example.org/legacy/web:v3.1.0",
            "ports": [{"containerPort": 8080}],
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
            "env": [
                {"name": "ORDERS_URL", "value": "http://orders:8080/v1"},
                {"name": "PAYMENTS_TOKEN", "value": TOKEN},
                {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "web-db", "key": "password"}}},
                {"name": "LOG_LEVEL", "value": "info"},
            ],
        },
    ),
    replicas=2,
)
ORDERS = _controller(
    "Deployment",
    "orders",
    _pods(
        "orders",
        {
            "image": "registry.example.org/legacy/orders:latest",
            "ports": [{"containerPort": 8080}],
            "envFrom": [{"configMapRef": {"name": "orders"}}, {"secretRef": {"name": "orders"}}],
            "securityContext": {"runAsUser": 0},
        },
        serviceAccountName="orders",
    ),
    replicas=2,
)
CACHE = _controller(
    "StatefulSet",
    "cache",
    _pods("cache", {"image": "registry.example.org/legacy/redis:7.4", "ports": [{"containerPort": 6379}]}),
    replicas=1,
    serviceName="cache",
)
AGENT = _controller(
    "DaemonSet",
    "agent",
    _pods(
        "agent",
        {"image": "docker.io/vendor/agent:2", "securityContext": {"privileged": True}},
        serviceAccountName="agent",
        volumes=[{"name": "root", "hostPath": {"path": "/"}}],
    ),
)
REPORT: Body = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": _metadata("report"),
    "spec": {
        "schedule": "0 4 * * *",
        "jobTemplate": {
            "spec": {
                "template": _pods(
                    "report",
                    {"image": "docker.io/library/busybox", "args": ["--orders=orders.legacy.svc:8080"]},
                    restartPolicy="Never",
                )
            }
        },
    },
}
CONFIG: Body = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": _metadata("orders"),
    "data": {"CACHE_ADDR": "cache:6379", "PAYMENTS_URL": "https://api.payments.example.net/v2", "MODE": "web"},
}
POLICY: Body = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": _metadata("cache"),
    "spec": {
        "podSelector": {"matchLabels": {"app": "cache"}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "orders"}}}], "ports": [{"port": 6379}]}],
    },
}
INGRESS: Body = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "Ingress",
    "metadata": _metadata("web"),
    "spec": {
        "rules": [
            {
                "host": "shop.example.net",
                "http": {
                    "paths": [
                        {
                            "path": "/",
                            "pathType": "Prefix",
                            "backend": {"service": {"name": "web", "port": {"number": 80}}},
                        }
                    ]
                },
            }
        ]
    },
}
_RBAC = "rbac.authorization.k8s.io"
ACCOUNTS: list[Body] = [
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(name)} for name in ("orders", "agent")
]
ROLES: list[Body] = [
    {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "Role",
        "metadata": _metadata("orders"),
        "rules": [
            {"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["get", "list"]},
            {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]},
        ],
    },
    {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": _metadata("orders"),
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": "orders"},
        "subjects": [{"kind": "ServiceAccount", "name": "orders", "namespace": NAME}],
    },
    {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "legacy-agent"},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "agent", "namespace": NAME}],
    },
]
SERVICES = [
    _service("web", 80, 8080, app="web"),
    _service("orders", 8080, 8080, app="orders"),
    _service("cache", 6379, 6379, app="cache"),
]
NAMESPACE: Body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME, "labels": {"owner": "sales"}}}
WORKLOADS = [WEB, ORDERS, CACHE, AGENT, REPORT]
OBJECTS = [NAMESPACE, *ACCOUNTS, *ROLES, CONFIG, *WORKLOADS, *SERVICES, POLICY, INGRESS]
