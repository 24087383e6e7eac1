"""The network policies beside Kubernetes' own that decide in a cluster, too: those of administrators and of plugins.

An AdminNetworkPolicy, a CiliumNetworkPolicy or a GlobalNetworkPolicy allows what no NetworkPolicy does, or denies what
one allows: https://network-policy-api.sigs.k8s.io/api-overview/ . Nothing here evaluates them; they are found by the
name of their kind, so that one of a plugin that nobody here has heard of is found as well.
"""

from collections.abc import Callable, Mapping
from typing import Any

from components.kube.parts import Manifest, parts

_SUFFIX = "networkpolicies"
_OWN_GROUP = "networking.k8s.io"
# Calico counts what would happen by these, and lists Kubernetes' own under this name.
_STAGED, _COPY = "staged", "knp."
RESOURCES = (
    "adminnetworkpolicies",
    "applicationnetworkpolicies",
    "baselineadminnetworkpolicies",
    "ciliumclusterwidenetworkpolicies",
    "ciliumnetworkpolicies",
    "clusternetworkpolicies",
    "fqdnnetworkpolicies",
    "globalnetworkpolicies",
    "networkpolicies",
)
"""Those of the network policy API and of common plugins, for a role that may read them in whatever group they are."""


def kinds(get: Callable[[str], Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Each kind of them that is served, with the path of its list. `get` reads a path; a refusal has no resources."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for group in parts(get("/apis"), "groups"):
        # Kubernetes' own groups have no dot, or hold none of them.
        if "." not in group["name"] or group["name"] == _OWN_GROUP:
            continue
        for version in parts(group, "versions"):
            path = f"/apis/{version['groupVersion']}"
            for resource in parts(get(path), "resources"):
                plural = resource["name"]
                if plural.endswith(_SUFFIX) and not plural.startswith(_STAGED):
                    found.setdefault((group["name"], plural), (resource["kind"], f"{path}/{plural}"))
    return list(found.values())


def named(kind: str, objects: list[Manifest]) -> list[str]:
    """The objects of a kind as a person reads them."""
    places = (each["metadata"] for each in objects)
    return [
        f"{kind} {'/'.join(filter(None, (place.get('namespace'), place['name'])))}"
        for place in places
        if not place["name"].startswith(_COPY)
    ]
