"""The wait until a changed policy is in force, before what needs it is created.

No status in the cluster shows it. An exception changes a rule in two steps: Kyverno writes the native policy of the
rule anew, which can be asked for, and then each API server reads it, in a second or two.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pulumi

from components.kube.cluster import Cluster, UnreadableError
from components.kube.parts import parts

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

    async def wait(args: pulumi.ResourceHookArgs) -> None:
        spec: Mapping[str, Any] = (args.new_inputs or {}).get("spec") or {}
        # Those of the loop are held by the SDK, which waits for objects that wait for this one.
        with ThreadPoolExecutor(1) as thread:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + _PATIENCE_SECONDS
            while loop.time() < deadline and await loop.run_in_executor(thread, _lacks, connect, spec):
                await asyncio.sleep(_POLL_SECONDS)
        await asyncio.sleep(SETTLE_SECONDS)

    return wait


def _lacks(connect: Callable[[], Cluster], spec: Mapping[str, Any]) -> bool:
    """Whether a native policy is there that does not have the conditions of an exception, each of them negated.

    https://kyverno.io/docs/policy-types/validating-policy/#generate-validatingadmissionpolicies
    """
    wanted = {f"!({condition['expression']})" for condition in spec.get("matchConditions", ())}
    try:
        cluster = connect()
        policies = [cluster.found(_NATIVE + ref["name"]) for ref in spec.get("policyRefs", ())]
    except (UnreadableError, ConnectionError):
        return False
    conditions = (parts(each, "spec", "matchConditions") for each in policies if each)
    return any(not wanted <= {str(one.get("expression")) for one in each} for each in conditions)
