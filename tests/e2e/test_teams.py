"""Two teams on a platform that neither owns: each deploys from a folder of its own, with the rights of its deployer."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hvac.exceptions
import pytest
import yaml
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from components.kube.names import CATALOGUE_KEY, TEAMS_NAMESPACE, TOKEN_AUDIENCE
from tests.e2e import team_attacks
from tests.e2e.admission import Admission
from tests.e2e.database_shop import ADMIN, DATABASE, FIRST, prepared_postgres
from tests.e2e.plane import Plane, copy_program, requested_token
from tests.e2e.team_stack import TeamStack, YamlStack
from tests.e2e.two_teams import BOOK, CHECKOUT, LEDGER, OPERATORS, PAYMENTS, PIPELINE, PLACEMENT, TEAMS, peer
from tests.support.documentation import of_page
from tests.support.stacks import ROOT
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

PLATFORM_STACK = "production"
EXAMPLE = next(block.text for block in of_page(ROOT / "docs/how-to/teams.md") if "runtime: yaml" in block.text)


@pytest.fixture(scope="module")
def platform(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Plane:
    """The production stack of the checkout, with two teams in its stack file."""
    own = Plane(plane.state, copy_program(tmp_path_factory.mktemp("checkout")))
    postgres = prepared_postgres(own)
    first = own.checkout.parent / "first-password"
    first.write_text(FIRST)
    path = own.checkout / f"Pulumi.{PLATFORM_STACK}.yaml"
    stack = yaml.safe_load(path.read_text())
    stack["config"] |= {
        "zero-trust:teams": TEAMS,
        "zero-trust:placement": PLACEMENT,
        "zero-trust:databases": {
            name: {
                "team": team,
                "host": "127.0.0.1",
                "port": postgres.port,
                "database": DATABASE,
                "adminUser": ADMIN,
                "adminPasswordFile": str(first),
                "tls": False,
            }
            for name, team in (("shop", PAYMENTS),)
        },
    }
    path.write_text(yaml.safe_dump(stack, sort_keys=False))
    own.run("up", "--stack", PLATFORM_STACK)
    return own


@pytest.fixture(scope="module")
def folders(platform: Plane, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TeamStack]:
    parent = tmp_path_factory.mktemp("teams")
    return {team: TeamStack.new(platform, team, parent / team) for team in TEAMS}


@pytest.fixture(scope="module")
def payments(folders: dict[str, TeamStack]) -> TeamStack:
    """The caller's stack, which is up before its callee's."""
    folders[PAYMENTS].write({"checkout": CHECKOUT})
    folders[PAYMENTS].up()
    return folders[PAYMENTS]


@pytest.fixture(scope="module")
def ledger(payments: TeamStack, folders: dict[str, TeamStack]) -> TeamStack:
    folders[LEDGER].write({"book": BOOK})
    folders[LEDGER].up()
    return folders[LEDGER]


class TestATeamsOwnStack:
    @pytest.mark.usefixtures("payments")
    def test_its_service_runs(self, platform: Plane) -> None:
        status = platform.apps.read_namespaced_deployment("checkout", PAYMENTS).status
        assert status.ready_replicas == status.replicas == 2

    def test_a_second_run_changes_nothing(self, payments: TeamStack) -> None:
        assert payments.preview("--expect-no-changes").returncode == 0

    @pytest.mark.usefixtures("payments")
    def test_its_service_reads_its_own_secret_and_no_other(self, platform: Plane) -> None:
        vault = platform.vault_as_service(PAYMENTS, "checkout", "team_payments")
        secret = vault.secrets.kv.v2.read_secret_version("payments/checkout/stripe", raise_on_deleted_version=True)
        assert secret["data"]["data"]["key"]
        for path in ("shop/api/database", "payments/other/stripe", "ledger/book/key"):
            with pytest.raises(hvac.exceptions.Forbidden):
                vault.secrets.kv.v2.read_secret_version(path, raise_on_deleted_version=True)

    @pytest.mark.usefixtures("payments")
    def test_its_users_in_the_database_are_its_own(self, platform: Plane) -> None:
        own = platform.vault_as_service(PAYMENTS, "checkout", "team_payments")
        found: Any = own.read("database/creds/payments.checkout")
        assert found["data"]["username"]
        with pytest.raises(hvac.exceptions.Forbidden):
            platform.vault_as_service(PAYMENTS, "workload", "team_payments").read("database/creds/payments.checkout")

    def test_another_service_of_the_team_does_not_read_it(self, platform: Plane) -> None:
        """The role is the same, and the path is not: it has the name of the account that the API server reviewed."""
        vault = platform.vault_as_service(PAYMENTS, "workload", "team_payments")
        with pytest.raises(hvac.exceptions.Forbidden):
            vault.secrets.kv.v2.read_secret_version("payments/checkout/stripe", raise_on_deleted_version=True)

    @pytest.mark.usefixtures("ledger")
    def test_no_other_team_logs_in_as_it(self, platform: Plane) -> None:
        with pytest.raises((hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest)):
            platform.vault_as_service(LEDGER, "book", "team_payments")


class TestWhoDeploysAsATeam:
    @pytest.mark.parametrize("identity", [(PIPELINE,), ("ann", OPERATORS)], ids=["pipeline", "member"])
    def test_it_gets_tokens_of_the_teams_deployer_alone(self, platform: Plane, identity: tuple[str, ...]) -> None:
        core: Any = client.CoreV1Api(platform.client_of(*identity))
        assert requested_token(core, TEAMS_NAMESPACE, PAYMENTS, TOKEN_AUDIENCE)
        for namespace, account in ((TEAMS_NAMESPACE, LEDGER), (PAYMENTS, "workload"), (LEDGER, "workload")):
            with pytest.raises(ApiException, match="Forbidden"):
                requested_token(core, namespace, account, TOKEN_AUDIENCE)
        with pytest.raises(ApiException, match="Forbidden"):
            core.list_namespaced_config_map(PAYMENTS)

    def test_nobody_else_gets_one(self, platform: Plane) -> None:
        core = client.CoreV1Api(platform.client_of("ci:other"))
        with pytest.raises(ApiException, match="Forbidden"):
            requested_token(core, TEAMS_NAMESPACE, PAYMENTS, TOKEN_AUDIENCE)


class TestACallBetweenTwoStacks:
    @pytest.mark.usefixtures("payments", "ledger")
    def test_each_stack_makes_its_own_half(self, platform: Plane) -> None:
        networking: Any = platform.networking
        out = networking.read_namespaced_network_policy("checkout", PAYMENTS).spec.egress
        into = networking.read_namespaced_network_policy("book", LEDGER).spec.ingress
        assert ((LEDGER, "book"), 8080) in [(peer(rule.to), rule.ports[0].port) for rule in out]
        assert [(peer(rule._from), rule.ports[0].port) for rule in into] == [((PAYMENTS, "checkout"), 8080)]
        [rule] = platform.objects.get_namespaced_custom_object(
            "security.istio.io", "v1", LEDGER, "authorizationpolicies", "book"
        )["spec"]["rules"]
        assert rule["from"][0]["source"]["principals"] == ["cluster.local/ns/payments/sa/checkout"]


class TestSeveralAtOnce:
    def test_two_teams_and_the_platform_bring_their_stacks_up(
        self, platform: Plane, payments: TeamStack, ledger: TeamStack
    ) -> None:
        """Each has a state and rights of its own: none waits for another, or ends its run."""
        payments.write({"checkout": {**CHECKOUT, "image": CHECKOUT["image"].replace("v1.0.0", "v1.0.1")}})
        ledger.write({"book": {**BOOK, "image": BOOK["image"].replace("v1.0.0", "v1.0.1")}})
        with ThreadPoolExecutor() as pool:
            running = [pool.submit(platform.run, "up", "--stack", PLATFORM_STACK)]
            running += [pool.submit(each.up) for each in (payments, ledger)]
            for each in running:
                each.result()
        for team, name in ((PAYMENTS, "checkout"), (LEDGER, "book")):
            [container] = platform.apps.read_namespaced_deployment(name, team).spec.template.spec.containers
            assert container.image.endswith(":v1.0.1")
        assert payments.preview("--expect-no-changes").returncode == 0


class TestWhatThePlatformTells:
    @pytest.mark.usefixtures("payments")
    def test_a_team_reads_what_it_is_told_and_not_what_another_is(self, platform: Plane) -> None:
        core = platform.core_as(TEAMS_NAMESPACE, PAYMENTS)
        told = json.loads(core.read_namespaced_config_map(PAYMENTS, TEAMS_NAMESPACE).data[CATALOGUE_KEY])
        assert told["team"]["namespaces"] == [PAYMENTS]
        with pytest.raises(ApiException, match="Forbidden"):
            core.read_namespaced_config_map(LEDGER, TEAMS_NAMESPACE)

    @pytest.mark.usefixtures("payments")
    def test_no_team_writes_it(self, platform: Plane) -> None:
        core = platform.core_as(TEAMS_NAMESPACE, PAYMENTS)
        body = {"data": {CATALOGUE_KEY: "{}"}}
        with pytest.raises(ApiException, match="Forbidden"):
            core.patch_namespaced_config_map(PAYMENTS, TEAMS_NAMESPACE, body)

    @pytest.fixture
    def newer(self, platform: Plane) -> Iterator[None]:
        """A platform of the next version."""
        before = platform.core.read_namespaced_config_map(PAYMENTS, TEAMS_NAMESPACE).data[CATALOGUE_KEY]
        later = json.dumps({**json.loads(before), "version": 2})
        platform.core.patch_namespaced_config_map(PAYMENTS, TEAMS_NAMESPACE, {"data": {CATALOGUE_KEY: later}})
        yield
        platform.core.patch_namespaced_config_map(PAYMENTS, TEAMS_NAMESPACE, {"data": {CATALOGUE_KEY: before}})

    @pytest.mark.usefixtures("newer")
    def test_a_newer_platform_is_refused_with_what_to_upgrade(self, payments: TeamStack) -> None:
        refused = payments.preview(check=False)
        assert refused.returncode != 0
        assert "upgrade the package in this team's requirements" in " ".join(refused.stdout.split())


NOT_GRANTED = [(why, name) for why, attacks in team_attacks.NOT_GRANTED.items() for name in attacks]


class TestWhatADeployerMayNotDo:
    @pytest.fixture(scope="class")
    @classmethod
    def deployer(cls, platform: Plane, payments: TeamStack) -> Admission:
        platform.objects.create_cluster_custom_object(
            "scheduling.k8s.io", "v1", "priorityclasses", {"metadata": {"name": "high"}, "value": 10}
        )
        return Admission(platform, ["team-grants"], platform.client_as(TEAMS_NAMESPACE, payments.team))

    @pytest.mark.parametrize("attack", team_attacks.WITHOUT_RIGHT)
    def test_it_has_no_right_to(self, deployer: Admission, attack: str) -> None:
        manifest = team_attacks.WITHOUT_RIGHT[attack]
        said = deployer.dry_run("POST", manifest, manifest["metadata"]["namespace"]).message
        assert f"{TEAMS_NAMESPACE}:{PAYMENTS}" in said
        assert "cannot create resource" in said

    @pytest.mark.parametrize(("why", "attack"), NOT_GRANTED)
    def test_admission_refuses(self, deployer: Admission, why: str, attack: str) -> None:
        outcome = deployer.dry_run("POST", team_attacks.NOT_GRANTED[why][attack], PAYMENTS)
        # Of two policies that refuse, the API server names one.
        by_grants = outcome.rules == {"team-grants"} and why in outcome.message
        assert by_grants or "public-hosts" in outcome.message, outcome.message

    @pytest.mark.parametrize("attack", team_attacks.PAST_THE_MESH)
    def test_a_rule_refuses(self, platform: Plane, payments: TeamStack, attack: str) -> None:
        deployer = Admission(platform, ["disallow-proxy-user"], platform.client_as(TEAMS_NAMESPACE, payments.team))
        assert deployer.dry_run("POST", team_attacks.PAST_THE_MESH[attack], PAYMENTS).rules == {"disallow-proxy-user"}

    @pytest.mark.parametrize("granted", team_attacks.GRANTED)
    def test_what_is_approved_is_admitted(self, deployer: Admission, granted: str) -> None:
        assert not deployer.dry_run("POST", team_attacks.GRANTED[granted], PAYMENTS).message

    def test_the_same_is_admitted_from_the_platform(self, platform: Plane) -> None:
        """So the refusals come of who asks, and not of an object that nobody may have."""
        administrator = Admission(platform, ["team-grants"])
        for attacks in team_attacks.NOT_GRANTED.values():
            for manifest in attacks.values():
                assert not administrator.dry_run("POST", manifest, PAYMENTS).rules

    @pytest.mark.parametrize("body", [{"labels": {"istio-injection": "disabled"}}, {"labels": {"team": LEDGER}}])
    def test_it_moves_no_namespace(self, deployer: Admission, body: dict[str, Any]) -> None:
        own = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PAYMENTS, **body}}
        assert "cannot update resource" in deployer.dry_run("PUT", own, "").message

    def test_it_takes_away_no_default_deny(self, deployer: Admission) -> None:
        path = f"/apis/networking.k8s.io/v1/namespaces/{PAYMENTS}/networkpolicies/default-deny"
        assert "a network policy that the platform makes" in deployer.answer("DELETE", path)

    def test_it_takes_no_host_of_another_team(self, deployer: Admission) -> None:
        spec = {"hostnames": ["api.example.org"], "parentRefs": [{"name": "public", "namespace": "istio-ingress"}]}
        route = team_attacks.thing("gateway.networking.k8s.io/v1", "HTTPRoute", spec)
        assert "payments may not name the host api.example.org" in deployer.dry_run("POST", route, PAYMENTS).message

    @pytest.mark.parametrize(
        "path",
        [
            f"/api/v1/namespaces/{PAYMENTS}/serviceaccounts/checkout/token",
            f"/api/v1/namespaces/{TEAMS_NAMESPACE}/serviceaccounts/{LEDGER}/token",
        ],
    )
    def test_it_makes_no_token(self, deployer: Admission, path: str) -> None:
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["vault"]}}
        assert "cannot create resource" in deployer.answer("POST", path, request)

    @pytest.mark.parametrize("path", team_attacks.OF_OTHERS)
    def test_it_reads_nothing_of_others(self, deployer: Admission, path: str) -> None:
        assert "is forbidden" in deployer.answer("GET", path)


class TestWhatADeployerMayNotDoInVault:
    @pytest.fixture
    def deployer(self, platform: Plane, payments: TeamStack) -> hvac.Client:
        anonymous = platform.vault()
        token = platform.token(TEAMS_NAMESPACE, payments.team, "vault")
        answer = anonymous.auth.kubernetes.login(role="team_deployer_payments", jwt=token)
        return platform.vault(answer["auth"]["client_token"])

    @pytest.mark.parametrize("path", team_attacks.WRITTEN_IN_VAULT)
    def test_it_writes_nothing_but_its_own(self, deployer: hvac.Client, path: str) -> None:
        with pytest.raises(hvac.exceptions.Forbidden):
            deployer.write(path, wrap_ttl=None, db_name="shop", policy='path "*" { capabilities = ["read"] }', data={})

    @pytest.mark.parametrize("database", ["other", None])
    def test_its_users_are_in_its_own_database(self, deployer: hvac.Client, database: str | None) -> None:
        fields = {"db_name": database} if database else {}
        with pytest.raises(
            (hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest, hvac.exceptions.InternalServerError)
        ):
            deployer.write("database/roles/payments.new", wrap_ttl=None, creation_statements=["SELECT 1"], **fields)

    @pytest.mark.parametrize("path", team_attacks.READ_IN_VAULT)
    def test_it_reads_no_secret_and_no_right(self, deployer: hvac.Client, path: str) -> None:
        for read in (deployer.read, deployer.list):
            with pytest.raises(hvac.exceptions.Forbidden):
                read(path)

    def test_nobody_else_logs_in_as_it(self, platform: Plane, payments: TeamStack) -> None:
        for namespace, account in ((TEAMS_NAMESPACE, LEDGER), (PAYMENTS, "checkout")):
            with pytest.raises((hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest)):
                platform.vault_as_service(namespace, account, f"team_deployer_{payments.team}")


class TestSomebodyElseInATeamsNamespace:
    @pytest.mark.usefixtures("payments")
    def test_the_role_edit_changes_nothing_of_its_services(self, platform: Plane) -> None:
        rbac: Any = client.RbacAuthorizationV1Api(platform.api)
        platform.core.create_namespaced_service_account("default", {"metadata": {"name": "tenant"}})
        subject = {"kind": "ServiceAccount", "name": "tenant", "namespace": "default"}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}
        body = {"metadata": {"name": "tenant"}, "roleRef": reference, "subjects": [subject]}
        rbac.create_namespaced_role_binding(PAYMENTS, body)
        tenant = Admission(platform, ["service-objects"], platform.client_as("default", "tenant"))
        spec = {"selector": {"app": "checkout"}, "ports": [{"port": 80}]}
        service = team_attacks.thing("v1", "Service", spec)
        eventually(lambda: "service-objects" in tenant.dry_run("POST", service, PAYMENTS).message, "it is refused")


class TestAProgramInAnotherLanguage:
    """The program of docs/how-to/teams.md, which is YAML: its services come through the package."""

    @pytest.fixture(scope="class")
    @classmethod
    def stack(cls, platform: Plane, tmp_path_factory: pytest.TempPathFactory) -> YamlStack:
        made = YamlStack.new(platform, LEDGER, tmp_path_factory.mktemp("languages") / "archive")
        made.write_program(EXAMPLE)
        made.up()
        return made

    def test_its_service_runs_with_the_rights_of_its_team(self, platform: Plane, stack: YamlStack) -> None:
        status = platform.apps.read_namespaced_deployment("archive", LEDGER).status
        assert status.ready_replicas == status.replicas == 2
        assert json.loads(stack.pulumi("stack", "output", "--json").stdout) == {"namespace": LEDGER}

    @pytest.mark.usefixtures("stack")
    def test_its_service_reads_its_own_secret(self, platform: Plane) -> None:
        vault = platform.vault_as_service(LEDGER, "archive", "team_ledger")
        secret = vault.secrets.kv.v2.read_secret_version("ledger/archive/signing", raise_on_deleted_version=True)
        assert secret["data"]["data"]["key"]

    def test_a_second_run_changes_nothing(self, stack: YamlStack) -> None:
        assert stack.preview("--expect-no-changes").returncode == 0

    def test_what_a_service_may_not_say_is_refused_with_its_key(self, stack: YamlStack) -> None:
        stack.write_program(EXAMPLE.replace("image: registry.example.org/", "image: docker.io/"))
        said = " ".join(stack.preview(check=False).stdout.split())
        assert "service: image: not from an approved registry" in said
        assert "Traceback" not in said

    def test_another_platform_than_the_cluster_s_gives_no_right(self, platform: Plane, stack: YamlStack) -> None:
        """The program says what the platform told it: here that the other team's namespace is its own, too."""
        told = json.loads(platform.core.read_namespaced_config_map(LEDGER, TEAMS_NAMESPACE).data[CATALOGUE_KEY])
        told["team"]["namespaces"] = [LEDGER, PAYMENTS]
        program = yaml.safe_load(EXAMPLE)
        program["resources"]["archive"]["properties"]["platform"] = json.dumps(told)
        program["resources"]["archive"]["properties"]["service"]["namespace"] = PAYMENTS
        stack.write_program(yaml.safe_dump(program))
        refused = stack.up(check=False)
        assert refused.returncode != 0
        assert f"{TEAMS_NAMESPACE}:{LEDGER}" in refused.stdout
        with pytest.raises(ApiException, match="Not Found"):
            platform.apps.read_namespaced_deployment("archive", PAYMENTS)


class TestTheEnd:
    def test_one_team_s_mistake_is_its_own(self, payments: TeamStack, ledger: TeamStack) -> None:
        payments.write({"checkout": {**CHECKOUT, "image": "docker.io/else/checkout:v1"}})
        assert "not from an approved registry" in payments.preview(check=False).stdout
        assert ledger.preview("--expect-no-changes").returncode == 0

    @pytest.mark.usefixtures("ledger")
    def test_a_team_takes_its_stack_away(self, platform: Plane, payments: TeamStack) -> None:
        payments.write({"checkout": CHECKOUT})
        payments.destroy()
        eventually(lambda: not platform.core.list_namespaced_pod(PAYMENTS).items, "no pod of the team is left")
        assert platform.apps.read_namespaced_deployment("book", LEDGER).status.ready_replicas
