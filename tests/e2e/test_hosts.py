"""A host belongs to a namespace: what an account with the role `edit`, and with every right that can be given by hand,
may name in its own namespace, and what nobody may."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from kubernetes import client

from components.ingress.public_hosts import JUDGED
from components.kube.names import PUBLIC_HOSTS
from tests.e2e import host_claims
from tests.e2e.admission import Admission, RefusedError
from tests.e2e.attack_weakenings import ADMISSION, RBAC, call, collection
from tests.e2e.plane import Plane, copy_program
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

STACK = "production"
TEAM, OWN, OTHER = "host-team", "www.team.example.org", "api.example.org"
BUILDER = "host-builder"
RIGHT, WRONG = host_claims.right(OWN, TEAM), host_claims.wrong(OWN, OTHER)
BY_EDIT = tuple(name for name, claim in WRONG.items() if claim["kind"] in ("Ingress", "Service"))

# Fields with these names stand for hosts or for what a certificate says of its holder.
FIELDS = frozenset(
    {
        *("host", "hosts", "hostname", "hostnames", "dnsName", "dnsNames", "commonName", "literalSubject"),
        *("ipAddresses", "uris", "emailAddresses", "otherNames"),
    }
)
NO_CLAIM: Mapping[str, str] = {
    "authorizationpolicies.security.istio.io": "a condition on requests",
    "backendtlspolicies.gateway.networking.k8s.io": "the name that a backend's certificate must have",
    "destinationrules.networking.istio.io": "how clients connect, in the namespace of the rule or of the host",
    "issuers.cert-manager.io": "where an issuer is; what it may sign is in a Certificate",
    "sidecars.networking.istio.io": "what the proxies of the namespace know",
    "workloadgroups.networking.istio.io": "where a probe goes",
}


@pytest.fixture(scope="module")
def production(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Plane:
    """The stack with hosts of a namespace that is not the program's."""
    own = Plane(plane.state, copy_program(tmp_path_factory.mktemp("checkout")))
    path = own.checkout / f"Pulumi.{STACK}.yaml"
    file = yaml.safe_load(path.read_text())
    file["config"]["zero-trust:ingress"] |= {"hosts": {TEAM: [OWN, "*.apps.team.example.org"]}}
    path.write_text(yaml.safe_dump(file))
    own.stand(STACK)
    return own


@pytest.fixture(scope="module")
def team(production: Plane) -> Iterator[None]:
    """That namespace."""
    production.core.create_namespace({"metadata": {"name": TEAM}})
    yield
    production.core.delete_namespace(TEAM)


@pytest.fixture(scope="module")
def editor(production: Plane, team: None) -> Iterator[Admission]:
    """The API server as an account with the role `edit` in the namespace sees it."""
    with _account(production, f"{BUILDER}-edit") as account:
        _bind(production, f"{BUILDER}-edit", "ClusterRole", "edit")
        yield account


@pytest.fixture(scope="module")
def builder(production: Plane, team: None) -> Iterator[Admission]:
    """The API server as an account sees it that has every right on what names hosts, in its namespace."""
    rbac: Any = client.RbacAuthorizationV1Api(production.api)
    with _account(production, BUILDER) as account:
        rules = [{"apiGroups": [group], "resources": list(kinds), "verbs": ["*"]} for group, kinds in JUDGED.items()]
        rbac.create_namespaced_role(TEAM, {"metadata": {"name": BUILDER}, "rules": rules})
        _bind(production, BUILDER, "Role", BUILDER)
        yield account


@contextmanager
def _account(plane: Plane, name: str) -> Iterator[Admission]:
    plane.core.create_namespaced_service_account("default", {"metadata": {"name": name}})
    yield Admission(plane, [PUBLIC_HOSTS], plane.client_as("default", name))
    plane.core.delete_namespaced_service_account(name, "default")


def _bind(plane: Plane, account: str, kind: str, role: str) -> None:
    """Bind it in the namespace, whose end is the end of this."""
    rbac: Any = client.RbacAuthorizationV1Api(plane.api)
    subject = {"kind": "ServiceAccount", "name": account, "namespace": "default"}
    reference = {"apiGroup": RBAC.partition("/")[0], "kind": kind, "name": role}
    rbac.create_namespaced_role_binding(
        TEAM, {"metadata": {"name": account}, "roleRef": reference, "subjects": [subject]}
    )


@contextmanager
def without_the_policy(plane: Plane) -> Iterator[None]:
    """Take the binding away, and bring it back as its own field manager's, so that a refresh finds nothing changed."""
    path = f"{collection(ADMISSION, 'validatingadmissionpolicybindings')}/{PUBLIC_HOSTS}"
    api: Any = plane.api
    binding: Any = api.sanitize_for_serialization(
        plane.admission.read_validating_admission_policy_binding(PUBLIC_HOSTS)
    )
    plane.admission.delete_validating_admission_policy_binding(PUBLIC_HOSTS)
    try:
        yield
    finally:
        metadata, spec = binding["metadata"], binding["spec"]
        resources = {"namespaceSelector": spec["matchResources"]["namespaceSelector"]}
        body = {
            "apiVersion": ADMISSION,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {key: metadata[key] for key in ("name", "labels", "annotations") if key in metadata},
            "spec": {**spec, "matchResources": resources},
        }
        status, text = plane.apply(path, metadata["managedFields"][0]["manager"], body)
        assert status < 400, text


def refused(account: Admission, claim: dict[str, Any]) -> bool:
    """Whether this policy refuses it, once the account has its rights."""

    def answer() -> str:
        said = account.dry_run("POST", claim, TEAM).message or "admitted"
        # Rights are known a moment after they are given.
        return "" if "is forbidden: User" in said else said

    return PUBLIC_HOSTS in eventually(answer, "an answer of admission")


class TestClaims:
    @pytest.mark.parametrize("name", RIGHT)
    def test_a_host_of_the_namespace_is_named(self, builder: Admission, name: str) -> None:
        eventually(lambda: not builder.dry_run("POST", RIGHT[name], TEAM).message, f"{name} is admitted")

    @pytest.mark.parametrize("name", WRONG)
    def test_any_other_is_refused(self, builder: Admission, name: str) -> None:
        assert refused(builder, WRONG[name])

    @pytest.mark.parametrize("name", BY_EDIT)
    def test_the_role_edit_names_no_other(self, editor: Admission, name: str) -> None:
        assert refused(editor, WRONG[name])

    def test_what_is_below_a_domain_of_the_namespace_is_its_own(self, builder: Admission) -> None:
        for host in ("a.apps.team.example.org", "*.apps.team.example.org"):
            assert not refused(builder, host_claims.ingress(host))
        assert refused(builder, host_claims.ingress("apps.team.example.org"))

    def test_a_refusal_names_the_host_and_those_of_the_namespace(self, builder: Admission) -> None:
        said = builder.dry_run("POST", host_claims.ingress(OTHER), TEAM).message
        assert f"may not name the host {OTHER}; {TEAM} has *.apps.team.example.org, {OWN}" in said

    @pytest.mark.usefixtures("team")
    def test_not_even_the_deployer_names_anothers(self, production: Plane) -> None:
        admin = Admission(production, [PUBLIC_HOSTS])
        for claim in (host_claims.ingress(OTHER), host_claims.route("HTTPRoute", OTHER), host_claims.ingress("")):
            with pytest.raises(RefusedError, match=PUBLIC_HOSTS):
                admin.request("POST", claim, TEAM)

    @pytest.mark.usefixtures("team")
    def test_the_deployer_names_a_host_that_the_policy_is_about_to_have(self, production: Plane) -> None:
        admin = Admission(production, [PUBLIC_HOSTS])
        claim = host_claims.ingress("new.example.net")
        admin.request("POST", claim, TEAM)
        admin.request("DELETE", claim, TEAM)

    def test_cert_manager_answers_a_challenge_and_nobody_else_by_its_labels(
        self, production: Plane, builder: Admission
    ) -> None:
        solver = host_claims.ingress(OTHER)
        solver["metadata"]["labels"] = {"acme.cert-manager.io/http01-solver": "true"}
        own = Admission(production, [PUBLIC_HOSTS], production.client_as("cert-manager", "cert-manager"))
        assert not own.dry_run("POST", solver, TEAM).message
        assert refused(builder, solver)


class TestWithoutThePolicy:
    """The switched-off twin: the binding goes, and comes back."""

    def test_a_host_is_anybodys(self, production: Plane, builder: Admission) -> None:
        taken = host_claims.ingress(OTHER)
        assert refused(builder, taken)
        with without_the_policy(production):
            for name in ("an Ingress without a host", "a Certificate", "a Gateway of Istio for all hosts"):
                eventually(lambda name=name: not refused(builder, WRONG[name]), f"{name} is admitted")
            builder.request("POST", taken, TEAM)
            self._the_listener_refuses(production, builder)
        eventually(lambda: refused(builder, host_claims.route("HTTPRoute", OTHER)), "the policy is back")
        self._only_what_it_names_is_judged(builder, taken)

    def _the_listener_refuses(self, plane: Plane, builder: Admission) -> None:
        """A route of another namespace for the host of a listener: istiod does not accept it."""
        builder.request("POST", host_claims.route("HTTPRoute", OTHER), TEAM)
        accepted = eventually(lambda: _accepted(plane, TEAM, "claim"), "istiod judges the route")
        assert (accepted["status"], accepted["reason"]) == ("False", "NotAllowedByListeners")
        assert _accepted(plane, "shop", "api")["status"] == "True"

    def _only_what_it_names_is_judged(self, builder: Admission, taken: dict[str, Any]) -> None:
        """What was created before keeps its labels and finalizers, and gets no new spec."""
        body = builder.request("GET", taken, TEAM)
        body["metadata"]["labels"] = {"seen": "yes"}
        assert not builder.dry_run("PUT", body, TEAM).message
        body["spec"]["rules"][0]["http"]["paths"][0]["path"] = "/other"
        assert PUBLIC_HOSTS in builder.dry_run("PUT", body, TEAM).message


def _accepted(plane: Plane, namespace: str, name: str) -> dict[str, Any]:
    route = plane.objects.get_namespaced_custom_object("gateway.networking.k8s.io", "v1", namespace, "httproutes", name)
    conditions = [each for parent in route.get("status", {}).get("parents", []) for each in parent["conditions"]]
    return next((each for each in conditions if each["type"] == "Accepted"), {})


class TestKinds:
    def test_each_kind_with_a_host_is_judged_or_claims_none(self, production: Plane) -> None:
        naming = {name for name, fields in _fields_of(production).items() if fields}
        judged = {f"{kind}.{group}" for group, kinds in JUDGED.items() for kind in kinds}
        assert naming <= judged | set(NO_CLAIM)
        assert set(NO_CLAIM) <= naming
        assert not judged & set(NO_CLAIM)

    def test_each_kind_that_is_judged_is_known_to_the_cluster(self, production: Plane) -> None:
        ours = {f"{kind}.{group}" for group, kinds in JUDGED.items() for kind in kinds if "." in group}
        assert ours - {"ingresses.networking.k8s.io"} <= set(_fields_of(production))


def _fields_of(plane: Plane) -> dict[str, set[str]]:
    """The fields that may name hosts in the spec of each kind that lives in namespaces."""
    found: dict[str, set[str]] = {}
    for definition in call(plane, "GET", collection("apiextensions.k8s.io/v1", "customresourcedefinitions"))["items"]:
        spec = definition["spec"]
        if spec["scope"] == "Namespaced":
            schemas = [version["schema"]["openAPIV3Schema"].get("properties", {}) for version in spec["versions"]]
            names = {name for schema in schemas for name in _names(schema.get("spec", {}))}
            found[definition["metadata"]["name"]] = names & FIELDS
    return found


def _names(schema: Any) -> Iterator[str]:
    """The names of all fields below a schema."""
    if isinstance(schema, list):
        for each in schema:
            yield from _names(each)
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for each in schema.values():
            yield from _names(each)
