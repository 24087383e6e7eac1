"""A service of a team's own stack: what its file may say, and what the platform tells its program."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from components.program.plan import plan
from components.program.plans.teams import text
from components.schema.problem import ConfigError
from components.service.args.document import VERSION, Platform, document, read_document, schema
from components.service.args.service import SecureServiceArgs
from components.service.args.team import team_args
from components.service.manifests.network_policy import network_policy_spec
from components.service.manifests.vault import injector_annotations
from components.service.manifests.workload import container
from tests.support.stacks import ENVIRONMENTS, stack

pytestmark = pytest.mark.unit

TEAMS = {
    "payments": {"namespaces": ["payments"], "hosts": {"payments": ["pay.example.org"]}},
    "ledger": {"namespaces": ["ledger", "archive"]},
}
SMALL = """\
namespace: payments
team: payments
image: registry.example.org/payments/checkout:v1
port: 8080
"""
VARIABLES = """\
command: [bin/serve]
secrets: {stripe: {generate: [key]}}
secretEnv:
  variables: {STRIPE_KEY: stripe/key}
  reason: the image reads no files
  owner: payments
  granted: 2026-11-01
  expires: 2026-12-24
"""
EXCEPTED = {
    "rule": "require-probes",
    "namespace": "payments",
    "serviceAccount": "checkout",
    "reason": "the image has no endpoint yet",
    "owner": "payments",
    "granted": "2026-11-01",
    "expires": "2026-12-24",
}
EXCEPTION = """\
exceptions:
  - rule: require-probes
    reason: the image has no endpoint yet
    owner: payments
    granted: 2026-11-01
    expires: 2026-12-24
"""


def platform(environment: str = "production", team: str = "payments", **changes: Any) -> Platform:
    """What the platform tells a team, as that team's program reads it."""
    told = plan(stack(environment, teams=TEAMS, asOf="2026-11-02", **changes)).platforms[team]
    return read_document(text(told), "the cluster")


def service(tmp_path: Path, file: str, told: Platform | None = None) -> SecureServiceArgs:
    path = tmp_path / "checkout.yaml"
    path.write_text(file)
    return team_args(path, told or platform(), lambda: date(2026, 11, 2))


class TestTheDocument:
    @pytest.mark.parametrize("environment", ENVIRONMENTS)
    def test_what_is_read_is_what_was_written(self, environment: str) -> None:
        written = plan(stack(environment, teams=TEAMS)).platforms["payments"]
        assert document(read_document(text(written), "the cluster")) == document(written)

    def test_its_shape_belongs_to_its_version(self, snapshot: SnapshotAssertion) -> None:
        """A difference here is a new version: teams with the older package must be told what to upgrade."""
        assert {"version": VERSION, "schema": schema()} == snapshot

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"version": VERSION + 1}, "the platform is newer .* upgrade the package in this team's requirements"),
            ({"version": VERSION - 1}, "the platform is older .* ask its team to upgrade it"),
            ({"version": None}, "no version of a platform"),
            ({"version": True}, "no version of a platform"),
            ({"replicas": "many"}, "replicas: no document of version 1 has this"),
            ({"trust": "me"}, "trust: no document of version 1 has this"),
        ],
    )
    def test_another_is_refused(self, changes: dict[str, Any], error: str) -> None:
        written = {**document(platform()), **changes}
        with pytest.raises(ConfigError, match=error):
            read_document(json.dumps(written), "the cluster")

    def test_a_field_that_nobody_reads_is_refused_however_deep(self) -> None:
        written = document(platform())
        written["terms"]["mesh"]["waypoint"] = "on"
        with pytest.raises(ConfigError, match=r"terms\.mesh\.waypoint: no document"):
            read_document(json.dumps(written), "the cluster")

    @pytest.mark.parametrize("broken", ["", "[]", "no: json"])
    def test_what_is_no_document_is_refused(self, broken: str) -> None:
        with pytest.raises(ConfigError, match="no platform wrote it"):
            read_document(broken, "the cluster")

    def test_it_has_nothing_of_another_team(self) -> None:
        written = text(platform(team="ledger"))
        assert "pay.example.org" not in written
        assert "team_payments" not in written


class TestAService:
    def test_a_host_that_the_platforms_gateway_serves_is_behind_it(self, tmp_path: Path) -> None:
        approved = {"egress": ["login.example.org", "pay.example.net"]}
        teams = {**TEAMS, "payments": {**TEAMS["payments"], "approved": approved}}
        ingress = {"acmeEmail": "ops@example.org", "domain": "example.org"}
        told = plan(stack("production", teams=teams, ingress=ingress, asOf="2026-11-02")).platforms["payments"]
        assert told.terms.ingress.leads_to("login.example.org")
        assert not told.terms.ingress.leads_to("pay.example.net")
        file = SMALL + "egress: [{host: login.example.org, port: 443}]\n"
        made = service(tmp_path, file, read_document(text(told), "the cluster"))
        peers = [peer for rule in network_policy_spec(made)["egress"] for peer in rule["to"]]
        assert told.terms.ingress.pods in peers

    def test_it_has_no_role_of_its_own_in_vault(self, tmp_path: Path) -> None:
        made = service(tmp_path, SMALL + "secrets: {stripe: {generate: [key]}}\n")
        assert injector_annotations(made)["vault.hashicorp.com/role"] == "team_payments"
        assert made.platform.vault.role == "team_payments"

    def test_it_joins_a_mesh_and_a_kyverno_that_are_elsewhere(self, tmp_path: Path) -> None:
        told = platform(
            mesh={"mode": "existing", "namespace": "mesh-root"}, kyverno={"mode": "existing", "namespace": "policy"}
        )
        assert told.terms.layers.kyverno == "policy"
        egress = network_policy_spec(service(tmp_path, SMALL, told))["egress"]
        [istiod] = [rule["to"] for rule in egress if rule["ports"][0]["port"] == 15012]
        assert istiod[0]["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "mesh-root"}}

    def test_its_secrets_become_variables_by_its_own_login(self, tmp_path: Path) -> None:
        args = service(tmp_path, f"{SMALL}{VARIABLES}")
        annotations = injector_annotations(args)
        assert annotations["vault.hashicorp.com/role"] == "team_payments"
        assert annotations["vault.hashicorp.com/agent-inject-secret-env.0"] == "secret/data/payments/checkout/stripe"
        # A shell reads the file: nothing of it is in the pod's spec.
        assert "env" not in container(args)
        assert "zt_read /vault/secrets/.env.STRIPE_KEY" in container(args)["command"][2]

    def test_a_call_to_another_stack_makes_the_callers_half(self, tmp_path: Path) -> None:
        made = service(tmp_path, SMALL + "calls: [ledger/book:8443]\n")
        [call] = made.calls
        assert (str(call.service), call.port) == ("ledger/book", 8443)
        assert network_policy_spec(made)["egress"][-1]["ports"] == [{"port": 8443, "protocol": "TCP"}]

    def test_a_consent_makes_the_callees_half(self, tmp_path: Path) -> None:
        made = service(tmp_path, SMALL + "callers: [ledger/book, shop/api]\n")
        assert [(str(peer.service), peer.port) for peer in made.called_by] == [
            ("ledger/book", 8080),
            ("shop/api", 8080),
        ]

    def test_what_the_platform_excepted_is_not_made_again(self, tmp_path: Path) -> None:
        told = platform(kyverno={"exceptions": [EXCEPTED]})
        assert not service(tmp_path, SMALL + EXCEPTION, told).exceptions

    @pytest.mark.parametrize(
        ("file", "error"),
        [
            (SMALL.replace("team: payments", "team: ledger"), r"checkout\.yaml:2: team: this stack is that of another"),
            (
                SMALL.replace("namespace: payments", "namespace: ledger"),
                r"yaml:1: namespace: no namespace of",
            ),
            (SMALL + "host: shop.example.org\n", r"5: host: no host of payments: .*teams\.payments\.hosts\.payments"),
            (
                SMALL + "calls: [ledger/book]\n",
                r"5: calls\[0\]: .*the number of its port, such as ledger/book:8080",
            ),
            (SMALL + "calls: [nobody/book:80]\n", "calls: no such service"),
            (SMALL + "callers: [nobody/book]\n", r"callers\[0\]: no such service"),
            (SMALL + "secrets: {a: {from: ledger/book/key}}\n", r"secrets\.a\.from: the rights to it"),
            (SMALL + "secrets: {a: {generate: [k], readers: [ledger/book]}}\n", r"secrets\.a\.readers: the rights"),
            (SMALL + "leaderElection: true\n", "leaderElection: a team's deployer has no right"),
            (SMALL + "host: pay.example.org\nrateLimit: none\n", "rateLimit: the gateway is the platform's"),
            (SMALL + "host: pay.example.org\nhostUsers: {ledger/a: [/a]}\n", "hostUsers: a host that two namespaces"),
            (SMALL + EXCEPTION, r"exceptions\[0\]\.rule: the platform has not excepted payments/checkout"),
            (SMALL.replace("registry.example.org", "docker.io"), "not from an approved registry"),
        ],
    )
    def test_what_is_the_platforms_is_refused_at_its_line(self, tmp_path: Path, file: str, error: str) -> None:
        with pytest.raises(ConfigError, match=error):
            service(tmp_path, file)

    def test_a_job_has_a_name_of_its_own_and_so_no_secret(self, tmp_path: Path) -> None:
        file = SMALL + "secrets: {a: {generate: [k]}}\njobs: {clean: {command: [clean], secrets: [a]}}\n"
        with pytest.raises(ConfigError, match=r"jobs\.clean\.secrets: in a team's stack"):
            service(tmp_path, file)
