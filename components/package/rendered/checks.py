"""Compares a package file with the objects that its chart renders, before anything is created.

What the file names must be there, and what the chart brings must be the package's own, granted or left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from components.kube.names import SHARED_ACCOUNTS
from components.package.file.keys import PackageSpec
from components.package.rendered.api_calls import Finding, api_call_findings
from components.package.rendered.injection import is_gateway
from components.package.rendered.listeners import listener_findings
from components.package.rendered.objects import TLS, Rendered, RenderedObject, Service, Workload
from components.package.rendered.reach import reach, refused
from components.schema.problem import Key
from components.service.file.network import application_port

_HOST_RULE = "disallow-host-namespaces"
_NOT_TCP = "it has no such TCP port"


def left_out(spec: PackageSpec, objects: Sequence[RenderedObject]) -> tuple[RenderedObject, ...]:
    """The objects of a chart without those that the file leaves out."""
    out = {(left.kind, left.name) for left in spec.without}
    return tuple(each for each in objects if (each.kind, each.name) not in out)


def findings(
    spec: PackageSpec, objects: Sequence[RenderedObject], own: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Finding]:
    """Every problem of a file with the objects that its chart renders.

    `own` are the labels of pods that name the stack's own control plane of the mesh.
    """
    rendered = Rendered(left_out(spec, objects))
    yield from _without(spec, objects)
    yield from _unique(rendered.objects)
    yield from _granted(spec, rendered.objects, own)
    yield from _identities(spec, rendered)
    yield from _named(spec, rendered)
    yield from _services(spec, rendered)
    yield from api_call_findings(spec, rendered)
    yield from listener_findings(spec, rendered)


def _without(spec: PackageSpec, objects: Sequence[RenderedObject]) -> Iterator[Finding]:
    known = {(each.kind, each.name) for each in objects}
    for number, left in enumerate(spec.without):
        if (left.kind, left.name) not in known:
            legal = tuple(sorted(name for kind, name in known if kind == left.kind))
            yield ("without", number, "name"), f"the chart brings no {left.kind} of that name", repr(left.name), legal


def _unique(objects: Sequence[RenderedObject]) -> Iterator[Finding]:
    names = [each.identity for each in objects]
    for group, kind, namespace, name in sorted({one for one in names if names.count(one) > 1}):
        where = f" in {namespace}" if namespace else ""
        yield ("chart",), f"it renders {kind} {name}{where} twice", f"{group or 'core'} {kind} {name}", ()


@dataclass(frozen=True)
class Beyond:
    """An object that a package may not bring by itself: the section of the file that settles it, and why.

    What `values` has to settle no grant does.
    """

    section: str
    object: RenderedObject
    elsewhere: str
    """Its namespace, if that is another one than the package's."""
    why: str

    @property
    def identity(self) -> tuple[str, str, str]:
        """Kind, other namespace and name, as a grant names it."""
        return self.object.kind, self.elsewhere, self.object.name


def beyond_the_package(
    spec: PackageSpec, objects: Sequence[RenderedObject], own: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Beyond]:
    """The objects that the file has to leave out, to change by values, and to grant or leave out."""
    for each in objects:
        elsewhere = each.namespace if each.namespace != spec.namespace else ""
        if each.kind == "Namespace":
            why = f"the Namespace {each.name}, and namespaces are the program's"
            yield Beyond("without", each, elsewhere, why)
        elif each.never_created:
            why = f"{each.kind} {each.name} as a hook of {each.hooks[0]}, which never happens here"
            yield Beyond("without", each, elsewhere, why)
        elif why := refused(each):
            yield Beyond("values", each, elsewhere, why)
        elif why := reach(each, spec.namespace, own):
            yield Beyond("grants", each, elsewhere, why)


def _granted(spec: PackageSpec, objects: Sequence[RenderedObject], own: Mapping[str, str]) -> Iterator[Finding]:
    granted = {
        (grant.kind, grant.namespace or "", name): ("grants", number, "names", place)
        for number, grant in enumerate(spec.grants)
        for place, name in enumerate(grant.names)
    }
    used: set[tuple[str, str, str]] = set()
    for beyond in beyond_the_package(spec, objects, own):
        each, where = beyond.object, f" in {beyond.elsewhere}" if beyond.elsewhere else ""
        if beyond.section == "without":
            yield ("without",), f"it brings {beyond.why}: leave it out here", f"{each.kind} {each.name}", ()
            continue
        if beyond.section == "values":
            what = f"the chart brings {each.kind} {each.name}{where}, and {beyond.why}"
            yield ("values",), what, f"{each.kind} {each.name}", ()
            continue
        used.add(beyond.identity)
        if beyond.identity not in granted:
            message = f"the chart brings {each.kind} {each.name}{where}, and {beyond.why}"
            how = "switch it off in values, leave it out by without, or grant it here with a reason and a last day"
            yield ("grants",), f"{message}: {how}", f"{each.kind} {each.name}", ()
    for identity, key in granted.items():
        if identity not in used:
            kind, namespace, name = identity
            where = f" in {namespace}" if namespace else ""
            yield key, f"the chart brings no {kind} of that name{where} that needs a grant", repr(name), ()


def _identities(spec: PackageSpec, rendered: Rendered) -> Iterator[Finding]:
    names = [workload.name for workload in rendered.workloads]
    for name in sorted({name for name in names if names.count(name) > 1}):
        kinds = ", ".join(workload.kind for workload in rendered.workloads if workload.name == name)
        yield ("chart",), f"two workloads have the name {name}, by which the file knows them", kinds, ()
    excepted = {exception.workload for exception in spec.exceptions if exception.rule == _HOST_RULE}
    for workload in rendered.workloads:
        if workload.account in SHARED_ACCOUNTS:
            message = (
                f"{workload.name} runs as an account that every pod of its namespace may have: give it one of its own"
            )
            yield ("values",), message, repr(workload.account), tuple(sorted(rendered.accounts))
        elif workload.account not in rendered.accounts:
            message = f"{workload.name} runs as an account that the chart does not bring, so that its pods never start"
            yield ("values",), message, repr(workload.account), tuple(sorted(rendered.accounts))
        if workload.shares_host and workload.name not in excepted:
            message = f"{workload.name} shares its node's network or processes, where no policy holds it"
            how = f"switch that off in values, or write an exception from {_HOST_RULE}"
            yield ("exceptions",), f"{message}: {how}", repr(workload.name), ()


def _named(spec: PackageSpec, rendered: Rendered) -> Iterator[Finding]:
    workloads = tuple(dict.fromkeys(workload.name for workload in rendered.workloads))
    for key, name in spec.named_workloads():
        if name not in workloads:
            yield key, "no workload of the chart", repr(name), workloads
    without_user = {workload.name for workload in rendered.workloads if not workload.user}
    gateways = {each.name for each in rendered.objects if each.template is not None and is_gateway(each.template)}
    for name, secret in spec.secrets.items():
        if secret.workload in gateways:
            message = "a gateway of the mesh runs alone: nothing redirects what runs beside it, such as Vault's agent"
            yield ("secrets", name, "workload"), message, repr(secret.workload), ()
        elif secret.workload in without_user:
            message = (
                "Vault's agent runs as the user of its first container, which has to say runAsUser: set it in values"
            )
            yield ("secrets", name, "workload"), message, repr(secret.workload), ()
    for section, entries in (("calls", spec.calls), ("egress", spec.egress)):
        for number, entry in enumerate(entries):
            if not entry.workloads and len(workloads) != 1:
                message = f"missing: the chart has {len(workloads)} workloads, so write which of them"
                yield (section, number, "workloads"), message, "", workloads


def _services(spec: PackageSpec, rendered: Rendered) -> Iterator[Finding]:
    exposed = [(("expose", number), entry, entry.protocol) for number, entry in enumerate(spec.expose)]
    between = [(("between", number), entry, "") for number, entry in enumerate(spec.between)]
    for key, entry, protocol in (*exposed, *between):
        service = rendered.service(entry.service)
        if service is None:
            legal = tuple(each.name for each in rendered.services)
            yield (*key, "service"), "no Service of the chart", repr(entry.service), legal
        else:
            yield from _port(key, entry.port, protocol, service, rendered)


def _port(key: Key, port: int, protocol: str, service: Service, rendered: Rendered) -> Iterator[Finding]:
    if port not in service.targets:
        yield (*key, "port"), _NOT_TCP, str(port), tuple(str(number) for number in sorted(service.targets))
        return
    if protocol not in ("", "tcp") and service.said.get(port) == TLS:
        message = "the chart says that it begins with TLS of its own, which is forwarded as it is"
        yield (*key, "protocol"), message, protocol, ("tcp",)
    behind = rendered.behind(service)
    if not behind:
        message = "no workload of the chart has the labels that it selects"
        yield (*key, "service"), message, repr(service.name), ()
    for workload in behind:
        if problem := _target(workload, service.targets[port]):
            yield (*key, "port"), problem, str(port), ()


def _target(workload: Workload, target: object) -> str:
    number = workload.port(target)
    if not number:
        return f"it leads to the port {target}, which no container of {workload.name} has"
    try:
        application_port(number)
    except ValueError as error:
        return f"it leads to port {number} of {workload.name}: {error}"
    return ""
