"""The wait until a changed policy is in force, before what needs it is created.

No status in the cluster shows it. A rule and an exception from it change in two steps: Kyverno writes the native policy
of the rule anew, which can be asked for, and then each API server reads it, in a second or two.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import pulumi

from components.kube.cluster import Cluster, UnreadableError
from components.kube.parts import part, parts

SETTLE_SECONDS = 5.0
_POLL_SECONDS, _PATIENCE_SECONDS = 0.5, 120.0
_NATIVE = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/vpol-"


async def settle(_: pulumi.ResourceHookArgs) -> None:
    """Wait until what was written is in force."""
    await asyncio.sleep(SETTLE_SECONDS)


def until_excepted(connect: Callable[[], Cluster]) -> Callable[[pulumi.ResourceHookArgs], Any]:
    """The hook that waits until a PolicyException is in force in each native policy of its rules.

    Whoever may not read those waits as `settle` does, and so does everybody for a rule that has none, since it denies
    nothing. After two minutes the API server judges.
    """
    return _until(connect, lambda cluster, inputs: _lacks_exception(cluster, part(inputs, "spec")))


def until_rewritten(connect: Callable[[], Cluster]) -> Callable[[pulumi.ResourceHookArgs], Any]:
    """The hook that waits until a changed ValidatingPolicy is in force: its native policy looks at what it looks at.

    Otherwise a namespace that it leaves out from now on would be judged when its first workload comes. It ends as
    `until_excepted` does.
    """
    return _until(connect, _differs)


def _until(
    connect: Callable[[], Cluster], is_due: Callable[[Cluster, Mapping[str, Any]], bool]
) -> Callable[[pulumi.ResourceHookArgs], Any]:
    # One connection for all that wait by this hook.
    connected = cache(connect)

    async def wait(args: pulumi.ResourceHookArgs) -> None:
        inputs: Mapping[str, Any] = args.new_inputs or {}

        def due() -> bool:
            try:
                return is_due(connected(), inputs)
            except (UnreadableError, ConnectionError):
                return False

        # Those of the loop are held by the SDK, which waits for objects that wait for this one.
        with ThreadPoolExecutor(1) as thread:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + _PATIENCE_SECONDS
            while loop.time() < deadline and await loop.run_in_executor(thread, due):
                await asyncio.sleep(_POLL_SECONDS)
        await asyncio.sleep(SETTLE_SECONDS)

    return wait


def _lacks_exception(cluster: Cluster, spec: Mapping[str, Any]) -> bool:
    """Whether a native policy is there that does not have the conditions of an exception, each of them negated.

    https://kyverno.io/docs/policy-types/validating-policy/#generate-validatingadmissionpolicies
    """
    wanted = {f"!({condition['expression']})" for condition in spec.get("matchConditions", ())}
    policies = [cluster.found(_NATIVE + ref["name"]) for ref in spec.get("policyRefs", ())]
    return any(not wanted <= _expressions(each) for each in policies if each)


def _differs(cluster: Cluster, policy: Mapping[str, Any]) -> bool:
    """Whether the native policy is there, and looks at other objects than the rule itself."""
    native = cluster.found(_NATIVE + str(part(policy, "metadata").get("name")))
    if not native:
        return False
    places = [part(each, "spec", "matchConstraints", "namespaceSelector") for each in (policy, native)]
    return places[0] != places[1] or not _expressions(policy) <= _expressions(native)


def _expressions(policy: Mapping[str, Any]) -> set[str]:
    return {str(one.get("expression")) for one in parts(policy, "spec", "matchConditions")}
