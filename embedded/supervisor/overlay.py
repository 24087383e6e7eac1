"""The overlay (``ZERO_TRUST_OVERLAY``): it tells the program where Vault, an ACME server and the charts are."""

from pathlib import Path

import yaml

from embedded.node.names import VAULT_ADDRESS
from embedded.paths import State
from embedded.supervisor.acme import acme_directory
from embedded.supervisor.layout import api_server_url, vault_url
from embedded.supervisor.pki import ACME, DEPLOYER, VAULT, Pki
from embedded.supervisor.ports import load_ports
from embedded.supervisor.private_files import write_private


def write_overlay(state: State, charts: Path, *, acme: bool = False, node: bool = False) -> None:
    """Write the overlay of a control plane that has its ports, with its ACME server when that runs.

    With a real node Vault has another address for the pods on it.
    """
    pki, ports = Pki(state.pki), load_ports(state.ports)
    deployer = pki.pair(DEPLOYER)
    login = {
        "method": "cert",
        "certFile": str(deployer.certificate),
        "keyFile": str(deployer.key),
        "role": DEPLOYER,
    }
    vault: dict[str, object] = {
        "address": vault_url(ports),
        "caCertFile": str(pki.ca(VAULT)),
        "login": login,
        "deployersCaCertFile": str(pki.ca(VAULT)),
        "kubernetesHost": api_server_url(ports),
        "auditDirectory": str(state.vault),
    }
    if node:
        vault["cidrs"] = [f"{VAULT_ADDRESS}/32"]
    places: dict[str, object] = {"vault": vault, "charts": str(charts)}
    if acme:
        places["acme"] = {"directory": acme_directory(ports), "caBundleFile": str(pki.ca(ACME))}
    write_private(state.overlay, yaml.safe_dump(places, sort_keys=False))
