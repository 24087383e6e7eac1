"""What is there before the stack creates it: refused, unless its namespace is imported, and never taken silently."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pulumi
import pytest

from components.kube.cluster import Cluster, UnreadableError
from components.kube.objects import KubernetesObject
from components.program.objects_of_others import ObjectsOfOthers, own_namespaces
from components.program.plan import plan
from components.program.stack import Stack
from components.schema.problem import ConfigError
from tests.support.installed import Living
from tests.support.monitor import Recording, record
from tests.support.stacks import stack
from tests.unit.program.test_existing import EXISTING, everything, run

pytestmark = pytest.mark.unit

NAMESPACES = "/api/v1/namespaces"
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api", "namespace": "shop"}}
PATH = "/apis/apps/v1/namespaces/shop/deployments/api"
APPLIED = {"managedFields": [{"manager": "pulumi-kubernetes/zero-trust/production"}]}
OWN: list[dict[str, Any]] = [
    APPLIED,
    {"labels": {"app.kubernetes.io/managed-by": "pulumi"}},
    # As the provider calls itself, where the program does not say for which stack.
    {"managedFields": [{"manager": "pulumi-kubernetes-1dd8ecac"}]},
]
BY_OTHERS: list[dict[str, Any]] = [
    {},
    {"managedFields": [{"manager": "kubectl-client-side-apply"}]},
    {"labels": {"app.kubernetes.io/managed-by": "Helm"}},
    {"annotations": {"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "shop"}},
    {
        "managedFields": [{"manager": "pulumi-kubernetes/zero-trust/staging"}],
        "labels": {"app.kubernetes.io/managed-by": "pulumi"},
    },
]


def space(name: str, **marks: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **marks}}


def others(of: Stack, living: Living, preview: bool = False, warnings: list[str] | None = None) -> ObjectsOfOthers:
    return ObjectsOfOthers(of, lambda: living.cluster, preview, ([] if warnings is None else warnings).append)


def of_stack(**changes: object) -> Stack:
    return stack("production", **changes)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("environment", ["production", "staging", "dev", "local"])
@pytest.mark.parametrize("changes", [{}, EXISTING], ids=["own", "existing"])
def test_the_namespaces_are_those_that_the_program_creates(environment: str, changes: dict[str, Any]) -> None:
    made = run(environment, everything(), **changes)
    created = {resource.inputs["metadata"]["name"] for resource in made.of("Namespace")}
    of = stack(environment, **changes)
    assert {*own_namespaces(of, plan(of))} == created


@pytest.mark.parametrize("marks", BY_OTHERS)
@pytest.mark.parametrize("name", ["shop", "kyverno", "vault", "istio-ingress"])
def test_a_namespace_of_others_stops_the_run_before_the_first_resource(name: str, marks: dict[str, Any]) -> None:
    recording = Recording()
    with pytest.raises(Exception, match=rf"not this stack's: {name}; .*imports\.namespaces: \[{name}\]"):
        run("production", Living({NAMESPACES: [space(name, **marks), space("default")]}), recording)
    assert not [each for each in recording.resources if each.custom]


@pytest.mark.parametrize("marks", OWN)
def test_a_namespace_of_an_earlier_run_is_the_stacks(marks: dict[str, Any]) -> None:
    of = of_stack()
    others(of, Living({NAMESPACES: [space("shop", **marks)]})).refuse_namespaces(plan(of))


def test_an_imported_one_is_taken_and_outlives_the_stack() -> None:
    made = run("production", Living({NAMESPACES: [space("shop")]}), imports={"namespaces": ["shop"]})
    shop = made.one("Namespace", "shop")
    assert shop.retain_on_delete
    for other in made.of("Namespace"):
        assert other.name == "shop" or not other.retain_on_delete or other.protect


@pytest.mark.parametrize("environment", ["production", "staging", "dev", "local"])
def test_the_fields_of_each_object_are_the_stacks(environment: str) -> None:
    made = run(environment, Living())
    objects = [each for each in made.resources if each.type.startswith("kubernetes:") and each.inputs.get("kind")]
    manager = f"pulumi-kubernetes/zero-trust/{environment}"
    marks = {"pulumi.com/patchFieldManager": manager, "pulumi.com/patchForce": "true"}
    assert objects
    assert all(each.applied_by == marks for each in objects)


def test_an_import_that_the_stack_does_not_create_is_refused() -> None:
    of = of_stack(imports={"namespaces": ["shop", "shpo"]})
    with pytest.raises(ConfigError, match=r"imports\.namespaces\[1\].*no such namespace.*'shpo'.*legal: .*shop"):
        others(of, Living()).refuse_namespaces(plan(of))


def test_every_object_of_the_cluster_is_looked_at_before_it_is_created() -> None:
    made = run("production", Living())
    in_cluster = [each for each in made.resources if each.type.startswith("kubernetes:")]
    unwatched = {each.type for each in in_cluster if not each.before_create}
    assert unwatched == {"kubernetes:helm.sh/v3:Release", "kubernetes:yaml/v2:ConfigFile"}
    assert len(in_cluster) > 100


@pytest.mark.parametrize("marks", BY_OTHERS)
def test_an_object_of_others_is_refused(marks: dict[str, Any]) -> None:
    living = Living({PATH: {"metadata": {"name": "api", **marks}}})
    with pytest.raises(ConfigError, match=r"Deployment shop/api is there already.*imports\.namespaces: \[shop\]"):
        others(of_stack(), living).refuse(DEPLOYMENT)
    # What the hook of the SDK does with it.
    args = pulumi.ResourceHookArgs("urn", "", "shop.api", "kubernetes:apps/v1:Deployment", new_inputs=DEPLOYMENT)
    with pytest.raises(ConfigError, match="shop/api"):
        asyncio.run(others(of_stack(), living)._look(args))


def test_an_object_is_looked_at_while_every_thread_of_the_loop_waits_for_one() -> None:
    args = pulumi.ResourceHookArgs("urn", "", "shop.api", "kubernetes:apps/v1:Deployment", new_inputs=DEPLOYMENT)
    living = Living()

    async def run_out_of_threads() -> None:
        loop, looked = asyncio.get_running_loop(), threading.Event()
        loop.set_default_executor(ThreadPoolExecutor(1))
        registration = loop.run_in_executor(None, looked.wait, 10)
        try:
            await asyncio.wait_for(others(of_stack(), living)._look(args), 5)
        finally:
            looked.set()
            await registration

    asyncio.run(run_out_of_threads())
    assert living.calls


def test_an_object_without_a_namespace_is_not_imported_by_one() -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "reader"}}
    living = Living({"/apis/rbac.authorization.k8s.io/v1/clusterroles/reader": {"metadata": {"name": "reader"}}})
    with pytest.raises(ConfigError, match=r"ClusterRole reader is there already.*rename or delete it$"):
        others(of_stack(imports={"namespaces": ["shop"]}), living).refuse(role)


@pytest.mark.parametrize(
    ("living", "imports"),
    [
        (Living(), []),
        *((Living({PATH: {"metadata": marks}}), []) for marks in OWN),
        (Living({PATH: {"metadata": {}}}), ["shop"]),
    ],
)
def test_what_is_not_there_or_the_stacks_passes(living: Living, imports: list[str]) -> None:
    others(of_stack(imports={"namespaces": imports}), living).refuse(DEPLOYMENT)


@pytest.mark.parametrize("inputs", [{}, {"apiVersion": "v1", "kind": "Secret", "metadata": {"generateName": "x"}}])
def test_an_object_without_a_name_can_be_nobodys(inputs: dict[str, Any]) -> None:
    living = Living()
    others(of_stack(), living).refuse(inputs)
    assert not living.calls


VALIDATING: dict[str, Any] = {
    "apiVersion": "policies.kyverno.io/v1",
    "kind": "ValidatingPolicy",
    "metadata": {"name": "own", "namespace": "default"},
}


def test_an_object_of_others_is_found_where_its_kind_has_no_namespace() -> None:
    """The provider gives one to each kind that it does not know."""
    living = Living({"/apis/policies.kyverno.io/v1/validatingpolicies/own": {"metadata": {"name": "own"}}})
    with pytest.raises(ConfigError, match=r"ValidatingPolicy default/own is there already"):
        others(of_stack(), living).refuse(VALIDATING)


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        (VALIDATING, VALIDATING, True),
        (DEPLOYMENT, {**DEPLOYMENT, "apiVersion": "apps/v1beta1"}, True),
        (DEPLOYMENT, {**DEPLOYMENT, "metadata": {"name": "api", "namespace": "other"}}, False),
        (DEPLOYMENT, {**DEPLOYMENT, "kind": "StatefulSet"}, False),
        (DEPLOYMENT, {**DEPLOYMENT, "apiVersion": "example.org/v1"}, False),
    ],
)
def test_no_two_resources_are_one_object(first: dict[str, Any], second: dict[str, Any], refused: bool) -> None:
    """The second would be applied over the first, and nothing would say so."""

    def program() -> None:
        others(of_stack(), Living()).watch()
        KubernetesObject("first", first)
        KubernetesObject("second", second)

    if refused:
        with pytest.raises(Exception, match=r"two resources of the stack are the .*, first and second: leave out one"):
            record(program)
    else:
        assert len(record(program).resources) == 2


def test_what_cannot_be_read_stops_an_update_and_not_a_preview() -> None:
    living = Living({NAMESPACES: 403, PATH: 403})
    of, warnings = of_stack(), list[str]()
    with pytest.raises(ConfigError, match="cannot be checked"):
        others(of, living).refuse_namespaces(plan(of))
    with pytest.raises(UnreadableError):
        others(of, living).refuse(DEPLOYMENT)
    previewed = others(of, living, preview=True, warnings=warnings)
    previewed.refuse_namespaces(plan(of))
    previewed.refuse(DEPLOYMENT)
    previewed.refuse(DEPLOYMENT)
    assert len(warnings) == 2
    assert all("`pulumi up` checks it" in warning for warning in warnings)


def test_a_cluster_that_does_not_answer_stops_an_update() -> None:
    def connect() -> Cluster:
        raise ConnectionError("it does not answer")

    of = of_stack()
    with pytest.raises(ConfigError, match="it does not answer"):
        ObjectsOfOthers(of, connect, False, print).refuse_namespaces(plan(of))
