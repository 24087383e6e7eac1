"""What is accepted works: whatever a service file may say, the API server and every rule admit what is made of it."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from components.kyverno.library import VALIDATING_TIERS, load_library
from components.program.plan import plan
from components.schema.problem import ConfigError
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import parse_service
from components.service.file.lifecycle import POD_FIELDS
from tests.e2e.admission import Admission, RefusedError
from tests.e2e.plane import Plane, copy_program
from tests.policy.cases import merge
from tests.support import stacks
from tests.support.combined_files import combined_files
from tests.support.examples import example_stack
from tests.support.service_files import NAMESPACE, PLACEMENT, File, planned, service_files
from tests.support.service_objects import made_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

STACK = "production"
TODAY = datetime.now(UTC).date()
VALIDATING = [rule for rule in load_library().rules.values() if rule.tier in VALIDATING_TIERS]
ENFORCED: dict[str, Any] = {
    "phases": {rule.name: "enforce" for rule in VALIDATING if rule.tier == "important"},
    "placement": PLACEMENT,
}
CLASSES: list[dict[str, Any]] = [
    {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": PLACEMENT["gpu"]["priorityClass"]},
        "value": 1000,
    },
    {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": PLACEMENT["gpu"]["runtimeClass"]},
        "handler": "gpu",
    },
]
"""What the stack's classes of nodes name, and the API server wants to see before a pod."""
# Which hosts a namespace may name is written by the same `up` that makes the service.
BY_STACK = "public-hosts"
# What the controllers of Kubernetes add to the names of what they make.
HASH, MINUTES = "7d9f8c6b5d", "29345678"

KNOWS_ITSELF: File = {
    "namespace": NAMESPACE,
    "team": "commerce",
    "image": "registry.example.org/shop/orders:v1",
    "port": 8080,
    "podEnv": {field: field for field in POD_FIELDS},
    "env": {"ADDRESS": "$(name).orders-peers.files.svc"},
    "peers": [7946],
    "volumes": {"data": {"path": "/data", "size": "1Gi"}},
    "stop": {"delay": "5s", "within": "1h"},
}
"""A service with all that a pod may know of itself."""
_PORTLESS: File = {key: KNOWS_ITSELF[key] for key in ("namespace", "team", "image")}
_WELL: File = {"command": ["bin/well"]}
KINDS: tuple[File, ...] = (
    {**_PORTLESS, "port": 9000, "ports": {"admin": 9001, "grpc": 9002, "sync": {"port": 9003, "protocol": "tcp"}}},
    {**_PORTLESS, "probes": {"readiness": _WELL, "liveness": _WELL}},
    {**_PORTLESS, "run": {"schedule": "0 3 * * *"}, "secrets": {"key": {"generate": ["value"]}}},
    {**_PORTLESS, "run": {}, "calls": ["cache:admin"]},
)
"""A service with further ports, a worker, and programs that end."""


EXAMPLES = stacks.ROOT / "examples"
BROUGHT_UP = ("online-boutique", "nats")
PLANNED = {"keycloak": "identity", "airflow": "airflow"}
"""Examples whose database only a test of databases has, and their namespaces."""
SEVERAL: File = {
    "namespace": NAMESPACE,
    "team": "commerce",
    "image": "registry.example.org/shop/orders:v1",
    "port": 8080,
    "secrets": {"smtp": {"generate": ["key"]}, "admin": {"generate": ["key"]}},
    "scratch": {"work": {"path": "/work", "size": "1Gi"}},
    "volumes": {"data": {"path": "/data", "size": "1Gi"}},
    "init": {
        "fetch": {
            "image": "registry.example.org/shop/fetch:v1",
            "secrets": ["smtp", "admin"],
            "scratch": ["work"],
            "volumes": ["data"],
            "writable": ["/var/cache"],
            "podEnv": {"LIMIT": "memoryLimit"},
        }
    },
    "sidecars": {
        "exporter": {
            "image": "registry.example.org/shop/exporter:v1",
            "port": 9187,
            "health": "/up",
            "secrets": ["admin"],
            "config": {"files": {"exporter.yaml": "a: b"}},
            "scratch": ["work"],
        },
        "mirror": {"runAsUser": 1500, "probes": {"readiness": {"command": ["a"]}, "liveness": {"command": ["a"]}}},
    },
    "stop": {"delay": "5s"},
    "patch": {
        "reason": "nothing else says it",
        "owner": "commerce",
        "granted": TODAY,
        "expires": TODAY + timedelta(30),
        "pod": {"hostAliases": [{"ip": "10.0.0.9", "hostnames": ["old"]}], "dnsConfig": {"searches": ["example.org"]}},
        "containers": {
            "orders": {"workingDir": "/srv", "lifecycle": {"postStart": {"exec": {"command": ["warm"]}}}},
            "exporter": {"terminationMessagePolicy": "FallbackToLogsOnError", "tty": True, "stdin": True},
        },
        "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
    },
    "placement": {"class": "gpu"},
    "resources": {"limits": {"memory": "1Gi", "ephemeralStorage": "2Gi"}},
}
"""A service whose pods have every sort of container, and all that those may have."""


@pytest.fixture(scope="module")
def admission(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Admission]:
    """Admission in a namespace of the mesh, with what the stack's rules make in each, where every rule denies."""
    own = Plane(plane.state, copy_program(tmp_path_factory.mktemp("checkout")))
    path = own.checkout / f"Pulumi.{STACK}.yaml"
    stack = yaml.safe_load(path.read_text())
    stack["config"] |= {f"zero-trust:{key}": value for key, value in ENFORCED.items()}
    path.write_text(yaml.safe_dump(stack, sort_keys=False))
    for service in (service for name in BROUGHT_UP for service in (EXAMPLES / name / "services").glob("*.yaml")):
        (own.checkout / "services" / service.name).write_bytes(service.read_bytes())
    own.run("up", "--stack", STACK)
    for name in (NAMESPACE, *PLANNED.values()):
        own.core.create_namespace({"metadata": {"name": name, "labels": {"istio-injection": "enabled"}}})
        eventually(lambda name=name: own.core.list_namespaced_limit_range(name).items, f"the LimitRange of {name}")
        eventually(lambda name=name: own.core.list_namespaced_resource_quota(name).items, f"the quota of {name}")
    asked = Admission(own, (rule.name for rule in VALIDATING))
    for each in CLASSES:
        asked.request("POST", each)
    yield asked
    for name in (NAMESPACE, *PLANNED.values()):
        own.core.delete_namespace(name)
    for each in CLASSES:
        asked.request("DELETE", each)
    own.core.delete_namespace(NAMESPACE)


def accepted(made: tuple[str, File]) -> bool:
    """Whether the program takes the file."""
    try:
        plan_of(*made)
    except ConfigError:
        return False
    return True


def plan_of(name: str, file: File) -> SecureServiceArgs:
    with tempfile.TemporaryDirectory() as folder:
        return planned(Path(folder), name, file, stacks.settings(STACK, None, **ENFORCED))


def followers(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a controller makes of an object: the job of a schedule, and the pods of everything that has some."""
    name, namespace, kind = made["metadata"]["name"], made["metadata"].get("namespace", ""), made["kind"]
    if kind == "CronJob":
        job = {"apiVersion": "batch/v1", "kind": "Job", **made["spec"]["jobTemplate"]}
        job = merge(job, {"metadata": {"name": f"{name}-{MINUTES}", "namespace": namespace}})
        yield job
        yield from followers(job)
    if kind in ("Deployment", "StatefulSet", "Job"):
        pod = merge({"apiVersion": "v1", "kind": "Pod"}, made["spec"]["template"])
        labels = {
            "Deployment": {"pod-template-hash": HASH},
            "StatefulSet": {
                "controller-revision-hash": f"{name}-{HASH}",
                "statefulset.kubernetes.io/pod-name": f"{name}-0",
            },
            "Job": {"batch.kubernetes.io/job-name": name, "job-name": name},
        }
        for claim in made["spec"].get("volumeClaimTemplates", ()):
            volume = claim["metadata"]["name"]
            source = {"name": volume, "persistentVolumeClaim": {"claimName": f"{volume}-{name}-0"}}
            pod["spec"]["volumes"] = [*pod["spec"].get("volumes", ()), source]
        own = f"{name}-0" if kind == "StatefulSet" else f"{name[:57]}-abcde"
        yield merge(pod, {"metadata": {"name": own, "namespace": namespace, "labels": labels[kind]}})


def refused(admission: Admission, objects: list[dict[str, Any]]) -> list[str]:
    """Each of a service's objects that is not admitted, and why."""
    accounts = [each for each in objects if each["kind"] == "ServiceAccount"]
    problems: list[str] = []
    for account in accounts:
        # The API server refuses a pod whose account is not there.
        admission.request("POST", account)
    for each in objects:
        for one in [each, *followers(each)] if each not in accounts else []:
            try:
                admission.request("POST", one, dry_run=True, strict=True)
            except RefusedError as error:
                if BY_STACK not in error.message:
                    problems.append(f"{one['kind']} {one['metadata']['name']}: {error}")
    for account in accounts:
        admission.request("DELETE", account)
    return problems


@settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
@example(made=("orders", KNOWS_ITSELF))
@example(made=("orders", KINDS[0]))
@example(made=("orders", KINDS[1]))
@example(made=("orders", KINDS[2]))
@example(made=("orders", KINDS[3]))
@example(made=("orders", SEVERAL))
@given(made=st.one_of(service_files(), combined_files()).filter(accepted))
def test_what_is_made_of_an_accepted_file_is_admitted(admission: Admission, made: tuple[str, File]) -> None:
    assert refused(admission, made_of(plan_of(*made))) == []


PUBLIC: File = {**KINDS[0], "host": "orders.example.org", "egress": [{"host": "pay.example.net", "port": 443}]}


def test_what_the_api_does_not_know_is_found(admission: Admission) -> None:
    """In an object of each definition that a chart brings, as in those of Kubernetes."""
    objects = made_of(plan_of("orders", PUBLIC))
    unheard = [{**each, "spec": {**each["spec"], "unheardOf": 1}} for each in objects if "spec" in each]
    found = {problem.partition(" ")[0] for problem in refused(admission, unheard) if "unheardOf" in problem}
    assert found >= {"Deployment", "HTTPRoute", "AuthorizationPolicy", "ServiceEntry", "Sidecar", "DestinationRule"}


@pytest.mark.parametrize("name", BROUGHT_UP)
def test_an_example_comes_up(admission: Admission, name: str) -> None:
    for file in (EXAMPLES / name / "services").glob("*.yaml"):
        spec = parse_service(file.read_text(encoding="utf-8"), file.name).spec
        if spec.run is None:
            apps = admission.plane.apps
            read = apps.read_namespaced_stateful_set if spec.volumes else apps.read_namespaced_deployment
            status = read(spec.name, spec.namespace).status
            assert status.ready_replicas == status.replicas > 0, spec.name


@pytest.mark.parametrize("name", PLANNED)
def test_every_other_example_is_admitted(admission: Admission, name: str) -> None:
    for args in plan(example_stack(EXAMPLES / name, STACK, **ENFORCED)).services:
        assert refused(admission, made_of(args)) == []


def test_the_mesh_is_there_before_the_first_container_of_a_service(admission: Admission) -> None:
    args = plan_of("orders", SEVERAL)
    objects = made_of(args)
    (account,) = (each for each in objects if each["kind"] == "ServiceAccount")
    (pod,) = (pod for each in objects if each["kind"] == "StatefulSet" for pod in followers(each))
    admission.request("POST", account)
    try:
        admitted = admission.request("POST", pod, dry_run=True)
    finally:
        admission.request("DELETE", account)
    names = [each["name"] for each in admitted["spec"]["initContainers"]]
    assert names.index("istio-proxy") < names.index("fetch")
    (proxy,) = (each for each in admitted["spec"]["initContainers"] if each["name"] == "istio-proxy")
    # The next one waits until it is ready, and so may call what the service may.
    assert (proxy["restartPolicy"], "startupProbe" in proxy) == ("Always", True)
    # The kubelet asks the proxy, which asks the sidecar: nothing else gets in without a certificate.
    (exporter,) = (each for each in admitted["spec"]["containers"] if each["name"] == "exporter")
    assert exporter["readinessProbe"]["httpGet"]["port"] == 15020
