"""The resource of a kind, as the API server names it in its rights."""

from typing import NamedTuple

_ENDS_IN_ES = ("s", "x", "z", "ch", "sh")
# The kinds of Kubernetes whose resource has the name of the kind.
_SAME = ("Endpoints",)


class Resource(NamedTuple):
    """A resource by its group (empty for the core) and its name in the plural."""

    group: str
    name: str

    def __str__(self) -> str:
        return f"{self.name}.{self.group}" if self.group else self.name


def resource_of(api_version: str, kind: str) -> Resource:
    """The resource of a kind that may not be served yet: its definition comes with a chart."""
    group, slash, _ = api_version.partition("/")
    return Resource(group if slash else "", plural(kind))


def plural(kind: str) -> str:
    """The plural of a kind, by the rule that Kubernetes' own definitions follow."""
    name = kind.lower()
    if kind in _SAME:
        return name
    if name.endswith("y") and name[-2] not in "aeiou":
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(_ENDS_IN_ES) else f"{name}s"


def path_of(api_version: str, kind: str, namespace: str, name: str) -> str:
    """The path of an object at the API server; an empty `namespace` for a kind that has none."""
    group = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"{group}{place}/{resource_of(api_version, kind).name}/{name}"
