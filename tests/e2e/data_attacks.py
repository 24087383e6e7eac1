"""A service with claims, copied Secrets and configuration, and what a tenant of its namespace does with their names."""

from components.service.args.service import SecureServiceArgs
from components.service.args.storage import CaBundleArgs, ConfigArgs, VolumeArgs
from components.vault.terms import StoreTerms
from tests.e2e.object_attacks import NAME, Attack, change, delete, make, run
from tests.policy import cases
from tests.policy.cases import Manifest
from tests.support.stacks import platform, service

NAMESPACE, AUTHORITIES = "service-data", "authorities"
STORE: SecureServiceArgs = service(
    name="store",
    namespace=NAMESPACE,
    host="store.example.org",
    platform=platform(store=StoreTerms("https://vault.example.org:8200"), route="ingress"),
    volumes=[
        VolumeArgs("data", "/data", "1Gi"),
        VolumeArgs("files", "/files", "1Gi", access_mode="ReadWriteMany"),
    ],
    config=ConfigArgs("/etc/store", {"store.conf": "a"}),
    ca_bundle=CaBundleArgs(AUTHORITIES, "ca.crt", "/etc/ssl/ca.crt"),
)
_CLAIM: Manifest = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
_COPY = "store.database"


def _mount(**volume: object) -> Attack:
    return run("Pod", volumes=[{"name": "data", **volume}])


def _claim(name: str) -> Attack:
    return _mount(persistentVolumeClaim={"claimName": name})


def _environment(**fields: object) -> Attack:
    return run("Pod", containers=[{**cases.BASELINE["container"], **fields}])


def _make_claim(name: str, **spec: object) -> Attack:
    return make("v1", "PersistentVolumeClaim", name, spec={**_CLAIM, **spec})


ATTACKS: dict[str, Attack] = {
    "a claim of a replica": _claim("volume-data-store-0"),
    "a claim of a replica to come": _claim("volume-data-store-17"),
    "a claim of all replicas": _claim("store-files"),
    "a claim in a template": run(
        "Deployment", volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "volume-data-store-0"}}]
    ),
    "a claim in the place of a replica's": _make_claim("volume-data-store-1"),
    "a copy of a claim": _make_claim(NAME, dataSource={"kind": "PersistentVolumeClaim", "name": "volume-data-store-0"}),
    "a copied Secret": _mount(secret={"secretName": _COPY}),
    "a copied Secret among others": _mount(
        projected={"sources": [{"secret": {"name": "mine"}}, {"secret": {"name": _COPY}}]}
    ),
    "a copied Secret as a variable": _environment(
        env=[{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": _COPY, "key": "database"}}}]
    ),
    "a copied Secret as all variables": _environment(envFrom=[{"secretRef": {"name": _COPY}}]),
    "a Secret in the place of a copy": make("v1", "Secret", _COPY, stringData={"database": "mine"}),
    "its authorities": change("v1", "ConfigMap", AUTHORITIES, {"data": {"ca.crt": "mine"}}),
    "no authorities": delete("v1", "ConfigMap", AUTHORITIES),
    "its configuration": change("v1", "ConfigMap", "store-config", {"data": {"store.conf": "mine"}}),
    "the keys of its host": make(
        "networking.k8s.io/v1",
        "Ingress",
        spec={
            "defaultBackend": {"service": {"name": NAME, "port": {"number": 80}}},
            "tls": [{"hosts": ["store.example.org"], "secretName": "store-tls"}],
        },
    ),
}

ALLOWED: dict[str, Attack] = {
    "a claim of another name": _claim("volume-data-store-x"),
    "a claim with more in its name": _claim("my-store-files"),
    "a Secret of another name": _mount(secret={"secretName": "store.other"}),
    "a claim like a replica's": _make_claim("volume-other-store-0"),
    "a ConfigMap like the service's": make("v1", "ConfigMap", "store-settings", data={}),
}
