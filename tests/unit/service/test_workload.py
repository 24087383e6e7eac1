"""The workload of a service: autoscaling, probes, volumes, configuration, environment and jobs, as manifests."""

import re
from itertools import product
from typing import Any

import pulumi
import pulumi_vault
import pytest
from pulumi_kubernetes import Provider
from pulumi_kubernetes.core.v1 import Namespace

from components.kube.service_ref import ServiceRef
from components.service.args.containers import ContainerArgs
from components.service.args.database import DatabaseArgs, GrantArgs
from components.service.args.exceptions import ExceptionArgs
from components.service.args.jobs import JobArgs
from components.service.args.network import EgressArgs, MetricsArgs, Peer, PortArgs
from components.service.args.probes import ProbeArgs, ProbesArgs, probes_args
from components.service.args.resolve import services_args
from components.service.args.scaling import AutoscalingArgs
from components.service.args.service import SecretArgs, SecureServiceArgs
from components.service.args.storage import CaBundleArgs, ConfigArgs, VolumeArgs
from components.service.file.service import ServiceSpec
from components.service.manifests.authorization import authorization_policy
from components.service.manifests.job import cron_job_spec, job_spec, workload_of
from components.service.manifests.network_policy import network_policy_spec
from components.service.manifests.vault import vault_policy
from components.service.manifests.workload import workload_spec
from components.service.secure_service import SecureService
from tests.support.monitor import Recording, record
from tests.support.stacks import platform, service

pytestmark = pytest.mark.unit

IMAGE = "registry.example.org/shop/web:v1"
PROBED = ProbesArgs(ProbeArgs(5, 3, port=84))
OWN = VolumeArgs("data", "/data", "1Gi")
SHARED = VolumeArgs("media", "/media", "5Gi", "nfs", "ReadWriteMany")
DATABASE = DatabaseArgs("main", "shop", [GrantArgs("public", ["SELECT"], all_tables=True)], template="u")
SECRETS = [
    SecretArgs("database", "database", {}, ["password"], "P={{ .Data.data.password }}\n"),
    SecretArgs("smtp", "smtp", {}, ["key"], "K={{ .Data.data.key }}\n"),
]


def run(args: SecureServiceArgs) -> Recording:
    def program() -> None:
        cluster, vault = Provider("cluster"), pulumi_vault.Provider("vault", address="https://v:8200")
        namespace = Namespace("shop", metadata={"name": "shop"}, opts=pulumi.ResourceOptions(provider=cluster))
        opts = pulumi.ResourceOptions(providers=[cluster, vault], depends_on=[namespace], deleted_with=namespace)
        SecureService(args.key, args, opts)

    return record(program)


def container(args: SecureServiceArgs) -> dict[str, Any]:
    (found,) = workload_spec(args)["template"]["spec"]["containers"]
    return found


def mounts(args: SecureServiceArgs) -> dict[str, dict[str, Any]]:
    return {mount["mountPath"]: mount for mount in container(args)["volumeMounts"]}


class TestAutoscaling:
    def test_it_begins_with_the_least_and_then_the_autoscaler_alone_says_how_many_there_are(self) -> None:
        args = service(autoscaling=AutoscalingArgs(2, 5, 70))
        made = run(args)
        deployment = made.one("Deployment")
        assert deployment.inputs["spec"]["replicas"] == 2
        assert deployment.ignore_changes == ("spec.replicas",)
        spec = made.one("HorizontalPodAutoscaler").inputs["spec"]
        assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "api"}
        assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 5)
        (metric,) = spec["metrics"]
        assert metric["containerResource"]["container"] == container(args)["name"]
        assert metric["containerResource"]["target"] == {"type": "Utilization", "averageUtilization": 70}

    def test_without_it_there_is_none(self) -> None:
        made = run(service(replicas=3))
        assert made.one("Deployment").inputs["spec"]["replicas"] == 3
        assert not made.one("Deployment").ignore_changes
        assert not made.of("HorizontalPodAutoscaler")

    @pytest.mark.parametrize(("minimum", "budgets"), [(1, 0), (2, 1)])
    def test_the_budget_follows_the_minimum(self, minimum: int, budgets: int) -> None:
        made = run(service(replicas=9, autoscaling=AutoscalingArgs(minimum, 5)))
        assert len(made.of("PodDisruptionBudget")) == budgets

    def test_it_scales_a_stateful_set_too(self) -> None:
        made = run(service(autoscaling=AutoscalingArgs(2, 5), volumes=[OWN]))
        assert made.one("HorizontalPodAutoscaler").inputs["spec"]["scaleTargetRef"]["kind"] == "StatefulSet"
        assert made.one("StatefulSet").ignore_changes == ("spec.replicas",)


class TestProbes:
    def test_the_short_form_is_both(self) -> None:
        found = container(service(health="/healthz"))
        way = {"path": "/healthz", "port": 8080, "scheme": "HTTP"}
        assert found["readinessProbe"]["httpGet"] == found["livenessProbe"]["httpGet"] == way
        assert "startupProbe" not in found

    def test_without_anything_the_port_answers(self) -> None:
        found = container(service())
        assert found["readinessProbe"]["tcpSocket"] == found["livenessProbe"]["tcpSocket"] == {"port": 8080}

    @pytest.mark.parametrize("kind", ["readiness", "liveness", "startup"])
    def test_each_is_set_beside_the_short_form(self, kind: str) -> None:
        probes = probes_args(spec(probes={kind: {"path": "/own", "port": 9000, "timeoutSeconds": 3}}).probes)
        found = container(service(health="/healthz", probes=probes))
        own = found.pop(f"{kind}Probe")
        assert own["httpGet"] == {"path": "/own", "port": 9000, "scheme": "HTTP"}
        assert own["timeoutSeconds"] == 3
        others = [found[key]["httpGet"]["path"] for key in found if key.endswith("Probe")]
        assert others == ["/healthz"] * (2 if kind == "startup" else 1)

    def test_what_is_left_out_stays_as_it_is(self) -> None:
        plain = container(service(health="/healthz"))
        changed = container(service(health="/healthz", probes=probes_args(spec(probes={"liveness": {}}).probes)))
        assert changed == plain
        slow = probes_args(spec(probes={"liveness": {"failureThreshold": 20}}).probes)
        expected = {**plain["livenessProbe"], "failureThreshold": 20}
        assert container(service(health="/healthz", probes=slow))["livenessProbe"] == expected

    def test_a_command_asks_nothing_over_the_network(self) -> None:
        probes = ProbesArgs(readiness=ProbeArgs(5, 3, command=["bin/ready", "-q"]))
        found = container(service(health="/healthz", probes=probes))["readinessProbe"]
        assert found["exec"] == {"command": ["bin/ready", "-q"]}
        assert "httpGet" not in found

    def test_no_delay_is_one_that_can_be_asked_for(self) -> None:
        probes = probes_args(spec(probes={"liveness": {"initialDelaySeconds": 0}}).probes)
        assert "initialDelaySeconds" not in container(service(probes=probes))["livenessProbe"]


def spec(**keys: Any) -> ServiceSpec:
    small = {"name": "api", "namespace": "shop", "team": "t", "image": "r.example.org/x:v1", "port": 8080}
    return ServiceSpec.model_validate({**small, **keys})


class TestLowPorts:
    """A program that is not root and has no capability may listen below 1024 where its pod says so, and at no other."""

    @pytest.mark.parametrize(
        ("changes", "lowest"),
        [
            ({}, None),
            ({"port": 80}, "80"),
            ({"port": 1023}, "1023"),
            ({"port": 1024}, None),
            ({"ports": [PortArgs("ssh", 22, "tcp"), PortArgs("admin", 443)]}, "22"),
            ({"metrics": MetricsArgs(81, "/metrics")}, "81"),
            ({"peers": [179]}, "179"),
            ({"probes": ProbesArgs(readiness=ProbeArgs(5, 3, port=82))}, "82"),
            ({"sidecars": [ContainerArgs("web", IMAGE, 1000, port=83)]}, "83"),
            (
                {
                    "sidecars": [
                        ContainerArgs("web", IMAGE, 1000, port=9000, probes=ProbesArgs(ProbeArgs(5, 3, port=84)))
                    ]
                },
                "84",
            ),
        ],
    )
    def test_the_pod_says_the_lowest(self, changes: dict[str, Any], lowest: str | None) -> None:
        context = workload_spec(service(**changes))["template"]["spec"]["securityContext"]
        said = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": lowest}] if lowest else None
        assert context.get("sysctls") == said

    def test_a_job_listens_nowhere(self) -> None:
        args = service(port=80, jobs=[JobArgs("migrate")])
        assert "sysctls" not in job_spec(workload_of(args, args.jobs[0]))["template"]["spec"]["securityContext"]


class TestVolumes:
    def test_a_volume_for_each_replica_makes_a_stateful_set(self) -> None:
        made = run(service(volumes=[OWN], replicas=2))
        assert not made.of("Deployment")
        found = made.one("StatefulSet").inputs["spec"]
        assert found["replicas"] == 2
        assert found["serviceName"] == made.one("kubernetes:core/v1:Service").inputs["metadata"]["name"]
        assert found["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
        (claim,) = found["volumeClaimTemplates"]
        assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
        assert claim["spec"]["resources"] == {"requests": {"storage": "1Gi"}}
        assert "storageClassName" not in claim["spec"]
        assert mounts(service(volumes=[OWN]))["/data"]["name"] == claim["metadata"]["name"]
        assert not made.of("PersistentVolumeClaim")

    def test_a_shared_volume_leaves_a_deployment_and_outlives_the_program(self) -> None:
        made = run(service(volumes=[SHARED]))
        claim = made.one("PersistentVolumeClaim")
        assert claim.retain_on_delete
        assert claim.inputs["spec"]["storageClassName"] == "nfs"
        volumes = made.one("Deployment").inputs["spec"]["template"]["spec"]["volumes"]
        name = claim.inputs["metadata"]["name"]
        assert [v["persistentVolumeClaim"] for v in volumes if "persistentVolumeClaim" in v] == [{"claimName": name}]
        assert "shop.api.media" in made.behind(made.one("Deployment"))

    def test_both_kinds_in_one(self) -> None:
        made = run(service(volumes=[OWN, SHARED]))
        found = made.one("StatefulSet").inputs["spec"]
        assert [claim["metadata"]["name"] for claim in found["volumeClaimTemplates"]] == ["volume-data"]
        assert {"/data", "/media"} <= mounts(service(volumes=[OWN, SHARED])).keys()

    def test_the_group_may_write_without_a_walk_through_the_files(self) -> None:
        pod = workload_spec(service(volumes=[OWN]))["template"]["spec"]
        assert (pod["securityContext"]["fsGroup"], pod["securityContext"]["fsGroupChangePolicy"]) == (
            2000,
            "OnRootMismatch",
        )
        assert "fsGroupChangePolicy" not in workload_spec(service())["template"]["spec"]["securityContext"]

    def test_no_field_leads_to_the_node(self) -> None:
        assert not re.search("host_?path", repr(ServiceSpec.model_json_schema()), re.IGNORECASE)


class TestConfigurationAndEnvironment:
    def test_files_are_read_only_and_a_change_restarts(self) -> None:
        args = service(config=ConfigArgs("/etc/api", {"app.yaml": "a: 1\n"}))
        made = run(args)
        config = made.one("ConfigMap")
        assert config.inputs["data"] == {"app.yaml": "a: 1\n"}
        assert mounts(args)["/etc/api"]["readOnly"] is True
        pod = made.one("Deployment").inputs["spec"]["template"]
        (volume,) = (v for v in pod["spec"]["volumes"] if v["name"] == "config")
        assert volume["configMap"]["name"] == config.inputs["metadata"]["name"]
        other = workload_spec(service(config=ConfigArgs("/etc/api", {"app.yaml": "a: 2\n"})))["template"]
        key = "zero-trust.dev/config"
        assert pod["metadata"]["annotations"][key] != other["metadata"]["annotations"][key]
        assert config.name in made.behind(made.one("Deployment"))

    def test_a_digest_tells_a_name_from_a_text(self) -> None:
        assert ConfigArgs("/c", {"a": "bc"}).digest != ConfigArgs("/c", {"ab": "c"}).digest

    def test_the_bundle_takes_the_usual_place_and_follows_its_config_map(self) -> None:
        args = service(ca_bundle=CaBundleArgs("org-ca", "ca.crt", "/etc/ssl/certs/ca-certificates.crt"))
        mount = mounts(args)["/etc/ssl/certs"]
        assert mount["readOnly"] is True
        assert "subPath" not in mount
        volumes = workload_spec(args)["template"]["spec"]["volumes"]
        (bundle,) = (v["configMap"] for v in volumes if v["name"] == mount["name"])
        assert bundle["name"] == "org-ca"
        assert bundle["items"] == [{"key": "ca.crt", "path": "ca-certificates.crt"}]
        assert not run(args).of("ConfigMap")

    def test_command_arguments_and_environment(self) -> None:
        found = container(service(command=["bin/api"], arguments=["-v"], env={"B": "2", "A": "1"}))
        assert (found["command"], found["args"]) == (["bin/api"], ["-v"])
        assert found["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
        assert not {"command", "args", "env"} & container(service()).keys()


LAYERS = list(product((False, True), (False, True), (False, True)))
NIGHT = JobArgs("night", schedule="0 3 * * *", command=["bin/night"], secrets=["smtp"])
MIGRATE = JobArgs(
    "migrate",
    arguments=["migrate"],
    databases=["database"],
    calls=[ServiceRef("shop", "postgres")],
    timeout=600,
    retries=2,
)


def with_jobs(**changes: Any) -> SecureServiceArgs:
    calls = [Peer(ServiceRef("shop", "postgres"), 5432), Peer(ServiceRef("shop", "redis"), 6379)]
    full = {"secrets": SECRETS, "databases": [DATABASE], "calls": calls, "jobs": [MIGRATE, NIGHT]}
    return service(**{**full, **changes})


class TestJobs:
    @pytest.mark.parametrize(("vault", "mesh", "network"), LAYERS)
    def test_each_layer_brings_its_own_objects(self, vault: bool, mesh: bool, network: bool) -> None:
        facts = platform(vault=vault, injection=vault, mesh=mesh, network_policies=network)
        made = run(with_jobs(platform=facts, databases=[DATABASE] if vault else []))
        assert len(made.of("kubernetes:batch/v1:Job")) == len(made.of("CronJob")) == 1
        assert len(made.of("ServiceAccount")) == 3
        assert len(made.of("AuthBackendRole")) == (3 if vault else 0)
        assert len(made.of("NetworkPolicy")) == (3 if network else 0)

    @pytest.mark.parametrize("job", [NIGHT, MIGRATE, JobArgs("bare")], ids=lambda job: job.name)
    def test_the_pod_is_as_hard_as_the_services(self, job: JobArgs) -> None:
        pod = job_spec(workload_of(with_jobs(), job))["template"]["spec"]
        own = workload_spec(with_jobs())["template"]["spec"]
        assert pod["securityContext"] == own["securityContext"]
        (runs,), (serves,) = pod["containers"], own["containers"]
        assert runs["securityContext"] == serves["securityContext"]
        assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
        assert pod["restartPolicy"] == "Never"
        assert not {"ports", "livenessProbe", "readinessProbe"} & runs.keys()
        assert runs["resources"]["limits"] == {"cpu": "500m", "memory": "256Mi"}
        assert runs["image"] == serves["image"]

    def test_its_identity_is_its_own_and_its_secrets_are_those_it_asks_for(self) -> None:
        made = run(with_jobs())
        accounts = [one.inputs["metadata"]["name"] for one in made.of("ServiceAccount")]
        assert sorted(accounts) == ["api", "api-migrate", "api-night"]
        roles = {r.inputs["roleName"]: r.inputs for r in made.of("AuthBackendRole")}
        assert roles["shop.api-night"]["boundServiceAccountNames"] == ["api-night"]
        assert roles["shop.api-night"]["tokenPolicies"] == ["shop.api-night"]
        policies = {p.inputs["name"]: set(re.findall(r'"(\S+/\S+)"', p.inputs["policy"])) for p in made.of("Policy")}
        assert policies["shop.api-night"] == {"secret/data/shop/api/smtp"}
        assert policies["shop.api-migrate"] == {"database/creds/shop.api"}

    def test_a_job_that_asks_for_nothing_has_no_role(self) -> None:
        made = run(with_jobs(jobs=[JobArgs("bare")]))
        assert [role.inputs["roleName"] for role in made.of("AuthBackendRole")] == ["shop.api"]
        template = job_spec(workload_of(with_jobs(), JobArgs("bare")))["template"]
        assert not any("vault" in key for key in template["metadata"]["annotations"])
        assert [volume["name"] for volume in template["spec"]["volumes"]] == ["scratch-0"]

    def test_agent_and_proxy_end_with_the_program(self) -> None:
        notes = job_spec(workload_of(with_jobs(), NIGHT))["template"]["metadata"]["annotations"]
        assert notes["vault.hashicorp.com/agent-pre-populate-only"] == "true"
        assert notes["sidecar.istio.io/nativeSidecar"] == "true"
        assert notes["vault.hashicorp.com/role"] == "shop.api-night"
        plain = with_jobs(platform=platform(mesh=False, vault=False, injection=False), databases=[])
        assert "annotations" not in job_spec(workload_of(plain, NIGHT))["template"]["metadata"]

    def test_it_reaches_what_it_calls_and_nobody_reaches_it(self) -> None:
        args = workload_of(with_jobs(called_by=[Peer(ServiceRef("shop", "web"), 8080)], host="a.example.org"), MIGRATE)
        policy = network_policy_spec(args)
        assert policy["podSelector"] == {"matchLabels": {"app": "api-migrate"}}
        assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
        assert "ingress" not in policy
        apps = [peer["podSelector"]["matchLabels"].get("app") for rule in policy["egress"] for peer in rule["to"]]
        assert "postgres" in apps
        assert "redis" not in apps
        assert authorization_policy(args) is None

    def test_its_callee_admits_it(self) -> None:
        caller = spec(calls=["pg"], jobs={"migrate": {"calls": ["pg"]}, "night": {}})
        callee = spec(name="pg", port=8090)
        made = {args.name: args for args in services_args([caller, callee], platform(), 1)}
        assert [peer.service.name for peer in made["pg"].called_by] == ["api", "api-migrate"]
        policy = authorization_policy(made["pg"])
        assert policy is not None
        principals = [rule["from"][0]["source"]["principals"] for rule in policy["spec"]["rules"]]
        assert principals == [["cluster.local/ns/shop/sa/api"], ["cluster.local/ns/shop/sa/api-migrate"]]

    def test_its_requests_are_those_of_the_services_call(self) -> None:
        call = {"service": "pg", "methods": ["GET"]}
        caller, callee = spec(calls=[call], jobs={"m": {"calls": ["pg"]}}), spec(name="pg", port=8090)
        made = {args.name: args for args in services_args([caller, callee], platform(), 1)}
        assert [list(peer.methods) for peer in made["pg"].called_by] == [["GET"], ["GET"]]

    def test_it_reaches_the_outside_only_where_it_asks_to(self) -> None:
        hosts = [EgressArgs("a.example.org", 443), EgressArgs("b.example.org", 443)]
        asks = workload_of(with_jobs(egress=hosts), JobArgs("m", egress=["b.example.org"]))
        assert [outside.host for outside in asks.egress] == ["b.example.org"]
        assert not workload_of(with_jobs(egress=hosts), JobArgs("m")).egress
        made = run(with_jobs(egress=hosts, jobs=[JobArgs("m", egress=["b.example.org"])]))
        entries = [entry.name for entry in made.of("ServiceEntry") if entry.name.startswith("shop.api.m.")]
        assert entries == ["shop.api.m.serviceentry.b.example.org"]

    def test_the_service_does_not_select_the_pods_of_its_jobs(self) -> None:
        made = run(with_jobs())
        selector = made.one("kubernetes:core/v1:Service").inputs["spec"]["selector"]
        labels = job_spec(workload_of(with_jobs(), MIGRATE))["template"]["metadata"]["labels"]
        assert not selector.items() <= labels.items()

    def test_what_runs_once_is_over_before_the_new_pods_start(self) -> None:
        made = run(with_jobs())
        assert "shop.api.migrate" in made.behind(made.one("Deployment"))
        job = made.one("kubernetes:batch/v1:Job")
        assert "shop.api.database" in made.behind(job)
        assert job.inputs["spec"]["backoffLimit"] == 2
        assert job.inputs["spec"]["activeDeadlineSeconds"] == 600
        assert int(job.inputs["metadata"]["annotations"]["pulumi.com/timeoutSeconds"]) > 600

    def test_runs_by_the_clock_never_overlap(self) -> None:
        found = cron_job_spec(workload_of(with_jobs(), NIGHT))
        assert (found["schedule"], found["timeZone"]) == ("0 3 * * *", "Etc/UTC")
        assert found["concurrencyPolicy"] == "Forbid"
        assert found["jobTemplate"]["spec"] == job_spec(workload_of(with_jobs(), NIGHT))

    def test_without_vault_it_sees_the_files_it_asks_for_alone(self) -> None:
        local = with_jobs(platform=platform(vault=False, injection=False), databases=[])
        volumes = job_spec(workload_of(local, NIGHT))["template"]["spec"]["volumes"]
        (secret,) = (volume["secret"] for volume in volumes if "secret" in volume)
        assert secret["secretName"] == run(local).one("kubernetes:core/v1:Secret").inputs["metadata"]["name"]
        assert [item["key"] for item in secret["items"]] == ["smtp"]

    def test_what_the_service_may_do_beside_is_not_the_jobs(self) -> None:
        full = with_jobs(volumes=[OWN], autoscaling=AutoscalingArgs(2, 5), host="a.example.org", health="/h")
        made = workload_of(full, JobArgs("bare"))
        assert vault_policy(made) == ""
        kept = (made.host, made.calls, made.called_by, made.volumes, made.kubernetes_api, made.exceptions, made.jobs)
        assert kept == ("", [], (), [], (), (), ())

    def test_an_exception_of_the_service_holds_for_its_jobs(self) -> None:
        exception = ExceptionArgs("restrict-image-registries", "published nowhere else", "ann", "2026-02-01")
        made = run(with_jobs(exceptions=[exception]))
        (condition,) = made.one("PolicyException").inputs["spec"]["matchConditions"]
        assert '"api-migrate"' in condition["expression"]
        assert '"api-night"' in condition["expression"]
