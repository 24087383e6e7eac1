"""The API server: its version, what it serves, and its clock."""

import ipaddress
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from components.kube.charts import OLDEST_KUBERNETES
from components.kube.parts import part, parts
from zt.preflight.line import Check, Line, Theme, fails, not_checked, ok, warns
from zt.preflight.session import Session

NEWEST = (1, 36)
"""The version that the pinned charts are tested with."""
ADMISSION = "admissionregistration.k8s.io/v1"
WARN_SECONDS, FAIL_SECONDS = 60, 300
_VERSION, _ENDPOINTS = "/version", "/api/v1/namespaces/default/endpoints/kubernetes"
_NODES = "/api/v1/nodes"
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_RUNS_DENYING_RULES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


def _version(session: Session) -> Iterable[Line]:
    about = "version of the API server"
    text = session.cluster_version
    numbers = re.match(r"v(\d+)\.(\d+)", text)
    if numbers is None:
        yield not_checked(about, f"it says no version: {text or 'nothing'}")
        return
    version = (int(numbers[1]), int(numbers[2]))
    if version < OLDEST_KUBERNETES:
        yield fails(about, text, f"upgrade the cluster to {_text(OLDEST_KUBERNETES)} or newer")
    elif version > NEWEST:
        fix = "take a newer release of this program, or try it on a cluster for tests first"
        yield warns(about, f"{text}; the charts are tested up to {_text(NEWEST)}", fix)
    else:
        yield ok(about, text)


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _admission(session: Session) -> Iterable[Line]:
    about = f"ValidatingAdmissionPolicy in {ADMISSION}"
    missing = [kind for kind in _RUNS_DENYING_RULES if kind not in session.cluster.kinds(ADMISSION)]
    if missing:
        fix = f"upgrade the cluster to {_text(OLDEST_KUBERNETES)} or newer, or do without `--runtime-config` for it"
        yield fails(about, f"{', '.join(missing)} not served", fix)
    else:
        yield ok(about, "served")


def _needs_admission(session: Session) -> bool:
    return session.planned.policies is not None or bool(session.created.of(_RUNS_DENYING_RULES[0]))


def _clock(session: Session) -> Iterable[Line]:
    answer = session.cluster.get(_VERSION)
    yield clock_line("clock of the API server", answer.headers.get("date", ""), session.outside.now())


def clock_line(about: str, date: str, here: datetime) -> Line:
    """The line about a server's clock, by the date of its answer and the time here."""
    try:
        there = parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return not_checked(about, "its answer has no date")
    if there.tzinfo is None:
        there = there.replace(tzinfo=UTC)
    seconds = round((there - here).total_seconds())
    found = f"{abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} this machine's"
    fix = "let the time service (chrony, systemd-timesyncd) of this machine and of the server set both clocks"
    if abs(seconds) > FAIL_SECONDS:
        return fails(about, f"{found}: tokens and certificates are refused", fix)
    if abs(seconds) > WARN_SECONDS:
        return warns(about, found, fix)
    return ok(about, "as here" if abs(seconds) <= 1 else found)


def _places(session: Session) -> list[tuple[_Address, int]]:
    """The addresses and ports at which the API server serves."""
    endpoints = session.cluster.found(_ENDPOINTS) or {}
    return [
        (ipaddress.ip_address(address["ip"]), int(port["port"]))
        for subset in parts(endpoints, "subsets")
        for address in parts(subset, "addresses")
        for port in parts(subset, "ports")
    ]


def _addresses(session: Session) -> Iterable[Line]:
    """Whether the networks and ports of the stack file hold the API server's own: a policy knows it by these alone."""
    settings, about = session.stack.settings, "addresses of the API server"
    places = _places(session)
    networks = [ipaddress.ip_network(network) for network in settings.api_server_cidrs]
    outside = sorted({str(address) for address, _ in places if not any(address in network for network in networks)})
    closed = sorted({port for _, port in places} - {*settings.api_server_ports})
    if not places:
        yield not_checked(about, "the Endpoints default/kubernetes have none")
    elif closed:
        fix = f"apiServerPorts: {sorted({*settings.api_server_ports, *closed})} in {session.file}"
        yield fails(about, f"it serves at port {', '.join(map(str, closed))}, which the network policies close", fix)
    elif networks and outside:
        fix = f"add them to apiServerCidrs in {session.file}"
        yield fails(
            about, f"{', '.join(outside)}: in none of apiServerCidrs, so that no pod of the platform reaches it", fix
        )
    elif networks:
        yield ok(about, f"{', '.join(sorted({str(address) for address, _ in places}))}: in apiServerCidrs")
    else:
        own = ", ".join(sorted({f"{address}/{address.max_prefixlen}" for address, _ in places}))
        fix = f"apiServerCidrs: [{own}]"
        found = "any, since apiServerCidrs is empty: the platform's pods may reach every network at its ports"
        yield warns(about, found, f"{fix} in {session.file}, or the network that its provider keeps for it")


def _webhook_callers(session: Session) -> Iterable[Line]:
    """Whether the networks from which webhooks may be called hold the API server's own addresses."""
    about = "where webhooks are called from"
    networks = [ipaddress.ip_network(network) for network in session.stack.settings.webhook_cidrs]
    own = sorted({address for address, _ in _places(session)})
    outside = [str(address) for address in own if not any(address in network for network in networks)]
    if not own:
        yield not_checked(about, "the Endpoints default/kubernetes have none")
    elif outside:
        found = f"{', '.join(outside)}: in none of webhookCidrs, so that the API server's own calls are dropped"
        whole = ", ".join(
            (*map(str, networks), *(f"{address}/{ipaddress.ip_address(address).max_prefixlen}" for address in outside))
        )
        fix = f"webhookCidrs: [{whole}] in {session.file}, unless it calls through a tunnel or from the nodes"
        yield warns(about, found, fix)
    else:
        yield ok(about, f"{', '.join(map(str, own))}: in webhookCidrs")


def _webhook_ports(session: Session) -> list[int]:
    """The ports of the pods behind webhooks that the firewall of a private control plane does not open by itself."""
    planned = session.planned
    ports = (
        (planned.policies and not planned.policies.existing, 9443),
        (planned.mesh and not planned.mesh.existing, 15017),
        (planned.vault and planned.vault.injector, 8080),
    )
    return [number for due, number in ports if due]


def _firewall(session: Session) -> Iterable[Line]:
    about, ports = "firewall between the control plane and webhooks", _webhook_ports(session)
    providers = [str(part(node, "spec").get("providerID", "")) for node in session.cluster.objects(_NODES)]
    if not any(provider.startswith("gce://") for provider in providers):
        yield ok(about, "no node is of Google Cloud, whose private control planes reach few ports")
        return
    allowed = ",".join(f"tcp:{number}" for number in ports)
    yield not_checked(
        about,
        f"a private control plane of GKE reaches the nodes at 443 and 10250 alone; due: {', '.join(map(str, ports))}",
        "gcloud compute firewall-rules create zero-trust-webhooks --network NETWORK --target-tags NODE_TAG "
        f"--source-ranges CONTROL_PLANE_RANGE --allow {allowed}",
    )


THEME = Theme(
    "API server",
    (
        Check("version", "version of the API server", _version),
        Check("admission-policies", "kinds of admission", _admission, _needs_admission),
        Check("clock", "clock of the API server", _clock),
        Check("api-addresses", "addresses of the API server", _addresses, lambda s: s.stack.posture.network_policies),
        Check(
            "webhook-callers",
            "where webhooks are called from",
            _webhook_callers,
            lambda s: s.stack.posture.network_policies and bool(s.stack.settings.webhook_cidrs),
        ),
        Check("webhook-firewall", "firewall before webhooks", _firewall, lambda s: bool(_webhook_ports(s))),
    ),
)
