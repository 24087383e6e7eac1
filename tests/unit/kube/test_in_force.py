"""The wait for an exception: what is asked of the cluster, when it ends, and who cannot ask."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pulumi
import pytest

from components.kube import in_force
from components.kube.cluster import Answer, Call, Cluster
from components.kube.in_force import until_excepted, until_rewritten

pytestmark = pytest.mark.unit

RULE = "disallow-privileged"
PATH = f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/vpol-{RULE}"
EXPRESSION = 'object.metadata.namespace == "shop"'
OTHER, EXCEPTED = "!(request.dryRun)", f"!({EXPRESSION})"
EXCEPTION = {
    "spec": {
        "policyRefs": [{"name": RULE, "kind": "ValidatingPolicy"}],
        "matchConditions": [{"name": "shop.x", "expression": EXPRESSION}],
    }
}


def native(*expressions: str) -> Answer:
    conditions = [{"name": f"c{number}", "expression": each} for number, each in enumerate(expressions)]
    return Answer(200, {"spec": {"matchConditions": conditions}})


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """The paths that are asked for until the hook ends, when the cluster answers so; the last answer stays."""
    for name, seconds in (("SETTLE_SECONDS", 0.0), ("_POLL_SECONDS", 0.01), ("_PATIENCE_SECONDS", 60.0)):
        monkeypatch.setattr(in_force, name, seconds)

    def waited(
        *answers: Answer | Exception, inputs: dict[str, Any] = EXCEPTION, hook: Any = until_excepted
    ) -> list[str]:
        asked: list[str] = []

        def send(call: Call) -> Answer:
            asked.append(call.path)
            answer = answers[min(len(asked), len(answers)) - 1]
            if isinstance(answer, Exception):
                raise answer
            return answer

        args: Any = pulumi.ResourceHookArgs("urn", "", "shop.x", "type", new_inputs=inputs)
        asyncio.run(hook(lambda: Cluster(send, "here"))(args))
        return asked

    return waited


def test_it_waits_until_the_native_policy_has_its_condition(wait: Callable[..., list[str]]) -> None:
    assert wait(native(), native(OTHER), native(OTHER, EXCEPTED)) == [PATH] * 3


def test_one_that_is_there_already_is_asked_for_once(wait: Callable[..., list[str]]) -> None:
    assert wait(native(EXCEPTED)) == [PATH]


@pytest.mark.parametrize("answer", [Answer(404), Answer(403), ConnectionError("refused")])
def test_without_a_native_policy_or_the_right_to_read_it_nothing_more_is_asked(
    wait: Callable[..., list[str]], answer: Answer | Exception
) -> None:
    assert wait(answer) == [PATH]


def test_it_is_not_waited_for_ever(wait: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_force, "_PATIENCE_SECONDS", 0.2)
    assert len(wait(native(OTHER))) > 1


def selecting(*namespaces: str) -> dict[str, Any]:
    values = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [*namespaces]}
    return {"namespaceSelector": {"matchExpressions": [values]}}


def rewritten(constraints: dict[str, Any], *expressions: str) -> Answer:
    """A native policy as Kyverno writes it, with what is the default of a native policy alone."""
    spec = {**native(*expressions).body["spec"], "matchConstraints": {**constraints, "objectSelector": {}}}
    return Answer(200, {"spec": spec})


OLD, NEW = selecting("kyverno"), selecting("kyverno", "external-secrets")
CHANGED = {
    "kind": "ValidatingPolicy",
    "metadata": {"name": RULE},
    "spec": {"matchConstraints": NEW, "matchConditions": [{"name": "own", "expression": OTHER}]},
}


@pytest.mark.parametrize(
    ("answers", "times"),
    [
        ([rewritten(OLD, OTHER), rewritten(NEW), rewritten(NEW, OTHER)], 3),
        ([rewritten(NEW, OTHER, EXCEPTED)], 1),
        ([Answer(404)], 1),
        ([Answer(403)], 1),
        ([ConnectionError("refused")], 1),
    ],
    ids=["until it is the rule's", "with an exception", "no native policy", "no right to read it", "no cluster"],
)
def test_a_changed_rule_is_in_force_once_its_native_policy_looks_at_the_same(
    wait: Callable[..., list[str]], answers: list[Answer | Exception], times: int
) -> None:
    assert wait(*answers, inputs=CHANGED, hook=until_rewritten) == [PATH] * times


@pytest.mark.usefixtures("wait")
def test_it_asks_while_every_thread_of_the_loop_waits() -> None:
    """The SDK holds them for the registration of what waits for the exception."""
    args: Any = pulumi.ResourceHookArgs("urn", "", "shop.x", "type", new_inputs=EXCEPTION)
    hook = until_excepted(lambda: Cluster(lambda _: native(EXCEPTED), "here"))

    async def run_out_of_threads() -> None:
        loop, ended = asyncio.get_running_loop(), threading.Event()
        loop.set_default_executor(ThreadPoolExecutor(1))
        registration = loop.run_in_executor(None, ended.wait, 10)
        try:
            await asyncio.wait_for(hook(args), 5)
        finally:
            ended.set()
            await registration

    asyncio.run(run_out_of_threads())
