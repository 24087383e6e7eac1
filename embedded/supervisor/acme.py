"""An ACME server (Pebble, RFC 8555) and the DNS server that it asks, started only when asked for.

Pebble proves a host by HTTP-01 as Let's Encrypt does: it looks the host up, and asks port 80 there. Here each host is
this machine, and that port is the one of ``challenge_gateway``. Its own keys live as long as its process.
"""

from collections.abc import Mapping
from dataclasses import replace

from embedded.supervisor import probes
from embedded.supervisor.core_programs import host_program
from embedded.supervisor.https_api import HttpsApi
from embedded.supervisor.layout import Layout
from embedded.supervisor.pki import ACME
from embedded.supervisor.ports import LOOPBACK, address
from embedded.supervisor.private_files import write_private_json
from embedded.supervisor.process import Program

PEBBLE, DNS = "pebble", "pebble-challtestsrv"
_DIRECTORY = "/dir"


def acme_directory(ports: Mapping[str, int]) -> str:
    """The address that ACME clients start from."""
    return f"https://{address(ports, PEBBLE)}{_DIRECTORY}"


def dns_program(layout: Layout) -> Program:
    """The DNS server: every name is this machine."""
    arguments = (
        layout.tool(DNS),
        f"-dnsserver={address(layout.ports, 'pebble-dns')}",
        f"-management={address(layout.ports, 'pebble-dns-management')}",
        f"-defaultIPv4={LOOPBACK}",
        "-defaultIPv6=",
        # The challenges are answered by what cert-manager makes for them.
        "-http01=",
        "-https01=",
        "-tlsalpn01=",
        "-doh=",
    )
    return host_program(layout, DNS, arguments, probes.listens(layout.ports["pebble-dns-management"]))


def pebble_program(layout: Layout) -> Program:
    """The ACME server, with a certificate of an authority of its own."""
    pair, ca = layout.pki.pair(PEBBLE), layout.pki.ca(ACME)
    config = {
        "listenAddress": address(layout.ports, PEBBLE),
        "managementListenAddress": address(layout.ports, "pebble-management"),
        "certificate": str(pair.certificate),
        "privateKey": str(pair.key),
        "httpPort": layout.ports["challenges"],
        "tlsPort": layout.ports["challenges"],
        "keyAlgorithm": "ecdsa",
        "retryAfter": {"authz": 1, "order": 1},
    }
    file = layout.directory(PEBBLE) / "config.json"
    write_private_json(file, {"pebble": config})
    arguments = (layout.tool(PEBBLE), f"-config={file}", f"-dnsserver={address(layout.ports, 'pebble-dns')}")
    server = HttpsApi(f"https://{address(layout.ports, PEBBLE)}", ca)
    made = host_program(layout, PEBBLE, arguments, probes.api(server, _DIRECTORY))
    # It would wait up to 15 s before it looks.
    return replace(made, environment={**made.environment, "PEBBLE_VA_NOSLEEP": "1"})
