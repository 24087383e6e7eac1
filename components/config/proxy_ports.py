"""The ports that nobody in the mesh listens on or connects to: those of the proxy in each pod."""

from pydantic import AfterValidator

from components.kube.names import MESH_PORTS


def _outside_the_proxy(value: int) -> int:
    if value in MESH_PORTS:
        raise ValueError("ports 15000 to 15099 are the mesh proxy's, in the pods that connect to it")
    return value


OUTSIDE_THE_PROXY = AfterValidator(_outside_the_proxy)
"""Refuses a port of the proxy."""
