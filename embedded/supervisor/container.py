"""Arguments and environment of a Deployment's container, filled in as a kubelet would for one of its pods.

The rules are those of the Kubernetes API reference for EnvVarSource and Container.args: references to other variables
as ``$(NAME)``, ``$$(NAME)`` escaped, unknown names left as they are.
"""

import base64
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest
from embedded.supervisor.ports import LOOPBACK

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.][A-Za-z0-9_.-]*)\)")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class MissingReferenceError(Exception):
    """A required ConfigMap, Secret or key that the container's environment refers to is absent."""


def container_named(deployment: Manifest, name: str) -> Manifest:
    """The container of this name, or the first one when a chart calls it otherwise."""
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return next((container for container in containers if container["name"] == name), containers[0])


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace ``$(NAME)`` by the variable's value; ``$$`` stands for one ``$``."""

    def value(match: re.Match[str]) -> str:
        if match.group() == "$$":
            return "$"
        return variables.get(match.group(1), match.group())

    return _REFERENCE.sub(value, text)


def arguments_of(container: Manifest, environment: Mapping[str, str]) -> list[str]:
    """The container's arguments. Its command is not among them: the host's executable takes the image's place."""
    return [expand(argument, environment) for argument in container.get("args") or []]


def environment_of(container: Manifest, pod: Manifest, api: KubernetesApi) -> dict[str, str]:
    """The container's environment variables, as this pod has them. Raises ``MissingReferenceError``, ``ApiError``."""
    sources = _Sources(container, pod, api)
    variables: dict[str, str] = {}
    for entry in container.get("envFrom") or []:
        variables |= sources.all_of(entry)
    for entry in container.get("env") or []:
        value = sources.value_of(entry, variables)
        if value is not None:
            variables[entry["name"]] = value
    return variables


class _Sources:
    """Where the values of one container's variables come from."""

    def __init__(self, container: Manifest, pod: Manifest, api: KubernetesApi) -> None:
        self._container = container
        self._pod = pod
        self._api = api
        self._namespace = pod["metadata"]["namespace"]

    def all_of(self, entry: Manifest) -> dict[str, str]:
        prefix = entry.get("prefix", "")
        for kind, plural in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if reference := entry.get(kind):
                data = self._data(plural, reference["name"], optional=reference.get("optional", False))
                return {prefix + key: value for key, value in data.items()}
        return {}

    def value_of(self, entry: Manifest, variables: Mapping[str, str]) -> str | None:
        source = entry.get("valueFrom")
        if not source:
            return expand(entry.get("value", ""), variables)
        readers: dict[str, Callable[[Manifest], str | None]] = {
            "fieldRef": lambda reference: field_of(self._pod, reference["fieldPath"]),
            "resourceFieldRef": lambda reference: resource_of(self._container, reference),
            "configMapKeyRef": lambda reference: self._key("configmaps", reference),
            "secretKeyRef": lambda reference: self._key("secrets", reference),
        }
        kind, reference = next(iter(source.items()))
        return readers[kind](reference)

    def _key(self, plural: str, reference: Manifest) -> str | None:
        optional = reference.get("optional", False)
        data = self._data(plural, reference["name"], optional=optional)
        if reference["key"] in data:
            return data[reference["key"]]
        if optional:
            return None
        raise MissingReferenceError(f"{plural} {self._namespace}/{reference['name']} has no key {reference['key']}")

    def _data(self, plural: str, name: str, *, optional: bool) -> dict[str, str]:
        found = self._api.find(f"/api/v1/namespaces/{self._namespace}/{plural}/{name}")
        if found is None:
            if optional:
                return {}
            raise MissingReferenceError(f"{plural} {self._namespace}/{name} does not exist")
        data: dict[str, str] = found.get("data") or {}
        return _decode(data.items()) if plural == "secrets" else data


def field_of(pod: Manifest, path: str) -> str:
    """A field of the pod, as the downward API gives it. Addresses are loopback: that is where the process listens."""
    if subscript := _SUBSCRIPT.fullmatch(path):
        return (pod["metadata"].get(subscript.group(1)) or {}).get(subscript.group(2), "")
    if path in {"status.podIP", "status.podIPs", "status.hostIP", "status.hostIPs"}:
        return LOOPBACK
    value: Any = pod
    for step in path.split("."):
        value = value.get(step, "") if isinstance(value, Mapping) else ""
    return str(value)


def resource_of(container: Manifest, reference: Manifest) -> str:
    """A resource limit or request in units of its divisor, rounded up; without one, what this host has."""
    # Takes half a second to load: no process waits for it before one refers to a resource.
    from kubernetes.utils.quantity import parse_quantity

    section, _, resource = reference["resource"].partition(".")
    quantity = (container.get("resources", {}).get(section) or {}).get(resource)
    amount = parse_quantity(quantity or _host_capacity(resource))
    divisor = parse_quantity(reference.get("divisor") or "1") or 1
    return str(math.ceil(amount / divisor))


def _host_capacity(resource: str) -> int:
    if resource == "cpu":
        return os.cpu_count() or 1
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _decode(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in items}
