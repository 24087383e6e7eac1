"""The wait for a changed policy to be in force, which no status in the cluster shows."""

import asyncio

import pulumi

# The API server reads a policy that has changed, or that Kyverno has written anew: that takes a second or two each.
SETTLE_SECONDS = 5


async def settle(_: pulumi.ResourceHookArgs) -> None:
    """Wait until what was written is in force."""
    await asyncio.sleep(SETTLE_SECONDS)
