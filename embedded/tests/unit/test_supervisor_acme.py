"""The ACME server of the embedded stack: where it listens, and that it runs only when it is asked for."""

import json
from pathlib import Path

import pytest
import yaml

from embedded.paths import State
from embedded.supervisor.acme import dns_program, pebble_program
from embedded.supervisor.control_plane import ControlPlane
from embedded.supervisor.features import WANTED
from embedded.supervisor.layout import Layout
from embedded.supervisor.overlay import write_overlay
from embedded.supervisor.pki import Pki

pytestmark = pytest.mark.unit


def test_the_overlay_has_an_acme_server_only_where_one_runs(tmp_path: Path) -> None:
    state = State(tmp_path).create()
    state.ports.write_text(json.dumps({"vault": 20001, "kube-apiserver": 20002, "pebble": 20003}))
    write_overlay(state, Path("/charts"), acme=True)
    overlay = yaml.safe_load(state.overlay.read_text())
    assert overlay["acme"] == {
        "directory": "https://127.0.0.1:20003/dir",
        "caBundleFile": str(tmp_path / "pki" / "acme-ca.crt"),
    }


def test_the_acme_server_and_its_dns_listen_on_loopback_alone(tmp_path: Path) -> None:
    state = State(tmp_path).create()
    names = ("pebble", "pebble-management", "pebble-dns", "pebble-dns-management", "challenges")
    layout = Layout(state, Path("/tools"), {name: 20000 + n for n, name in enumerate(names)}, Pki(state.pki))
    pebble, dns = pebble_program(layout), dns_program(layout)
    config = json.loads((pebble.directory / "config.json").read_text())["pebble"]
    listening = [config["listenAddress"], config["managementListenAddress"]]
    flags = dict(argument.lstrip("-").split("=") for argument in (*dns.arguments[1:], *pebble.arguments[1:]))
    listening += [flags["dnsserver"], flags["management"]]
    assert all(address.startswith("127.0.0.1:") for address in listening)
    assert [flags[name] for name in ("http01", "https01", "tlsalpn01", "doh", "defaultIPv6")] == [""] * 5
    assert config["httpPort"] == 20004


def test_what_was_asked_for_goes_on_until_it_is_forgotten(tmp_path: Path) -> None:
    plane = ControlPlane(State(tmp_path).create())
    assert "acme" not in plane.features
    (plane.state.run / WANTED).write_text(json.dumps({"postgres": True, "acme": True}))
    assert "acme" in plane.features
    plane.features.forget("acme")
    assert "acme" not in plane.features
