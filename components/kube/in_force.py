"""What is admitted only once a policy that has just changed is in force, which no status in the cluster shows.

Kyverno writes a rule anew, and each API server reads what has changed, in its own time. So what needs the change is
tried again while that very policy refuses it: https://www.pulumi.com/docs/iac/concepts/resources/options/hooks/
"""

import asyncio
from collections.abc import Collection

import pulumi

TRIES = 12
_LONGEST_PAUSE_SECONDS = 15.0


def once_in_force(name: str, policies: Collection[str]) -> pulumi.ResourceOptions:
    """The options of a resource that waits for a change of these policies, two minutes at most.

    `name` is unique in the program. Every other refusal ends the update at once, and any of them a preview.
    """
    if not policies:
        return pulumi.ResourceOptions()

    async def refused_still(args: pulumi.ErrorHookArgs) -> bool:
        refusing = next((policy for policy in policies if policy in args.errors[0]), "")
        if not refusing or len(args.errors) > TRIES or pulumi.runtime.is_dry_run():
            return False
        if len(args.errors) == 1:
            pulumi.info(f"{args.name}: waits for the change of {refusing} to be in force")
        await asyncio.sleep(min(2.0 ** (len(args.errors) - 1), _LONGEST_PAUSE_SECONDS))
        return True

    hook = pulumi.ErrorHook(f"{name}.once-in-force", refused_still)
    return pulumi.ResourceOptions(hooks=pulumi.ResourceHookBinding(on_error=[hook]))
