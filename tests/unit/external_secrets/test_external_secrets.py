"""External Secrets in place of Vault's agent: what a stack may ask for, and what a service gets instead."""

import base64
from typing import Any

import pytest

from components.config.stack_file import parse_settings
from components.external_secrets.network import external_secrets_network
from components.external_secrets.operator import ExternalSecrets, ExternalSecretsArgs, certificate_rules, operator_rules
from components.kube.charts import PUBLISHED
from components.kube.names import EXTERNAL_SECRETS_NAMESPACE
from components.kube.platform_network import ClusterNetwork, everybody
from components.program.plan import platform_terms
from components.schema.problem import ConfigError
from components.service.args.jobs import JobArgs
from components.service.args.service import SecretArgs, SecureServiceArgs
from components.service.file.directory import parse_service
from components.service.manifests.external_secrets import (
    RULE,
    copies_exception,
    external_secret,
    operator_template,
    secret_store,
)
from components.service.manifests.external_secrets import operator_rules as rules_of
from components.service.manifests.network_policy import network_policy_spec
from components.service.manifests.vault import injector_annotations, mesh_annotations, vault_policy
from components.service.manifests.workload import deployment_spec
from components.vault.terms import StoreTerms
from tests.support.monitor import record
from tests.support.stacks import plan_of, platform, service, settings, stack, values
from tests.unit.service.test_directory import SMALL
from tests.unit.service.test_secure_service import run
from zt.new.outcome import objects

pytestmark = pytest.mark.unit

TERMS = StoreTerms("https://vault.vault.svc:8200", "PEM", "the cluster has no injector")
REASON = "the cluster has no injector yet"


def copying(**changes: Any) -> SecureServiceArgs:
    return service(platform=platform(store=TERMS, rules=[RULE], injection=True), **changes)


def vault(environment: str, **changes: object) -> dict[str, Any]:
    # Its stores need the authority, which is known beforehand for a certificate of one's own alone.
    own = {} if changes.get("mode") == "external" else {"tlsSecret": "own"}
    return {**values(environment).get("vault", {}), "delivery": "external-secrets", **own, **changes}


class TestTheStackFile:
    def test_production_says_why(self) -> None:
        with pytest.raises(ConfigError, match=r"zero-trust:vault\.deliveryReason: required in production.*etcd"):
            settings("production", vault=vault("production"))
        assert settings("production", vault=vault("production", deliveryReason=REASON))
        assert settings("staging", vault=vault("staging"))

    def test_a_stack_without_vault_has_nothing_to_deliver(self) -> None:
        with pytest.raises(ConfigError, match=r"zero-trust:vault\.delivery: this stack has no Vault"):
            settings("local", vault={"delivery": "external-secrets"})

    def test_it_brings_no_database_users(self) -> None:
        orders = {"orders": {"host": "db.example.org", "cidrs": ["10.0.0.0/24"], "database": "o", "adminUser": "v"}}
        with pytest.raises(ConfigError, match=r"zero-trust:databases: external-secrets brings no database users"):
            parse_settings({**values("staging"), "vault": vault("staging"), "databases": orders}, "Pulumi.staging.yaml")

    def test_the_operator_comes_in_place_of_the_injector(self) -> None:
        before, after = plan_of("staging"), plan_of("staging", vault=vault("staging"))
        assert before.external_secrets is None
        assert after.external_secrets
        assert after.external_secrets.replicas == 1
        assert after.vault
        assert after.vault.injector is None
        assert after.policies
        assert EXTERNAL_SECRETS_NAMESPACE in after.policies.platform_namespaces

    def test_it_reaches_vault_in_the_cluster_or_at_its_address(self) -> None:
        inside = platform_terms(stack("staging", vault=vault("staging")), ())
        outside = vault("staging", mode="external", address="https://v.example.org", cidrs=["10.0.0.0/24"])
        assert inside.vault.store.server == "https://vault.vault.svc:8200"
        assert platform_terms(stack("staging", vault=outside), ()).vault.store.server == "https://v.example.org"

    def test_its_namespace_is_the_platform_s(self) -> None:
        with pytest.raises(ConfigError, match="namespace: it is the platform's"):
            parse_service(
                SMALL.replace("namespace: shop", f"namespace: {EXTERNAL_SECRETS_NAMESPACE}"), "services/x.yaml"
            )


class TestAService:
    def test_the_operator_logs_in_as_the_service_in_its_role(self) -> None:
        found = secret_store(copying())["spec"]["provider"]["vault"]
        assert found["auth"]["kubernetes"] == {
            "mountPath": "kubernetes",
            "role": "shop.api",
            "serviceAccountRef": {"name": "api", "audiences": ["vault"]},
        }
        assert (found["server"], found["path"], found["version"]) == (TERMS.server, "secret", "v2")
        assert base64.b64decode(found["caBundle"]) == b"PEM"

    def test_a_copy_belongs_to_its_external_secret_and_ends_with_it(self) -> None:
        args = copying()
        found = external_secret(args, args.secrets[0])["spec"]
        assert (found["refreshInterval"], found["dataFrom"]) == ("5m", [{"extract": {"key": "shop/api/database"}}])
        assert (found["target"]["creationPolicy"], found["target"]["deletionPolicy"]) == ("Owner", "Delete")
        assert found["target"]["template"]["data"] == {"database": "P={{ .password }}\n"}

    def test_a_template_keeps_its_text(self) -> None:
        assert operator_template("\na={{- .Data.data.a -}}\nb={{.Data.data.b_2}}\n\n") == "a={{- .a -}}\nb={{ .b_2 }}\n"

    def test_its_pod_has_files_where_the_agent_would_write_them_and_nothing_else(self) -> None:
        pod = deployment_spec(copying())["template"]
        (volume,) = (v for v in pod["spec"]["volumes"] if v["name"] == "secrets")
        source = {"name": "api.database", "items": [{"key": "database", "path": "database"}]}
        assert volume["projected"] == {"defaultMode": 0o400, "sources": [{"secret": source}]}
        (container,) = pod["spec"]["containers"]
        assert {"name": "secrets", "mountPath": "/vault/secrets", "readOnly": True} in container["volumeMounts"]
        assert "env" not in container
        assert not [key for key in pod["metadata"].get("annotations", {}) if "vault" in key or "exclude" in key]
        assert "vault-token" not in {v["name"] for v in pod["spec"]["volumes"]}

    def test_its_pod_does_not_reach_vault(self) -> None:
        args = copying()
        assert injector_annotations(args) == {}
        assert mesh_annotations(args) == {}
        assert "vault" in str(network_policy_spec(service())["egress"])
        assert "vault" not in str(network_policy_spec(args)["egress"])
        assert vault_policy(args) == vault_policy(service())

    def test_the_operator_may_write_its_copies_and_ask_for_its_token_only(self) -> None:
        token, use, create, change = rules_of(copying())
        assert (token["resourceNames"], token["verbs"]) == (["api"], ["create"])
        assert (use["resourceNames"], use["verbs"]) == (["api"], ["use"])
        assert create["verbs"] == ["create"]
        assert change["resourceNames"] == ["api.database"]
        everywhere = {(r, v) for rule in operator_rules() for r in rule["resources"] for v in rule["verbs"]}
        assert {v for r, v in everywhere if r == "secrets"} == {"list", "watch"}
        assert not {r for r, _ in everywhere if r.startswith("serviceaccounts")}
        assert not [rule for rule in certificate_rules() if "secrets" in rule["resources"]]

    def test_the_order_is_vault_then_rights_then_the_store_then_the_copies_then_the_pods(self) -> None:
        recording = run(copying())
        copy = recording.one("external-secrets.io/v1:ExternalSecret")
        behind = recording.behind(copy)
        assert recording.one("external-secrets.io/v1:SecretStore").name in behind
        assert recording.one("RoleBinding").name in behind
        assert recording.one("vault:kv/secretV2:SecretV2").name in behind
        assert copy.name in recording.behind(recording.one("Deployment"))
        assert copy.inputs["metadata"]["annotations"] == {"pulumi.com/waitFor": "condition=Ready"}

    def test_a_job_has_copies_of_its_own_by_its_own_identity(self) -> None:
        recording = run(copying(jobs=[JobArgs("night", schedule="0 3 * * *", secrets=["database"])]))
        names = {made.inputs["metadata"]["name"] for made in recording.of("external-secrets.io/v1:ExternalSecret")}
        assert names == {"api.database", "api-night.database"}
        roles = {
            made.inputs["spec"]["provider"]["vault"]["auth"]["kubernetes"]["role"]
            for made in recording.of("external-secrets.io/v1:SecretStore")
        }
        assert roles == {"shop.api", "shop.api-night"}


class TestTheException:
    def test_it_is_for_the_copies_alone_with_the_setting_s_reason(self) -> None:
        made = copies_exception(copying())
        assert made
        assert made["metadata"]["name"] == f"shop.api.{RULE}"
        assert made["metadata"]["annotations"]["zero-trust.dev/reason"] == TERMS.reason
        (condition,) = made["spec"]["matchConditions"]
        assert 'in ["api.database"]' in condition["expression"]

    def test_there_is_none_where_nothing_needs_it(self) -> None:
        assert copies_exception(service(platform=platform(rules=[RULE]))) is None
        assert copies_exception(copying(secrets=[])) is None
        assert copies_exception(service(platform=platform(store=TERMS))) is None

    def test_no_copy_has_a_name_that_another_workload_s_has(self) -> None:
        one = copying(name="a-b", secrets=[SecretArgs("c", "c", {"x": "1"}, [], "")])
        other = copying(name="a", secrets=[SecretArgs("b-c", "c", {"x": "1"}, [], "")])
        names = {external_secret(args, args.secrets[0])["metadata"]["name"] for args in (one, other)}
        assert len(names) == 2


def test_what_zt_new_says_is_created_is_what_is() -> None:
    args = copying(jobs=[JobArgs("night", schedule="0 3 * * *", secrets=["database"])])
    kinds = [made.type.rsplit(":", 1)[1] for made in run(args).resources if made.type.startswith("kubernetes:")]
    # The providers and the namespace are the test's own.
    listed = [item.kind for item in objects(args, new_namespace=True)]
    assert sorted(listed) == sorted(kind for kind in kinds if kind != "kubernetes")


def test_its_pods_wait_for_the_policies_of_their_namespace() -> None:
    policies = external_secrets_network(ClusterNetwork(), everybody(8200))
    arguments = ExternalSecretsArgs(PUBLISHED, network_policies=policies)
    made = record(lambda: ExternalSecrets("external-secrets", arguments))
    names = {policy.name for policy in made.of("NetworkPolicy")}
    assert len(names) == len(policies)
    assert names <= made.behind(made.one("Release"))
