"""A preview on the production stack with the role that a pull request's code gets: it plans all, and reads nothing."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hvac.exceptions
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from components.program.pipeline_roles import DRIFT, PREVIEW, manifests
from embedded.paths import State
from embedded.pulumi_stack import PulumiStack
from tests.e2e.admission import Admission
from tests.e2e.plane import Plane, copy_program

pytestmark = pytest.mark.e2e

STACK = "production"
NAMESPACE = "pipeline"
FRESH = {
    "namespace": "fresh",
    "team": "commerce",
    "image": "registry.example.org/shop/orders:v1",
    "port": 8080,
    "secrets": {"smtp": {"generate": ["password"]}},
}


Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Identity:
    """A service account with one of the pipeline's roles, and nothing else."""

    plane: Plane
    account: str

    @property
    def core(self) -> Any:
        return self.plane.core_as(NAMESPACE, self.account)

    def may(self, verb: str, resource: str, namespace: str = "", group: str = "") -> bool:
        """What the API server says of a right of its own."""
        name, _, subresource = resource.partition("/")
        what = {"group": group, "resource": name, "subresource": subresource}
        review = {"spec": {"resourceAttributes": {**what, "verb": verb, "namespace": namespace}}}
        api: Any = client.AuthorizationV1Api(self.plane.client_as(NAMESPACE, self.account))
        return api.create_self_subject_access_review(review).status.allowed

    def kubeconfig(self) -> str:
        """A kubeconfig of its own, as a job of the pipeline has one."""
        written = yaml.safe_load((self.plane.state / "kubeconfig").read_text())
        written["users"] = [
            {"name": user["name"], "user": {"token": self.plane.token(NAMESPACE, self.account)}}
            for user in written["users"]
        ]
        return yaml.safe_dump(written)


@pytest.fixture(scope="module")
def production(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Plane:
    """The stack as the checkout has it, in a checkout that a pull request may change."""
    own = Plane(plane.state, copy_program(tmp_path_factory.mktemp("checkout")))
    own.stand(STACK)
    return own


@pytest.fixture(scope="module")
def identities(production: Plane) -> Iterator[dict[str, Identity]]:
    """The roles as `python -m components.program.pipeline_roles` prints them, each bound to a service account too."""
    asked = Admission(production, ["none"])
    production.core.create_namespace({"metadata": {"name": NAMESPACE}})
    objects = manifests()
    for role in (PREVIEW, DRIFT):
        production.core.create_namespaced_service_account(NAMESPACE, {"metadata": {"name": role}})
        subject = {"kind": "ServiceAccount", "name": role, "namespace": NAMESPACE}
        binding = next(m for m in objects if m["kind"] == "ClusterRoleBinding" and m["metadata"]["name"] == role)
        objects.append({**binding, "metadata": {"name": f"{role}-account"}, "subjects": [subject]})
    for manifest in objects:
        asked.request("POST", manifest)
    yield {role: Identity(production, role) for role in (PREVIEW, DRIFT)}
    for manifest in objects:
        asked.request("DELETE", manifest)
    production.core.delete_namespace(NAMESPACE)


@contextmanager
def kubeconfig_of(plane: Plane, identity: Identity | None) -> Iterator[None]:
    """The kubeconfig of the state, which the provider of every resource names, with the identity's token in it."""
    path = plane.state / "kubeconfig"
    administrator = path.read_text()
    if identity:
        path.write_text(identity.kubeconfig())
    try:
        yield
    finally:
        path.write_text(administrator)


def preview(plane: Plane, identity: Identity | None, *options: str, **environment: str) -> Done:
    """`pulumi preview` as a job runs it: with a kubeconfig and credentials of its own."""
    # It writes the project directory, whose program is that of this checkout.
    plane.run("pulumi", "stack", "ls")
    tools = Path(json.loads((plane.state / "status.json").read_text())["tools"])
    stack = PulumiStack(STACK, State(plane.state), tools)
    with kubeconfig_of(plane, identity):
        return subprocess.run(
            [str(tools / "pulumi"), "preview", "--stack", STACK, "--non-interactive", *options],
            cwd=stack.project,
            env={**stack.environment(), "PYTHONPATH": str(plane.checkout), **environment},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


def steps(done: Done) -> dict[str, tuple[str, Any]]:
    """Each resource of a plan with what would happen to it, and its inputs."""
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    planned = json.loads(done.stdout)["steps"]
    return {step["urn"]: (step["op"], step.get("newState", {}).get("inputs")) for step in planned}


def self_signed(directory: Path) -> tuple[Path, Path]:
    """A client certificate that no authority has signed, and its key."""
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stranger")]),
    )
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    certificate = builder.not_valid_before(now).not_valid_after(now + timedelta(1)).sign(key, hashes.SHA256())
    files = directory / "stranger.crt", directory / "stranger.key"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


@pytest.fixture
def strangers_overlay(production: Plane, tmp_path: Path) -> Path:
    """The overlay with a client certificate that Vault has never seen."""
    overlay = yaml.safe_load((production.state / "overlay.yaml").read_text())
    certificate, key = self_signed(tmp_path)
    overlay["vault"]["login"] |= {"certFile": str(certificate), "keyFile": str(key)}
    path = tmp_path / "overlay.yaml"
    path.write_text(yaml.safe_dump(overlay))
    return path


@pytest.fixture
def changed(production: Plane) -> Iterator[Plane]:
    """A pull request that adds a service, changes one, and changes the values of a Helm release."""
    (production.checkout / "services/fresh.yaml").write_text(yaml.safe_dump(FRESH))
    redis, stack = production.checkout / "services/redis.yaml", production.checkout / f"Pulumi.{STACK}.yaml"
    before = {path: path.read_text() for path in (redis, stack)}
    redis.write_text(yaml.safe_dump({**yaml.safe_load(before[redis]), "replicas": 2}))
    config = yaml.safe_load(before[stack])
    config["config"]["zero-trust:kyverno"]["replicas"] = 2
    stack.write_text(yaml.safe_dump(config, sort_keys=False))
    yield production
    (production.checkout / "services/fresh.yaml").unlink()
    for path, text in before.items():
        path.write_text(text)


class TestAPreview:
    def test_it_plans_what_an_administrator_s_plans(
        self, changed: Plane, identities: dict[str, Identity], strangers_overlay: Path
    ) -> None:
        options = ("--json", "--show-sames", "--suppress-progress")
        by_role = steps(preview(changed, identities[PREVIEW], *options, ZERO_TRUST_OVERLAY=str(strangers_overlay)))
        by_administrator = steps(preview(changed, None, *options))
        assert by_role.keys() == by_administrator.keys()
        for urn, step in by_administrator.items():
            # The login to Vault is an input of its provider, and of what made that login.
            of_login = "pulumi:providers:vault" in urn or "DeployerLogin" in urn
            assert by_role[urn] == step or of_login, urn
        operations = [operation for operation, _ in by_role.values()]
        assert {"create", "update", "same"} <= set(operations)
        assert any(urn.endswith("Release::policies-release") and op == "update" for urn, (op, _) in by_role.items())

    def test_its_role_holds_no_right_on_any_object(self, identities: dict[str, Identity]) -> None:
        api: Any = client.AuthorizationV1Api(identities[PREVIEW].plane.client_as(NAMESPACE, PREVIEW))
        for namespace in ("istio-system", "vault", "shop", "kyverno", NAMESPACE):
            found = api.create_self_subject_rules_review({"spec": {"namespace": namespace}}).status
            kinds = {(group, kind) for r in found.resource_rules for group in r.api_groups for kind in r.resources}
            # What everybody may ask about himself.
            assert {group for group, _ in kinds} <= {"authentication.k8s.io", "authorization.k8s.io"}

    def test_every_secret_is_refused(self, production: Plane, identities: dict[str, Identity]) -> None:
        core = identities[PREVIEW].core
        secrets = production.core.list_secret_for_all_namespaces().items
        names = {(secret.metadata.namespace, secret.metadata.name) for secret in secrets}
        assert ("istio-system", "istio-ca-secret") in names
        assert any(name.startswith("sh.helm.release.v1.") for _, name in names)
        for namespace, name in sorted(names):
            with pytest.raises(ApiException, match="Forbidden"):
                core.read_namespaced_secret(name, namespace)
        with pytest.raises(ApiException, match="Forbidden"):
            core.list_secret_for_all_namespaces()

    def test_what_plans_without_vault_cannot_log_in_to_it(self, production: Plane, strangers_overlay: Path) -> None:
        vault = yaml.safe_load(strangers_overlay.read_text())["vault"]
        certificate = (vault["login"]["certFile"], vault["login"]["keyFile"])
        stranger = hvac.Client(url=vault["address"], verify=vault["caCertFile"], cert=certificate)
        with pytest.raises((hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest)):
            stranger.auth.cert.login(name=vault["login"]["role"])
        assert production.vault_as_deployer().is_authenticated()

    def test_it_cannot_look_for_drift(self, production: Plane, identities: dict[str, Identity]) -> None:
        done = preview(production, identities[PREVIEW], "--refresh")
        assert done.returncode != 0
        assert "is forbidden" in done.stdout + done.stderr


class TestALookForDrift:
    def test_it_reads_all_that_the_program_made(self, production: Plane, identities: dict[str, Identity]) -> None:
        done = preview(production, identities[DRIFT], "--refresh", "--expect-no-changes")
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr
        assert "is forbidden" not in done.stdout + done.stderr

    @pytest.mark.parametrize("verb", ["create", "update", "patch", "delete"])
    def test_it_writes_nothing(self, identities: dict[str, Identity], verb: str) -> None:
        drift = identities[DRIFT]
        assert not drift.may(verb, "secrets", "shop")
        assert not drift.may(verb, "deployments", "shop", "apps")
        assert not drift.may(verb, "policyexceptions", "kyverno", "policies.kyverno.io")

    @pytest.mark.parametrize("resource", ["pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "pods/log"])
    def test_it_runs_no_program_in_a_pod(self, identities: dict[str, Identity], resource: str) -> None:
        for verb in ("get", "create"):
            assert not identities[DRIFT].may(verb, resource, "shop")
