"""Pods as an application team, or an attacker, would send them. Each bad one is wrong in one thing alone."""

from typing import Any

from tests.policy import cases


def pod(name: str) -> dict[str, Any]:
    """A pod that every rule admits: the baseline of the library's cases, outside the mesh."""
    made = cases.wrap("Pod", name, cases.pod_spec({}), {**cases.BASELINE["labels"], "app": "probe"})
    del made["metadata"]["namespace"]
    made["metadata"]["labels"]["sidecar.istio.io/inject"] = "false"
    return made


def privileged(name: str) -> dict[str, Any]:
    made = pod(name)
    context = made["spec"]["containers"][0]["securityContext"]
    # The API server itself refuses a privileged container that may not escalate.
    del context["allowPrivilegeEscalation"]
    context["privileged"] = True
    return made


def root(name: str) -> dict[str, Any]:
    """Says in so many words that it runs as root: mutation only fills in what is absent."""
    made = pod(name)
    made["spec"]["securityContext"] |= {"runAsNonRoot": False, "runAsUser": 0}
    return made


def unapproved_image(name: str) -> dict[str, Any]:
    """The seed's fifth attack: a cryptominer from a public registry."""
    made = pod(name)
    made["spec"]["containers"][0]["image"] = "docker.io/attacker/cryptominer:latest"
    return made


def host_network(name: str) -> dict[str, Any]:
    made = pod(name)
    made["spec"]["hostNetwork"] = True
    return made


BAD = {
    "disallow-privileged": privileged,
    "require-run-as-non-root": root,
    "restrict-image-registries": unapproved_image,
    "disallow-host-namespaces": host_network,
}
