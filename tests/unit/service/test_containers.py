"""The containers of a pod beside the service's own: as hardened as that one, each with the files that it names."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.kube.names import PLATFORM_CONTAINERS
from components.kyverno.library import load_library
from components.program.plan import plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError, FieldError
from components.service.args.containers import ContainerArgs
from components.service.args.database import DatabaseArgs, GrantArgs
from components.service.args.jobs import JobArgs
from components.service.args.service import SecretArgs, SecureServiceArgs
from components.service.file.directory import parse_service
from components.service.file.storage import SHARED_MEMORY
from components.service.manifests.held import held_names
from components.service.manifests.job import job_spec, workload_of
from components.service.manifests.network_policy import network_policy_spec
from components.service.manifests.workload import pod_metadata, workload_spec
from components.vault.terms import StoreTerms
from tests.support.stacks import platform, service, settings
from tests.unit.service.test_directory import SMALL

pytestmark = pytest.mark.unit

IMAGE = "registry.example.org/shop/exporter:v1"
SECRETS = [
    SecretArgs("database", "db", {}, ["password"], "P={{ .Data.data.password }}\n"),
    SecretArgs("smtp", "smtp", {}, ["key"], "K={{ .Data.data.key }}\n"),
]
USERS = DatabaseArgs("main", "shop", [GrantArgs("public", ["SELECT"], all_tables=True)], file="users", template="u")
STORE = StoreTerms("https://vault.example.org:8200")
VAULT = "vault.hashicorp.com"
TMP = "/tmp"  # noqa: S108 - a path in a pod


def exporter(**changes: Any) -> ContainerArgs:
    return ContainerArgs(**{"name": "exporter", "image": IMAGE, "run_as_user": 1000, "port": 9187, **changes})


def pod_of(args: SecureServiceArgs) -> dict[str, Any]:
    return workload_spec(args)["template"]["spec"]


def annotations_of(args: SecureServiceArgs) -> dict[str, str]:
    return {key.removeprefix(f"{VAULT}/"): text for key, text in pod_metadata(args)["annotations"].items()}


def mounts_of(container: dict[str, Any]) -> dict[str, str]:
    return {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}


def read(tmp_path: Path, text: str, environment: str = "production", **changes: Any) -> SecureServiceArgs:
    (tmp_path / "services").mkdir(exist_ok=True)
    (tmp_path / "services" / "orders.yaml").write_text(SMALL.replace("r.example.org", "registry.example.org") + text)
    chosen = settings(environment, **changes)
    (found,) = plan(read_stack(tmp_path, f"Pulumi.{environment}.yaml", chosen)).services
    return found


class TestHardening:
    def test_each_is_as_hard_as_the_service_s_own(self) -> None:
        args = service(init=[exporter(name="fetch")], sidecars=[exporter()], run_as_user=1000)
        pod = pod_of(args)
        own, beside = pod["containers"]
        (first,) = pod["initContainers"]
        assert own["name"] == args.name
        assert first["securityContext"] == beside["securityContext"] == own["securityContext"]
        assert first["imagePullPolicy"] == beside["imagePullPolicy"] == "IfNotPresent"
        assert {*first["resources"]} == {*beside["resources"]} == {"requests", "limits"}

    def test_one_may_have_a_user_of_its_own(self) -> None:
        (_, beside) = pod_of(service(sidecars=[exporter(run_as_user=1500)]))["containers"]
        assert (beside["securityContext"]["runAsUser"], beside["securityContext"]["runAsGroup"]) == (1500, 1500)

    def test_none_has_a_token(self) -> None:
        args = service(init=[exporter(name="fetch")], sidecars=[exporter()], platform=platform(injection=False))
        pod = pod_of(args)
        tokens = {v["name"] for v in pod["volumes"] if "serviceAccountToken" in json.dumps(v)}
        assert tokens
        for container in (*pod["initContainers"], pod["containers"][1]):
            assert not tokens & {*mounts_of(container).values()}

    def test_a_job_has_none_of_them(self) -> None:
        args = service(init=[exporter(name="fetch")], sidecars=[exporter(secrets=["database"])], secrets=SECRETS)
        pod = job_spec(workload_of(args, JobArgs("migrate")))["template"]
        assert "initContainers" not in pod["spec"]
        assert len(pod["spec"]["containers"]) == 1

    def test_without_them_a_pod_is_what_it_was(self) -> None:
        assert "initContainers" not in pod_of(service())


class TestOrder:
    def test_a_program_that_ends_may_have_others_before_it(self, tmp_path: Path) -> None:
        text = "run: {}\ninit: {fetch: {command: [a]}}\n"
        (tmp_path / "services").mkdir()
        small = SMALL.replace("r.example.org", "registry.example.org").replace("port: 8080\n", "")
        (tmp_path / "services" / "orders.yaml").write_text(small + text)
        (args,) = plan(read_stack(tmp_path, "Pulumi.production.yaml", settings("production"))).services
        pod = job_spec(args)["template"]["spec"]
        assert [each["name"] for each in pod["initContainers"]] == ["fetch"]
        assert {mount["name"] for mount in pod["initContainers"][0]["volumeMounts"]} <= {
            v["name"] for v in pod["volumes"]
        }

    def test_the_ones_before_it_start_as_they_stand_in_the_file(self, tmp_path: Path) -> None:
        args = read(tmp_path, "init:\n  second: {command: [b]}\n  first: {command: [a]}\n")
        assert [each["name"] for each in pod_of(args)["initContainers"]] == ["second", "first"]
        assert {each["image"] for each in pod_of(args)["initContainers"]} == {args.image}

    def test_a_sidecar_ends_with_the_service(self, tmp_path: Path) -> None:
        args = read(tmp_path, "stop: {delay: 5s}\nsidecars: {proxy: {port: 9000}}\n")
        own, beside = pod_of(args)["containers"]
        assert beside["lifecycle"] == own["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}


class TestProbes:
    def test_a_sidecar_is_asked_at_its_port(self, tmp_path: Path) -> None:
        args = read(tmp_path, "sidecars: {exporter: {port: 9187, health: /up, probes: {startup: {}}}}\n")
        (_, beside) = pod_of(args)["containers"]
        for kind in ("readiness", "liveness", "startup"):
            assert beside[f"{kind}Probe"]["httpGet"] == {"path": "/up", "port": 9187, "scheme": "HTTP"}
        assert beside["ports"] == [{"containerPort": 9187, "protocol": "TCP"}]

    @pytest.mark.parametrize(
        "probes",
        ["{}", "{readiness: {command: [a]}}", "{readiness: {command: [a]}, liveness: {path: /x}}", "{startup: {}}"],
    )
    def test_one_that_nothing_asks_is_refused(self, probes: str) -> None:
        with pytest.raises(ConfigError, match=r"sidecars\.s\.probes\.(readiness|liveness): nothing says whether"):
            parse_service(f"{SMALL}sidecars: {{s: {{probes: {probes}}}}}\n", "x.yaml")

    def test_commands_are_enough(self, tmp_path: Path) -> None:
        both = "{readiness: {command: [a]}, liveness: {command: [a]}}"
        (_, beside) = pod_of(read(tmp_path, f"sidecars: {{s: {{probes: {both}}}}}\n"))["containers"]
        assert "ports" not in beside

    def test_the_node_reaches_them_in_the_ambient_mode(self) -> None:
        args = service(sidecars=[exporter()], platform=platform(ambient=True))
        ports = [port["port"] for rule in network_policy_spec(args)["ingress"] for port in rule["ports"]]
        assert 9187 in ports


class TestSecrets:
    def test_a_sidecar_has_those_that_it_names_alone(self) -> None:
        args = service(secrets=SECRETS, sidecars=[exporter(secrets=["smtp"])])
        said, (_, beside) = annotations_of(args), pod_of(args)["containers"]
        assert said["agent-inject-containers"] == args.name
        assert said["agent-inject-secret-0.0"] == "secret/data/shop/api/smtp"
        assert said["agent-inject-template-0.0"] == said["agent-inject-template-smtp"]
        assert said["agent-inject-file-0.0"] == ".exporter/smtp"
        assert "agent-inject-secret-0.1" not in said
        assert mounts_of(beside)["/vault/secrets"] == "secrets-exporter"
        (patch,) = json.loads(said["agent-json-patch"])
        assert patch["value"] == {"name": "secrets-exporter", "mountPath": "/vault/secrets/.exporter"}
        assert said["agent-init-json-patch"] == said["agent-json-patch"]
        (volume,) = (v for v in pod_of(args)["volumes"] if v["name"] == "secrets-exporter")
        assert volume["emptyDir"]["medium"] == "Memory"

    def test_the_names_of_annotations_are_legal(self) -> None:
        long = SecretArgs("s" * 41, "f", {}, ["k"], "t")
        args = service(secrets=[long], sidecars=[exporter(name="c" * 55, secrets=[long.name])])
        assert all(len(key.rpartition("/")[2]) <= 63 for key in pod_metadata(args)["annotations"])
        assert all(len(volume["name"]) <= 63 for volume in pod_of(args)["volumes"])

    def test_credentials_of_the_database_are_a_file_of_their_own(self) -> None:
        args = service(secrets=SECRETS[1:], databases=[USERS], sidecars=[exporter(databases=["database"])])
        said = annotations_of(args)
        assert said["agent-inject-secret-0.0"] == "database/creds/shop.api"
        assert said["agent-inject-file-0.0"] == ".exporter/users"

    def test_the_agent_comes_before_an_init_container_that_reads_them(self) -> None:
        assert "agent-init-first" not in annotations_of(service(init=[exporter()]))
        args = service(init=[exporter(secrets=["database"])])
        assert annotations_of(args)["agent-init-first"] == "true"
        # The injector mounts the directory into every init container, and a path can be mounted once.
        assert "/vault/secrets" not in mounts_of(pod_of(args)["initContainers"][0])

    @pytest.mark.parametrize("store", [STORE, StoreTerms()])
    def test_where_kubernetes_keeps_them_each_mounts_its_own(self, store: StoreTerms) -> None:
        facts = platform(store=store) if store.server else platform(vault=False)
        reader = exporter(secrets=["smtp"])
        args = service(secrets=SECRETS, init=[exporter(name="fetch", secrets=["database"])], sidecars=[reader])
        args = service(secrets=SECRETS, init=args.init, sidecars=args.sidecars, platform=facts)
        volumes = {volume["name"]: json.dumps(volume) for volume in pod_of(args)["volumes"]}
        assert "smtp" in volumes["secrets-exporter"]
        assert "db" not in volumes["secrets-exporter"]
        assert '"db"' in volumes["secrets-fetch"]
        assert "smtp" not in volumes["secrets-fetch"]
        assert "smtp" in volumes["secrets"]
        assert mounts_of(pod_of(args)["initContainers"][0])["/vault/secrets"] == "secrets-fetch"

    def test_init_containers_read_all_or_none_of_what_the_agent_writes(self, tmp_path: Path) -> None:
        two = "secrets: {a: {generate: [x]}, b: {generate: [x]}}\n"
        read(tmp_path, f"{two}init: {{one: {{secrets: [b, a]}}, two: {{secrets: [a, b]}}}}\n")
        for init in ("{one: {secrets: [a]}}", "{one: {secrets: [a, b]}, two: {command: [x]}}"):
            with pytest.raises(ConfigError, match=r"init\.\w+\.secrets: where Vault's agent .* legal: a, b"):
                read(tmp_path, f"{two}init: {init}\n")
        read(tmp_path, f"{two}init: {{one: {{secrets: [a]}}}}\n", "local")

    def test_where_no_agent_runs_none_gets_the_service_s_token(self, tmp_path: Path) -> None:
        off: dict[str, Any] = {
            "posture": {"injection": {"value": False, "reason": "the application logs in by itself"}}
        }
        with pytest.raises(ConfigError, match=r"sidecars\.s\.secrets: no agent runs in the pods"):
            read(tmp_path, "secrets: {a: {generate: [x]}}\nsidecars: {s: {port: 9000, secrets: [a]}}\n", **off)


class TestSharing:
    def test_a_directory_is_there_for_those_that_name_it(self, tmp_path: Path) -> None:
        text = "scratch: {work: {path: /work, size: 1Gi}}\ninit: {a: {scratch: [work]}, b: {}}\n"
        pod = pod_of(read(tmp_path, text))
        first, second = pod["initContainers"]
        assert mounts_of(first)["/work"] == mounts_of(pod["containers"][0])["/work"] == "shared-work"
        assert "/work" not in mounts_of(second)
        assert {"name": "shared-work", "emptyDir": {"sizeLimit": "1Gi"}} in pod["volumes"]

    def test_shared_memory_is_in_memory(self, tmp_path: Path) -> None:
        text = "scratch: {shm: {path: /dev/shm, size: 1Gi, memory: true}}\ninit: {a: {scratch: [shm]}}\n"
        pod = pod_of(read(tmp_path, text))
        assert {"name": "shared-shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}} in pod["volumes"]
        shared = {mounts_of(each)[SHARED_MEMORY] for each in (*pod["initContainers"], *pod["containers"])}
        assert shared == {"shared-shm"}

    def test_a_directory_may_hold_what_its_container_may(self, tmp_path: Path) -> None:
        """A limit of the directory below that would end the pod at a large upload that its file allows."""
        large = "resources: {limits: {ephemeralStorage: 4Gi}}"
        text = f"writable: [/uploads]\n{large}\nsidecars: {{s: {{port: 9000, {large}}}, t: {{port: 9001}}}}\n"
        volumes = {each["name"]: each["emptyDir"]["sizeLimit"] for each in pod_of(read(tmp_path, text))["volumes"]}
        assert volumes == {"scratch-0": "4Gi", "scratch-1": "4Gi", "own-s-0": "4Gi", "own-t-0": "256Mi"}

    def test_tmp_is_each_one_s_own(self) -> None:
        args = service(init=[exporter(name="a")], sidecars=[exporter(name="b")])
        pod = pod_of(args)
        every = [mounts_of(each)[TMP] for each in (*pod["initContainers"], *pod["containers"])]
        assert len(set(every)) == 3
        assert {*every} <= {volume["name"] for volume in pod["volumes"]}

    def test_a_volume_is_shared_by_name(self, tmp_path: Path) -> None:
        text = "volumes: {data: {path: /data, size: 1Gi}}\ninit: {a: {volumes: [data]}, b: {}}\n"
        first, second = pod_of(read(tmp_path, text))["initContainers"]
        assert mounts_of(first)["/data"] == "volume-data"
        assert "/data" not in mounts_of(second)

    def test_configuration_is_its_own_and_belongs_to_the_service(self, tmp_path: Path) -> None:
        args = read(tmp_path, "sidecars: {web: {port: 9000, config: {path: /etc/web, files: {a: b}}}}\n")
        (_, beside) = pod_of(args)["containers"]
        assert mounts_of(beside)["/etc/web"] == "config-web"
        assert held_names([args])[args.namespace]["configmaps/orders.web"] == ["orders"]
        assert annotations_of(args)["zero-trust.dev/config.web"] == args.sidecars[0].config.digest


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("init: {a: {secrets: [x]}}", r"init\.a\.secrets\[0\]: no secret of this service"),
            ("init: {a: {scratch: [x]}}", r"init\.a\.scratch\[0\]: nothing under scratch"),
            ("init: {a: {volumes: [x]}}", r"init\.a\.volumes\[0\]: no volume of this service"),
            ("init: {a: {database: true}}", r"init\.a\.database: this service has no database"),
            ("init: {a: {}}\nsidecars: {a: {port: 9000}}", r"init\.a: another container of the pod has this name"),
            ("name: orders\ninit: {orders: {}}", r"init\.orders: another container"),
            ("init: {vault-agent: {}}", r"init\.vault-agent: a container that the platform adds"),
            ("sidecars: {a: {port: 9000}, b: {port: 9000}}", r"sidecars\.b\.port: the sidecar a listens on it"),
            ("sidecars: {a: {port: 9000, runAsUser: 1337}}", r"sidecars\.a\.runAsUser: 1337 is the mesh proxy's"),
            ("init: {a: {runAsUser: 0}}", r"init\.a\.runAsUser: less than 1"),
            ("init: {a: {writable: [/tmp]}}", r"init\.a\.writable\[0\]: the directory is that of the platform"),
            ("init: {a: {writable: [/vault/secrets]}}", r"init\.a\.writable\[0\]: /vault/secrets is not"),
            ("scratch: {w: {path: /w}}\nwritable: [/w]", r"scratch\.w\.path: the directory is that of writable"),
            ("scratch: {w: {path: /w}}\ninit: {a: {scratch: [w], writable: [/w]}}", r"init\.a\.scratch\[0\]: the dir"),
            ("init: {a: {env: {DB_PASSWORD: x1y2}}}", r"init\.a\.env\.DB_PASSWORD: is called like a secret"),
            ("init: {a: {health: /x}}", r"init\.a\.health: unknown key"),
        ],
    )
    def test_what_could_not_work(self, text: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            parse_service(f"{SMALL}{text}\n", "x.yaml")

    def test_another_user_could_not_read_the_files(self) -> None:
        text = "secrets: {a: {generate: [x]}}\nsidecars: {s: {port: 9000, secrets: [a], runAsUser: 1500}}\n"
        with pytest.raises(ConfigError, match=r"sidecars\.s\.runAsUser: the files of secrets are .* legal: 1000"):
            parse_service(SMALL + text, "x.yaml")

    def test_an_image_of_somewhere_else(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"sidecars\.s\.image: not from an approved registry"):
            read(tmp_path, "sidecars: {s: {port: 9000, image: docker.io/attacker/miner:v1}}\n")

    @pytest.mark.parametrize("name", sorted(PLATFORM_CONTAINERS))
    def test_the_name_of_a_container_of_the_platform(self, name: str) -> None:
        with pytest.raises(ConfigError, match="a container that the platform adds"):
            parse_service(f"name: {name}\n{SMALL}", "x.yaml")
        service_name, _, job = name.rpartition("-")
        if service_name and service_name not in PLATFORM_CONTAINERS:
            with pytest.raises(ConfigError, match="a container that the platform adds"):
                parse_service(f"name: {service_name}\n{SMALL}jobs: {{{job}: {{}}}}\n", "x.yaml")
        with pytest.raises(FieldError, match="the platform adds"):
            service(sidecars=[exporter(name=name)])

    def test_the_rules_know_no_other_container_of_the_platform(self) -> None:
        expressions = [
            variable["expression"]
            for rule in load_library().rules.values()
            for variable in rule.document["spec"].get("variables", ())
            if variable["name"] == "injected"
        ]
        assert expressions
        known = {name for text in expressions for name in text.split("'name': '")[1:]}
        assert {name.partition("'")[0] for name in known} <= {*PLATFORM_CONTAINERS}

    @pytest.mark.parametrize(
        ("field", "value", "key"),
        [("image", "nginx", "image"), *(("run_as_user", user, "runAsUser") for user in (0, 1337))],
    )
    def test_in_code_too(self, field: str, value: object, key: str) -> None:
        with pytest.raises(FieldError, match=rf"^shop\.api\.sidecars\.exporter\.{key}: "):
            service(sidecars=[exporter(**{field: value})])
        with pytest.raises(FieldError, match=rf"^shop\.api\.init\.exporter\.{key}: "):
            service(init=[exporter(**{field: value})])


class TestLimits:
    def test_the_quota_counts_every_container(self, tmp_path: Path) -> None:
        quota: dict[str, Any] = {"kyverno": {"parameters": {"resource-quota": {"requestsMemory": "1Gi"}}}}
        own = "replicas: 2\nresources: {requests: {cpu: 10m, memory: 128Mi}}\n"
        beside = "{port: 9000, resources: {requests: {cpu: 10m, memory: 256Mi}}}"
        read(tmp_path, own, **quota)
        with pytest.raises(ConfigError, match=r"resources: .* quota of requestsMemory, 1Gi"):
            read(tmp_path, f"{own}sidecars: {{s: {beside}}}\n", **quota)

    def test_one_before_it_counts_where_it_takes_more(self, tmp_path: Path) -> None:
        quota: dict[str, Any] = {"kyverno": {"parameters": {"resource-quota": {"requestsMemory": "1Gi"}}}}
        own = "replicas: 1\nresources: {requests: {cpu: 10m, memory: 256Mi}}\n"
        read(tmp_path, f"{own}init: {{i: {{resources: {{requests: {{cpu: 10m, memory: 256Mi}}}}}}}}\n", **quota)
        with pytest.raises(ConfigError, match=r"quota of requestsMemory, 1Gi"):
            read(tmp_path, f"{own}init: {{i: {{resources: {{requests: {{cpu: 10m, memory: 600Mi}}}}}}}}\n", **quota)

    def test_none_has_more_than_the_limit_range(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"init\.i\.resources\.limits\.memory: more than a container may have"):
            read(tmp_path, "init: {i: {resources: {limits: {cpu: '1', memory: 32Gi}}}}\n")
