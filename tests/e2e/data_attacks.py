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
# A number that is no replica's: in the name of a service, and at the end of that of a shared volume.
_SECOND: SecureServiceArgs = service(name="store-0", namespace=NAMESPACE, volumes=[VolumeArgs("data", "/data", "1Gi")])
_THIRD: SecureServiceArgs = service(
    name="shelf-0", namespace=NAMESPACE, volumes=[VolumeArgs("files-1", "/files", "1Gi", access_mode="ReadWriteMany")]
)
SERVICES = [STORE, _SECOND, _THIRD]
_CLAIM: Manifest = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
_OF_A_REPLICA: Manifest = {"kind": "PersistentVolumeClaim", "name": "volume-data-store-0"}
_OF_MINE: Manifest = {"kind": "PersistentVolumeClaim", "name": "mine"}
_SNAPSHOT: Manifest = {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "before-the-upgrade"}
_LABELS: Manifest = {**cases.BASELINE["labels"], "app": "case", "sidecar.istio.io/inject": "false"}
_COPY = "store.database"


def _mount(**volume: object) -> Attack:
    return run("Pod", volumes=[{"name": "data", **volume}])


def _claim(name: str) -> Attack:
    return _mount(persistentVolumeClaim={"claimName": name})


def _environment(**fields: object) -> Attack:
    return run("Pod", containers=[{**cases.BASELINE["container"], **fields}])


def _make_claim(name: str, **spec: object) -> Attack:
    return make("v1", "PersistentVolumeClaim", name, spec={**_CLAIM, **spec})


def _template(**spec: object) -> Manifest:
    return {"volumeClaimTemplate": {"spec": {**_CLAIM, **spec}}}


def _replicas(**spec: object) -> Attack:
    """Run a StatefulSet whose replicas have claims of their own."""
    return _replicas_of(NAME, [{"metadata": {"name": "mine"}, "spec": {**_CLAIM, **spec}}])


def _replicas_named(name: str, volume: str) -> Attack:
    return _replicas_of(name, [{"metadata": {"name": volume}, "spec": _CLAIM}])


def _replicas_of(name: str, templates: list[Manifest], volumes: tuple[Manifest, ...] = ()) -> Attack:
    pod = {**cases.pod_spec({}), "serviceAccountName": "workload", "volumes": [*volumes]}
    made = cases.wrap("StatefulSet", name, pod, _LABELS)
    return make("apps/v1", "StatefulSet", name, spec={**made["spec"], "volumeClaimTemplates": templates})


def _pods_of_replicas(name: str, volume: str) -> Attack:
    """Run a StatefulSet with a claim for the life of each pod, whose name is known before."""
    return _replicas_of(name, [], ({"name": volume, "ephemeral": _template()},))


def _pod_named(name: str, volume: str) -> Attack:
    """Run a pod of that name: the claims for its life are called after it and its volume."""
    volumes = [{"name": volume, "ephemeral": _template()}]
    spec = {**cases.pod_spec({}), "serviceAccountName": "workload", "volumes": volumes}
    return make("v1", "Pod", name, _LABELS, spec=spec)


ATTACKS: dict[str, Attack] = {
    "a claim of a replica": _claim("volume-data-store-0"),
    "a claim of a replica to come": _claim("volume-data-store-17"),
    "a claim of all replicas": _claim("store-files"),
    "a claim in a template": run(
        "Deployment", volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "volume-data-store-0"}}]
    ),
    "a claim in the place of a replica's": _make_claim("volume-data-store-1"),
    "a copy of a claim": _make_claim(NAME, dataSource=_OF_A_REPLICA),
    "a copy of a claim by reference": _make_claim(NAME, dataSourceRef=_OF_A_REPLICA),
    "a copy of a claim for the life of a pod": _mount(ephemeral=_template(dataSource=_OF_A_REPLICA)),
    "a copy of a claim for the pods of a Deployment": run(
        "Deployment", volumes=[{"name": "data", "ephemeral": _template(dataSourceRef=_OF_A_REPLICA)}]
    ),
    "a copy of a claim for each replica": _replicas(dataSource=_OF_A_REPLICA),
    "a claim in the place of a replica's, for the life of a pod": _pod_named("volume-data", "store-3"),
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

NUMBERED: dict[str, tuple[str, Attack]] = {
    "a claim of its replica": ("store-0", _claim("volume-data-store-0-0")),
    "a claim in the place of its replica's": ("store-0", _make_claim("volume-data-store-0-4")),
    "a copy of its claim": (
        "store-0",
        _make_claim(NAME, dataSource={"kind": "PersistentVolumeClaim", "name": "volume-data-store-0-0"}),
    ),
    "its claim for the life of a replica's pod": ("store-0", _pods_of_replicas("volume-data-store", "0")),
    "a shared claim as a replica's": ("shelf-0", _replicas_named("files", "shelf-0")),
    "a shared claim for the life of a replica's pod": ("shelf-0", _pods_of_replicas("shelf", "files-1")),
}
"""Claims with a number in their names, each with its service."""

# Nobody sees whose data a snapshot has.
OF_ALL: dict[str, Attack] = {
    "a copy of a snapshot": _make_claim(NAME, dataSource=_SNAPSHOT),
    "a copy of a snapshot by reference": _make_claim(NAME, dataSourceRef=_SNAPSHOT),
    "a copy of a snapshot for the life of a pod": _mount(ephemeral=_template(dataSource=_SNAPSHOT)),
    "a copy of a snapshot for each replica": _replicas(dataSource=_SNAPSHOT),
}

ALLOWED: dict[str, Attack] = {
    "a claim of another name": _claim("volume-data-store-x"),
    "a copy of its own claim": _make_claim(NAME, dataSource=_OF_MINE),
    "a copy of its own claim for the life of a pod": _mount(ephemeral=_template(dataSource=_OF_MINE)),
    "a copy of its own claim for each replica": _replicas(dataSource=_OF_MINE),
    "a claim for the life of a pod": _pod_named("volume-data", "mine-3"),
    "a claim with a number like a service's": _make_claim("shelf-0-files-2"),
    "claims of its own replicas": _replicas_named("files", "mine"),
    "claims for the life of its own replicas' pods": _pods_of_replicas("mine", "files-1"),
    "a claim with more in its name": _claim("my-store-files"),
    "a Secret of another name": _mount(secret={"secretName": "store.other"}),
    "a claim like a replica's": _make_claim("volume-other-store-0"),
    "a ConfigMap like the service's": make("v1", "ConfigMap", "store-settings", data={}),
}
