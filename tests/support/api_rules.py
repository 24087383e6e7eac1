"""What the API server's own validation asks of objects, and the runtime, as far as no cluster is needed to know it.

It is written after Kubernetes' packages `validation` and the list keys of its server-side apply, and not after the
program: https://github.com/kubernetes/kubernetes/tree/v1.36.3/pkg/apis
"""

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from components.schema.quantity import amount

Body = Mapping[str, Any]

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
# No part of it has a length of its own.
_PART = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"(?=.{{1,253}}$){_PART}(\.{_PART})*"
_SERVICE = r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
_SEGMENT = r"(?!\.{1,2}$)[^/%]{1,253}"
_NAMES = {
    "Service": _SERVICE,
    "Namespace": _LABEL,
    # With what their controllers add to it: the revision of a StatefulSet, the minutes of a CronJob's run.
    "StatefulSet": rf"(?=.{{1,52}}$){_LABEL}",
    "CronJob": rf"(?=.{{1,52}}$){_SUBDOMAIN}",
    "Job": rf"(?=.{{1,63}}$){_SUBDOMAIN}",
    **dict.fromkeys(("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"), _SEGMENT),
}
_VALUE = r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?"
_KEY = rf"((?=[^/]{{1,253}}/){_PART}(\.{_PART})*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?"
_DATA_KEY = r"(?!\.{1,2}$|\.\.)[-._a-zA-Z0-9]{1,253}"
_PORT_NAME = r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*"
_VARIABLE = r"[-._a-zA-Z][-._a-zA-Z0-9]*"
_ANNOTATIONS, _OBJECT, _DATA = 256 * 1024, 1024 * 1024, 1024 * 1024
# What every process may have together of arguments and variables: a quarter of the stack's usual limit of 8 MiB.
_PROGRAM = 2 * 1024 * 1024
_POD_TEMPLATES = {"Deployment": (), "StatefulSet": (), "Job": (), "CronJob": ("jobTemplate", "spec")}


def problems(objects: Sequence[Body]) -> list[str]:
    """What is wrong with objects that are there together."""
    found = [f"two {kind} {name}" for (kind, *_, name), count in _identities(objects).items() if count > 1]
    for each in objects:
        found += [f"{each['kind']} {each['metadata']['name']}: {problem}" for problem in _of_one(each)]
    return found


def _identities(objects: Iterable[Body]) -> Counter[tuple[str, ...]]:
    return Counter(
        (each["kind"], each["apiVersion"].partition("/")[0], each["metadata"].get("namespace", ""), _name(each))
        for each in objects
    )


def _name(each: Body) -> str:
    return each["metadata"]["name"]


def _of_one(each: Body) -> Iterator[str]:
    if not re.fullmatch(_NAMES.get(each["kind"], _SUBDOMAIN), _name(each)):
        yield "its name is none"
    yield from _metadata(each["metadata"])
    if (size := len(json.dumps(each, ensure_ascii=False).encode())) > _OBJECT:
        yield f"it has {size} bytes"
    spec = each.get("spec", {})
    if (path := _POD_TEMPLATES.get(each["kind"])) is not None:
        for key in path:
            yield from _metadata(spec.get("metadata", {}))
            spec = spec[key]
        claims = [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", ())]
        yield from _metadata(spec["template"]["metadata"])
        yield from _pod(spec["template"]["spec"], claims)
        labels = spec["template"]["metadata"]["labels"].items()
        if not spec.get("selector", {}).get("matchLabels", {}).items() <= labels:
            yield "its selector does not select its own pods"
    if check := _BY_KIND.get(each["kind"]):
        yield from check(each)


def _metadata(metadata: Body) -> Iterator[str]:
    labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
    for key in (*labels, *annotations):
        if not re.fullmatch(_KEY, key):
            yield f"{key} is no key"
    for key, value in labels.items():
        if not re.fullmatch(_VALUE, value):
            yield f"{value!r} is no value of the label {key}"
    if (size := sum(len(f"{key}{value}".encode()) for key, value in annotations.items())) > _ANNOTATIONS:
        yield f"its annotations have {size} bytes"


def _twice(what: str, keys: Iterable[object]) -> Iterator[str]:
    """Server-side apply refuses a list that has a key twice."""
    yield from (f"{what} {key} twice" for key, count in Counter(keys).items() if count > 1)


def _pod(spec: Body, claims: Sequence[str]) -> Iterator[str]:
    volumes = [each["name"] for each in spec.get("volumes", ())]
    containers = [*spec.get("initContainers", ()), *spec["containers"]]
    yield from _twice("the volume", [*volumes, *claims])
    yield from _twice("the container", (each["name"] for each in containers))
    yield from _twice("the pull secret", (each["name"] for each in spec.get("imagePullSecrets", ())))
    yield from _twice("the address", (each["ip"] for each in spec.get("hostAliases", ())))
    yield from _twice(
        "the constraint",
        ((each["topologyKey"], each["whenUnsatisfiable"]) for each in spec.get("topologySpreadConstraints", ())),
    )
    for name in (*volumes, *claims, *(each["name"] for each in containers)):
        if not re.fullmatch(_LABEL, name):
            yield f"{name} is no name of a volume or container"
    for volume in spec.get("volumes", ()):
        yield from _volume(volume)
    for each in spec.get("hostAliases", ()):
        if not all(re.fullmatch(_SUBDOMAIN, name) for name in each["hostnames"]):
            yield f"{each['hostnames']} are no host names"
    grace = spec.get("terminationGracePeriodSeconds", 30)
    for each in containers:
        yield from (f"{each['name']}: {problem}" for problem in _container(each, {*volumes, *claims}, grace))


def _volume(volume: Body) -> Iterator[str]:
    paths: list[str] = []
    for source in volume.get("projected", {}).get("sources", ()):
        for kept in source.values():
            paths += [item["path"] for item in kept["items"]] if "items" in kept else [kept.get("path", "")]
    for kind in ("configMap", "secret"):
        paths += [item["path"] for item in volume.get(kind, {}).get("items", ())]
    yield from _twice(f"in the volume {volume['name']} the file", paths)


def _container(each: Body, volumes: set[str], grace: int) -> Iterator[str]:
    env, mounts, ports = each.get("env", ()), each.get("volumeMounts", ()), each.get("ports", ())
    yield from _twice("the variable", (variable["name"] for variable in env))
    yield from _twice("the mount", (mount["mountPath"] for mount in mounts))
    yield from _twice("the port", ((port["containerPort"], port["protocol"]) for port in ports))
    yield from _twice("the name of a port", (port["name"] for port in ports if "name" in port))
    yield from (f"{port['name']} is no port" for port in ports if not re.fullmatch(_PORT_NAME, port.get("name", "a")))
    yield from (
        f"{variable['name']} is no variable" for variable in env if not re.fullmatch(_VARIABLE, variable["name"])
    )
    yield from (f"no volume {mount['name']}" for mount in mounts if mount["name"] not in volumes)
    yield from (f"a colon in {mount['mountPath']}" for mount in mounts if ":" in mount["mountPath"])
    for outer in (mount["mountPath"] for mount in mounts if mount.get("readOnly")):
        below = (mount["mountPath"] for mount in mounts if mount["mountPath"].startswith(f"{outer}/"))
        yield from (f"the mount {inner} below {outer}, which is read-only" for inner in below)
    requests, limits = each["resources"]["requests"], each["resources"]["limits"]
    for name, asked in requests.items():
        if amount(asked) > amount(limits.get(name, asked)):
            yield f"it asks for {asked} of {name}, and may have {limits[name]}"
    for probe in (each[key] for key in ("readinessProbe", "livenessProbe", "startupProbe") if key in each):
        handlers = {"tcpSocket", "httpGet", "grpc", "exec"} & probe.keys()
        if len(handlers) != 1 or not all(
            probe[key] > 0 for key in ("periodSeconds", "timeoutSeconds", "failureThreshold")
        ):
            yield f"the probe {probe}"
        if not all(0 < handler.get("port", 1) < 65536 for handler in (probe[key] for key in handlers)):
            yield f"the port of the probe {probe}"
    if not 0 < each.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 1) <= grace:
        yield "it sleeps longer than its pod ends"
    words = [*each.get("command", ()), *each.get("args", ()), *(f"{v['name']}={v.get('value', '')}" for v in env)]
    if (size := sum(len(word.encode()) + 9 for word in words)) > _PROGRAM:
        yield f"its program gets {size} bytes"


def _service(each: Body) -> Iterator[str]:
    ports = each["spec"]["ports"]
    yield from _twice("the port", ((port["port"], port["protocol"]) for port in ports))
    yield from _twice("the name of a port", (port["name"] for port in ports))
    yield from (f"{port['name']} is no port" for port in ports if not re.fullmatch(_LABEL, port["name"]))
    yield from (f"the port {port}" for port in ports if not 0 < port["port"] < 65536)


def _data(each: Body) -> Iterator[str]:
    data = {**each.get("data", {}), **each.get("stringData", {})}
    yield from (f"{key} is no key" for key in data if not re.fullmatch(_DATA_KEY, key))
    if sum(len(str(value).encode()) for value in data.values()) > _DATA:
        yield "its data is more than a mebibyte"


def _network_policy(each: Body) -> Iterator[str]:
    for rule in (*each["spec"].get("ingress", ()), *each["spec"].get("egress", ())):
        for peer in (*rule.get("from", ()), *rule.get("to", ())):
            if "ipBlock" in peer:
                block = ipaddress.ip_network(peer["ipBlock"]["cidr"])
                inner = map(ipaddress.ip_network, peer["ipBlock"].get("except", ()))
                # A network of IPv6 in one of IPv4 raises `TypeError`, which is as wrong.
                yield from (f"{one} is not within {block}" for one in inner if one == block or not one.subnet_of(block))  # pyright: ignore[reportArgumentType]
        yield from (f"the port {port}" for port in rule.get("ports", ()) if not 0 < port["port"] < 65536)


def _autoscaler(each: Body) -> Iterator[str]:
    spec = each["spec"]
    if not 0 < spec["minReplicas"] <= spec["maxReplicas"]:
        yield "its numbers of pods"


def _entry(each: Body) -> Iterator[str]:
    ports = each["spec"]["ports"]
    yield from _twice("the port", (port["number"] for port in ports))
    yield from _twice("the name of a port", (port["name"] for port in ports))
    for address in each["spec"].get("addresses", ()):
        ipaddress.ip_network(address)


def _sidecar(each: Body) -> Iterator[str]:
    listeners = [listener["port"] for listener in each["spec"].get("ingress", ())]
    yield from _twice("the listener", (port["number"] for port in listeners))
    hosts = [host for egress in each["spec"].get("egress", ()) for host in egress["hosts"]]
    yield from _twice("the host", hosts)


def _authorization(each: Body) -> Iterator[str]:
    for rule in each["spec"].get("rules", ()):
        for operation in (to["operation"] for to in rule.get("to", ())):
            for path in (*operation.get("paths", ()), *operation.get("notPaths", ())):
                if not path or "*" in path[1:-1] or path == "*":
                    yield f"{path!r} is no path of a rule"
            yield from (f"the port {port}" for port in operation.get("ports", ()) if not 0 < int(port) < 65536)
        for source in (one["source"] for one in rule.get("from", ())):
            for block in source.get("ipBlocks", ()):
                ipaddress.ip_network(block)
            yield from (f"no {key}" for key, values in source.items() if not values or "" in values)


def _route(each: Body) -> Iterator[str]:
    spec = each["spec"]
    rules = spec["rules"]
    hosts = spec.get("hostnames", ())
    if not 1 <= len(rules) <= 16 or len(hosts) > 16:
        yield f"{len(rules)} rules for {len(hosts)} hosts"
    yield from _twice("the rule", (rule["name"] for rule in rules if "name" in rule))
    yield from _twice("the host", hosts)
    yield from _twice("the match", (json.dumps(match) for rule in rules for match in rule.get("matches", ())))
    for rule in rules:
        yield from _twice("the filter", (made["type"] for made in rule.get("filters", ())))
        if len(rule.get("matches", ())) > 64:
            yield "more than 64 matches"
        for made in rule.get("filters", ()):
            headers = made.get("responseHeaderModifier", {}).get("set", ())
            yield from _twice("the header", (header["name"].lower() for header in headers))
            if len(headers) > 16:
                yield f"{len(headers)} headers"
            yield from (
                f"the header {header}" for header in headers if len(header["value"]) > 4096 or not header["value"]
            )


_BY_KIND: Mapping[str, Callable[[Body], Iterator[str]]] = {
    "Service": _service,
    "ConfigMap": _data,
    "Secret": _data,
    "NetworkPolicy": _network_policy,
    "HorizontalPodAutoscaler": _autoscaler,
    "ServiceEntry": _entry,
    "Sidecar": _sidecar,
    "AuthorizationPolicy": _authorization,
    "HTTPRoute": _route,
    "GRPCRoute": _route,
}
