"""Service files as far as they can be derived from what lives in a cluster. Each loads, and names what it leaves out.

A draft is read by the program's own reader: a key that it refuses is left out, with its reason. What no rule would
admit, and what a file has no key for, a person has to decide.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from components.kube.parts import part, parts, texts
from components.kube.service_ref import ServiceRef
from components.schema.printable import one_line
from components.schema.problem import ConfigError
from components.service.file.directory import Admission, ServiceFile, check_services, parse_service
from zt.adopt.living import Living
from zt.adopt.model import Draft, Talk
from zt.adopt.workloads import Template, exposed_secrets
from zt.new.file import service_text

_KINDS = ("Deployment", "StatefulSet")
_HTTPS = 443
_MOST_TRIES = 40
# Keys without which there is no file.
_NAMES = ("calls", "callers", "aliases")
_REQUIRED = ("namespace", "team", "image")


@dataclass
class _Sketch:
    """The keys of a file while it is derived, and what is left out."""

    template: Template
    name: str
    values: dict[str, Any]
    unsaid: list[str] = field(default_factory=list[str])

    @property
    def ref(self) -> ServiceRef:
        return ServiceRef(self.template.namespace, self.name)

    def leave_out(self, key: str, why: str) -> None:
        top = key.partition(".")[0].partition("[")[0]
        left = ""
        if top in self.values and top not in _REQUIRED:
            value = self.values.pop(top)
            # Any other value may hold what nobody shall read in a comment.
            left = f" (left out: {', '.join(map(str, value))})" if top in _NAMES else ""
        self.unsaid.append(f"{key}: {why}{left}")


def drafts(
    living: Living, templates: Sequence[Template], talks: Sequence[Talk]
) -> tuple[tuple[Draft, ...], tuple[str, ...]]:
    """The drafts that load, and why there is none for the other workloads."""
    sketches = [_sketch(living, each) for each in templates if each.kind in _KINDS]
    none = [
        f"{each.kind} {each.key}: a service file makes no {each.kind}" for each in templates if each.kind not in _KINDS
    ]
    named = {sketch.template.key: sketch for sketch in sketches}
    for talk in talks:
        _agree(talk, named)
    loading: list[_Sketch] = []
    for sketch in sketches:
        if why := _loads(sketch):
            none.append(f"{sketch.template.kind} {sketch.template.key}: {why}")
        else:
            loading.append(sketch)
    _load_together(loading)
    files = _file_names(loading)
    return (
        tuple(
            Draft(
                f"services/{files[sketch.template.key]}.yaml",
                _text(sketch, files),
                sketch.template.key,
                tuple(sketch.unsaid),
            )
            for sketch in loading
        ),
        tuple(none),
    )


def _sketch(living: Living, template: Template) -> _Sketch:
    services = [
        each
        for each in living.of("Service")
        if each["metadata"]["namespace"] == template.namespace
        and part(each, "spec", "selector")
        and part(each, "spec", "selector").items() <= template.labels.items()
    ]
    name = str(services[0]["metadata"]["name"]) if len(services) == 1 else template.name
    container = parts(template.spec, "containers")[0]
    labels = {**living.labels(template.namespace), **template.labels}
    values: dict[str, Any] = {
        "namespace": template.namespace,
        "team": str(labels.get("team") or template.namespace),
        "image": str(container.get("image", "")),
        "replicas": template.replicas,
    }
    sketch = _Sketch(template, name, values)
    _port(sketch, container, services)
    _variables(sketch, container)
    if words := texts(container, "command"):
        values["command"] = words
    if words := texts(container, "args"):
        values["args"] = words
    user = part(container, "securityContext").get("runAsUser") or part(template.spec, "securityContext").get(
        "runAsUser"
    )
    if user:
        values["runAsUser"] = user
    _public(living, sketch)
    _not_said(sketch, services)
    return sketch


def _port(sketch: _Sketch, container: Mapping[str, Any], services: Sequence[Mapping[str, Any]]) -> None:
    ports = [int(each["containerPort"]) for each in parts(container, "ports") if "containerPort" in each]
    for service in services:
        for each in parts(service, "spec", "ports"):
            target = each.get("targetPort", each.get("port"))
            ports += [target] if isinstance(target, int) else []
    if not ports:
        sketch.unsaid.append("port: no container and no Service says one; without it nobody can call it")
        return
    sketch.values["port"] = ports[0]
    path = part(container, "readinessProbe", "httpGet").get("path") or part(container, "livenessProbe", "httpGet").get(
        "path"
    )
    if path:
        sketch.values["health"] = str(path)
    elif ports[0] not in (80, 3000, 5000, 8000, 8080, 8443):
        sketch.values["protocol"] = "tcp"
    if more := sorted({*ports[1:]} - {ports[0]}):
        sketch.unsaid.append(f"ports: it listens on {', '.join(map(str, more))}, too; name those that are called")


def _variables(sketch: _Sketch, container: Mapping[str, Any]) -> None:
    exposed = {each.variable for each in exposed_secrets(sketch.template)}
    plain = {
        str(each["name"]): str(each["value"])
        for each in parts(container, "env")
        if each.get("value") is not None and each["name"] not in exposed
    }
    if plain:
        sketch.values["env"] = plain
    for each in parts(container, "env"):
        source = next(iter(part(each, "valueFrom")), "")
        if source and source != "secretKeyRef":
            sketch.unsaid.append(f"env.{each['name']}: it comes from {source}")
    fields: dict[str, list[str]] = {}
    for each in parts(container, "env"):
        if key := part(each, "valueFrom", "secretKeyRef"):
            fields.setdefault(str(key.get("name")), []).append(str(key.get("key")))
    if fields:
        sketch.values["secrets"] = {name: {"external": sorted({*keys})} for name, keys in sorted(fields.items())}
    for each in exposed_secrets(sketch.template):
        sketch.unsaid.append(
            f"secrets: {each.variable} of container {each.container} ({each.source}) has to be read from a file; "
            "zt secret set gives its value to Vault"
        )


def _public(living: Living, sketch: _Sketch) -> None:
    hosts: list[str] = []
    for ingress in living.of("Ingress"):
        for rule in parts(ingress, "spec", "rules"):
            backends = [part(path, "backend", "service").get("name") for path in parts(rule, "http", "paths")]
            if ingress["metadata"]["namespace"] == sketch.template.namespace and sketch.name in backends:
                hosts.append(str(rule.get("host", "")))
    for route in living.of("HTTPRoute"):
        backends = [ref.get("name") for rule in parts(route, "spec", "rules") for ref in parts(rule, "backendRefs")]
        if route["metadata"]["namespace"] == sketch.template.namespace and sketch.name in backends:
            hosts += texts(route, "spec", "hostnames")
    hosts = [*dict.fromkeys(host for host in hosts if host)]
    if hosts:
        sketch.values["host"] = hosts[0]
    if hosts[1:]:
        sketch.values["aliases"] = hosts[1:]


def _not_said(sketch: _Sketch, services: Sequence[Mapping[str, Any]]) -> None:
    template, unsaid = sketch.template, sketch.unsaid
    if template.kind == "StatefulSet":
        unsaid.append("volumes: a StatefulSet's claims are not taken over; copy the data first")
    if sketch.name != template.name:
        unsaid.append(
            f"its name is that of its Service, so that callers find it: {template.kind} {template.name} stays beside it"
        )
    selector = part(template.manifest, "spec", "selector", "matchLabels")
    if sketch.name == template.name and selector != {"app": sketch.name}:
        unsaid.append(
            f"selector {selector}: no update makes it app: {sketch.name}; name the service otherwise, and move callers"
        )
    if len(services) > 1:
        names = ", ".join(sorted(str(each["metadata"]["name"]) for each in services))
        unsaid.append(f"Services {names} lead to it; the file makes one, {sketch.name}")
    for kind, key in (("sidecars", "containers"), ("init", "initContainers")):
        others = parts(template.spec, key)[1 if key == "containers" else 0 :]
        if others:
            unsaid.append(f"{kind}: {', '.join(str(each['name']) for each in others)}")
    for volume in parts(template.spec, "volumes"):
        source = next((name for name in volume if name != "name"), "emptyDir")
        unsaid.append(f"volume {volume['name']}: {source}")


def _agree(talk: Talk, named: Mapping[str, _Sketch]) -> None:
    """Write an edge into both files, or a host outside into the caller's."""
    caller, callee = named.get(talk.caller), named.get(talk.callee)
    if caller and "/" not in talk.callee:
        egress = caller.values.setdefault("egress", [])
        entry: dict[str, Any] = {"host": talk.callee, "port": talk.port}
        if entry not in egress and talk.port == _HTTPS:
            egress.append(entry)
        elif talk.port != _HTTPS:
            caller.unsaid.append(f"egress: {talk.callee}:{talk.port} ({talk.evidence}): write its protocol and cidrs")
        if not egress:
            del caller.values["egress"]
    elif caller and callee:
        for sketch, key, other in ((caller, "calls", callee), (callee, "callers", caller)):
            seen = other.ref.seen_from(sketch.template.namespace)
            entries = cast("list[str]", sketch.values.setdefault(key, []))
            if seen not in entries:
                entries.append(seen)
    elif caller:
        caller.unsaid.append(f"calls: {talk.callee} ({talk.evidence}) has no service file")


def _loads(sketch: _Sketch) -> str:
    """Leave out what the reader refuses, until it takes the file; why it never does, or empty."""
    for _ in range(_MOST_TRIES):
        try:
            _read(sketch)
        except ConfigError as error:
            problem = error.problems[0]
            top = problem.key.partition(".")[0].partition("[")[0]
            if top in _REQUIRED or top not in sketch.values:
                return problem.sentence
            sketch.leave_out(problem.key, problem.message)
        else:
            return ""
    return "no key of it is taken"


def _read(sketch: _Sketch) -> ServiceFile:
    return parse_service(service_text({"name": sketch.name, **sketch.values}), f"services/{sketch.name}.yaml")


def _load_together(sketches: Sequence[_Sketch]) -> None:
    """Leave out what does not hold between the files, such as a call to a service that has none."""
    for _ in range(_MOST_TRIES * max(1, len(sketches))):
        files = {id(sketch): _read(sketch) for sketch in sketches}
        problems = check_services([*files.values()], Admission(registries=(), api_server_reachable=True))
        by_file = {id_: file.file for id_, file in files.items()}
        left_out = False
        for problem in problems:
            for sketch in sketches:
                top = problem.key.partition(".")[0].partition("[")[0]
                if by_file[id(sketch)] == problem.file and top in sketch.values and top not in _REQUIRED:
                    sketch.leave_out(problem.key, problem.message)
                    left_out = True
                    break
            if left_out:
                break
        if not left_out:
            return


def _file_names(sketches: Sequence[_Sketch]) -> dict[str, str]:
    """The name of each file: that of the service, with its namespace in front where two have the same."""
    names = [sketch.name for sketch in sketches]
    return {
        sketch.template.key: sketch.name
        if names.count(sketch.name) == 1
        else f"{sketch.template.namespace}-{sketch.name}"
        for sketch in sketches
    }


def _text(sketch: _Sketch, files: Mapping[str, str]) -> str:
    """The file, with a comment for each thing that it does not say."""
    own = {} if files[sketch.template.key] == sketch.name else {"name": sketch.name}
    head, body = service_text({**own, **sketch.values}).split("\n", 1)
    lines = [
        head,
        f"# A draft of `zt adopt`, from {sketch.template.kind} {sketch.template.key}. Not said, and to decide:",
    ]
    lines += [*_comments(sketch.unsaid)] if sketch.unsaid else ["# nothing."]
    return "\n".join([*lines, body])


def _comments(unsaid: Sequence[str]) -> Iterator[str]:
    yield from (f"# - {one_line(' '.join(text.split()))}" for text in dict.fromkeys(unsaid))
