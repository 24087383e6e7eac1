"""Writes the first file of a package: what mends a violation with the violation beside it, and nothing that is open."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import cast

import yaml

from components.kube.manifest import Manifest
from components.kube.written import items
from components.package.rendered.objects import Rendered
from components.schema.printable import one_line
from components.service.file.network import application_port
from components.service.file.ports import PROTOCOLS, port_name
from zt.package.search import Outcome
from zt.package.trial import Unsettled, Violation

SCHEMA_LINE = "# yaml-language-server: $schema=../docs/reference/package.schema.json\n"
_DAYS = 30
_HOST = re.compile(r"https?://([a-z0-9][a-z0-9.-]*\.[a-z]{2,})", re.IGNORECASE)
_NO_VALUE = "no value of the chart mends it: zt package init tried them all"
_WHAT_FOR = "say here what the package needs it for, or leave it out"


@dataclass(frozen=True)
class Draft:
    """What is written: the keys of who and what, the outcome of the search, and what has to be settled by hand."""

    head: Mapping[str, object]
    outcome: Outcome
    unsettled: Unsettled
    owner: str
    today: date
    webhook_networks: Sequence[str] = ()
    """The networks from which the API server calls, if the stack file says them."""
    registry: str = ""
    """The registry that values were changed to; empty: none was."""

    @property
    def open_ends(self) -> int:
        """How many exceptions, grants and ports without a certificate have to be looked at."""
        grants = sum(1 for beyond in self.unsettled.beyond if beyond.section == "grants")
        return len(self.outcome.last.violations) + grants + len(self.unsettled.called)


def file_text(draft: Draft) -> str:
    """The text of the file."""
    return SCHEMA_LINE + "".join(_sections(draft))


def _sections(draft: Draft) -> Iterator[str]:
    yield _yaml(draft.head)
    last = draft.outcome.last
    rendered = Rendered(last.objects)
    yield from _values(draft)
    exposed, of_the_mesh = list(_exposed(rendered)), sorted(_ports_of_the_mesh(rendered))
    if of_the_mesh:
        yield _comment(f"Ports of the mesh's proxy, which nobody else has: {', '.join(of_the_mesh)}")
    if exposed:
        yield "# Every port of the chart's Services. Nobody may call one that callers does not name.\n"
        yield _yaml({"expose": exposed})
    if reaching := sorted(_reaching(rendered)):
        yield "# The chart gives these rights on the Kubernetes API.\n"
        yield _yaml({"kubernetesApi": reaching})
    if hosts := sorted(_hosts(last.objects)):
        yield _comment(f"Hosts that its objects name; those that it calls stand under egress: {', '.join(hosts)}")
    yield from _plaintext(draft)
    if without := _without(draft):
        yield _yaml({"without": without})
    if last.violations:
        yield _yaml({"exceptions": [_exception(one, draft) for one in sorted(last.violations)]})
    if grants := list(_grants(draft)):
        yield _yaml({"grants": grants})


def _values(draft: Draft) -> Iterator[str]:
    """The values, with what each mends, and the images that the registry has to have for them."""
    if not draft.outcome.mends:
        return
    for mend in draft.outcome.mends:
        what = [*(str(one) for one in mend.mends), *(f"{one}, which the platform has" for one in mend.removes)]
        yield from map(_comment, _lines(f"{_dotted(mend.values)} mends", what))
    yield _yaml({"values": dict(draft.outcome.last.values)})
    if images := sorted(_images_of(draft)):
        yield from map(_comment, _lines(f"Images to have at {draft.registry}", images))


def _images_of(draft: Draft) -> set[str]:
    """The images that the values take from the registry."""
    if not draft.registry or draft.registry not in str(draft.outcome.last.values):
        return set()
    workloads = Rendered(draft.outcome.last.objects).workloads
    prefix = f"{draft.registry}/"
    return {image.removeprefix(prefix) for each in workloads for image in each.images if image.startswith(prefix)}


def _comment(line: str) -> str:
    """A line that is a comment to its end, whatever the chart has written in it."""
    return f"# {one_line(line)}\n"


def _lines(head: str, what: Sequence[str]) -> Iterator[str]:
    line = f"{head}: {what[0]}"
    for one in what[1:]:
        if len(line) + len(one) > 110:
            yield f"{line},"
            line = f"  {one}"
        else:
            line = f"{line}, {one}"
    yield line


def _dotted(values: Mapping[str, object]) -> str:
    """The path of the one value that a change writes."""
    path: list[str] = []
    value: object = values
    while isinstance(value, dict) and len(cast("Manifest", value)) == 1:
        [(key, value)] = cast("Manifest", value).items()
        path.append(key)
    return ".".join(path)


def _exposed(rendered: Rendered) -> Iterator[Manifest]:
    """Every port that leads to pods; the first one that speaks HTTP has no name."""
    ports = [
        {"service": service.name, "port": port, "protocol": _spoken(service.said.get(port, ""))}
        for service in rendered.services
        for port, target in service.targets.items()
        if any(_of_an_application(workload.port(target)) for workload in rendered.behind(service))
    ]
    ports.sort(key=lambda port: port["protocol"] == "tcp")
    taken: set[str] = set()
    for number, port in enumerate(ports):
        name = _name(f"{port['service']}-{port['port']}", cast("int", port["port"]), taken) if number else ""
        taken.add(name)
        yield {**({"name": name} if name else {}), **port}


def _ports_of_the_mesh(rendered: Rendered) -> Iterator[str]:
    for service in rendered.services:
        for port, target in service.targets.items():
            behind = [workload.port(target) for workload in rendered.behind(service)]
            if any(number and not _of_an_application(number) for number in behind):
                yield f"{service.name}:{port}"


def _of_an_application(port: int) -> bool:
    try:
        return bool(application_port(port))
    except ValueError:
        return False


def _spoken(said: str) -> str:
    """The protocol that a port says; any other, and one that begins with TLS, is forwarded as it is."""
    return said if said in PROTOCOLS else "tcp"


def _name(wanted: str, port: int, taken: set[str]) -> str:
    for name in (wanted, f"port-{port}", *(f"p{port}-{number}" for number in range(2, 100))):
        try:
            if name not in taken:
                return port_name(name)
        except ValueError:
            continue
    return f"p{port}"


def _reaching(rendered: Rendered) -> Iterator[str]:
    """The workloads whose accounts a binding of the chart names."""
    bindings = (each for each in rendered.objects if each.kind in ("RoleBinding", "ClusterRoleBinding"))
    bound = {str(subject.get("name")) for each in bindings for subject in items(each.manifest, "subjects")}
    yield from (workload.name for workload in rendered.workloads if workload.account in bound)


def _hosts(objects: Sequence[object]) -> set[str]:
    return {match.lower() for match in _HOST.findall(repr(objects))}


def _exception(violation: Violation, draft: Draft) -> Manifest:
    return {"rule": violation.rule, "workload": violation.name, **_days(_NO_VALUE, draft)}


def _plaintext(draft: Draft) -> Iterator[str]:
    """The ports that the API server calls, to whom they are open if the stack file says from where it does."""
    if not draft.unsettled.called:
        return
    ports = ", ".join(f"{called.port} of {called.workload}" for called in draft.unsettled.called)
    yield _comment(f"The API server calls these ports, without a certificate of the mesh: {ports}")
    if not draft.webhook_networks:
        yield "# Write them under plaintextPorts, with its networks: the stack file has no webhookCidrs.\n"
        return
    entries = [
        {
            "workload": called.workload,
            "port": called.port,
            "cidrs": list(draft.webhook_networks),
            **_days(f"the API server calls it by {called.by}", draft),
        }
        for called in draft.unsettled.called
    ]
    yield _yaml({"plaintextPorts": entries})


def _without(draft: Draft) -> list[Manifest]:
    out = [beyond.object for beyond in draft.unsettled.beyond if beyond.section == "without"]
    return [{"kind": each.kind, "name": each.name} for each in out]


def _grants(draft: Draft) -> Iterator[Manifest]:
    """One grant for each kind, namespace and reason."""
    names: dict[tuple[str, str, str], list[str]] = {}
    for beyond in draft.unsettled.beyond:
        if beyond.section == "grants":
            held = names.setdefault((beyond.object.kind, beyond.elsewhere, beyond.why), [])
            held += [] if beyond.object.name in held else [beyond.object.name]
    for (kind, where, why), held in names.items():
        place = {"namespace": where} if where else {}
        yield {"kind": kind, "names": held, **place, **_days(f"{why}: {_WHAT_FOR}", draft)}


def _days(reason: str, draft: Draft) -> Manifest:
    until = draft.today + timedelta(_DAYS)
    return {"reason": reason, "owner": draft.owner, "granted": draft.today, "expires": until}


def _once(value: object) -> object:
    """A copy in which nothing stands in two places, which YAML would write as an anchor."""
    if isinstance(value, dict):
        return {key: _once(item) for key, item in cast("Manifest", value).items()}
    if isinstance(value, list):
        return [_once(item) for item in cast("list[object]", value)]
    return date.fromordinal(value.toordinal()) if isinstance(value, date) else value


def _yaml(value: object) -> str:
    # The stubs of yaml do not type the stream, and so not the result.
    return yaml.safe_dump(_once(value), sort_keys=False, default_flow_style=False, allow_unicode=True, width=150)  # pyright: ignore[reportUnknownMemberType]
