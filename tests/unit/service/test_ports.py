"""Further ports, workers without a port, and programs that end: what a file may say, and what comes of it."""

from pathlib import Path
from typing import Any

import pytest

from components.program.plan import plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import parse_service
from components.service.manifests.authorization import authorization_policy, destination_rule
from components.service.manifests.job import cron_job_spec, job_spec
from components.service.manifests.network_policy import network_policy_spec
from components.service.manifests.workload import service_spec, workload_spec
from tests.support import stacks

pytestmark = pytest.mark.unit

FILE = "namespace: shop\nteam: commerce\nimage: registry.example.org/shop/x:v1\n"
PROBES = "probes: {readiness: {command: [bin/well]}, liveness: {command: [bin/well]}}\n"
METRICS: dict[str, Any] = {"mesh": {"scraper": {"namespace": "monitoring", "serviceAccount": "prometheus"}}}

STORE = {
    "minio": "port: 9000\nports: {admin: 9001, grpc: 9002, sync: {port: 9003, protocol: tcp}}\n"
    "callers: [web, 'ops:admin', 'ops:sync']\n",
    "web": "port: 8080\ncalls: [minio]\n",
    "ops": "port: 8080\ncalls: ['minio:admin', {service: minio, port: sync}]\n",
}


def planned(folder: Path, **files: str) -> dict[str, SecureServiceArgs]:
    (folder / "services").mkdir()
    for name, text in files.items():
        (folder / "services" / f"{name}.yaml").write_text(FILE + text)
    services = plan(read_stack(folder, "Pulumi.production.yaml", stacks.settings("production", **METRICS))).services
    return {args.name: args for args in services}


class TestFurtherPorts:
    def test_each_has_its_protocol(self, tmp_path: Path) -> None:
        minio = planned(tmp_path, **STORE)["minio"]
        ports = {port["name"]: (port["port"], port["appProtocol"]) for port in service_spec(minio)["ports"]}
        assert ports == {"http": (9000, "http"), "admin": (9001, "http"), "grpc": (9002, "grpc"), "sync": (9003, "tcp")}
        (container,) = workload_spec(minio)["template"]["spec"]["containers"]
        assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
            name: port for name, (port, _) in ports.items()
        }

    @pytest.mark.parametrize(
        ("port", "usual", "protocol"),
        [
            (8883, "MQTT over TLS", "tcp"),
            (25565, "Minecraft", "tcp"),
            (26257, "CockroachDB", "tcp"),
            (26379, "Redis", "tcp"),
            (7233, "gRPC", "grpc"),
            (2379, "gRPC", "http2"),
        ],
    )
    def test_where_hardly_http_listens_the_protocol_is_written(
        self, tmp_path: Path, port: int, usual: str, protocol: str
    ) -> None:
        for text in (f"port: {port}\n", f"port: 8080\nports: {{other: {port}}}\n"):
            with pytest.raises(ConfigError, match=f"{usual} usually listens there"):
                parse_service(FILE + text, "services/x.yaml")
        assert planned(tmp_path, api=f"port: {port}\nprotocol: {protocol}\n")["api"].protocol == protocol

    def test_a_stream_has_no_host(self) -> None:
        error = (
            r"protocol: host needs another: .* Leave host out if it is no HTTP, found 'tcp'; legal: http, http2, grpc"
        )
        for text in (
            "port: 2022\nprotocol: tcp\nhost: sftp.example.org\n",
            "port: 8080\nports: {sftp: {port: 2022, protocol: tcp, host: sftp.example.org}}\n",
        ):
            with pytest.raises(ConfigError, match=error):
                parse_service(FILE + text, "services/x.yaml")

    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ("port: 9000\nprotocol: grpc\nprobes: {readiness: {path: /healthz}}\n", "readiness"),
            ("port: 8080\nports: {grpc: 9000}\nprobes: {liveness: {path: /healthz, port: 9000}}\n", "liveness"),
        ],
    )
    def test_no_probe_requests_a_path_of_grpc(self, text: str, kind: str) -> None:
        error = rf"probes\.{kind}\.path: probes send HTTP/1\.1, and this port speaks grpc: write grpc in its place"
        with pytest.raises(ConfigError, match=error):
            parse_service(FILE + text, "services/x.yaml")

    def test_a_probe_may_request_a_path_at_another_port(self) -> None:
        text = "port: 9000\nprotocol: grpc\nprobes: {readiness: {path: /healthz, port: 8081}}\n"
        assert parse_service(FILE + text, "services/x.yaml").spec.probes

    def test_metrics_may_be_read_from_a_port_of_http2(self, tmp_path: Path) -> None:
        text = "port: 8080\nports: {stats: {port: 9090, protocol: http2}}\nmetrics: {port: 9090}\n"
        args = planned(tmp_path, api=text)["api"]
        spoken = {port["name"]: port["appProtocol"] for port in service_spec(args)["ports"]}
        assert spoken == {"http": "http", "stats": "kubernetes.io/h2c"}
        policy = authorization_policy(args)
        assert policy is not None
        [rule] = policy["spec"]["rules"]
        assert rule["to"] == [{"operation": {"ports": ["9090"], "methods": ["GET"], "paths": ["/metrics"]}}]

    @pytest.mark.parametrize(
        ("protocol", "fix"),
        [
            ("grpc", "give them a port of their own, or write http2 if it answers GET beside gRPC"),
            ("tcp", "give them a port of their own,"),
        ],
    )
    def test_metrics_are_read_from_no_other(self, tmp_path: Path, protocol: str, fix: str) -> None:
        text = f"port: 8080\nports: {{stats: {{port: 9090, protocol: {protocol}}}}}\nmetrics: {{port: 9090}}\n"
        error = rf"metrics\.port: metrics are read over http, and this port speaks {protocol}: {fix}"
        with pytest.raises(ConfigError, match=error):
            planned(tmp_path, api=text)

    def test_a_caller_reaches_the_ports_that_it_calls_and_no_other(self, tmp_path: Path) -> None:
        args = planned(tmp_path, **STORE)
        policy = authorization_policy(args["minio"])
        assert policy is not None
        allowed = {
            (source["source"]["principals"][0].rpartition("/")[2], port)
            for rule in policy["spec"]["rules"]
            for source in rule["from"]
            for to in rule["to"]
            for port in to["operation"]["ports"]
        }
        assert allowed == {("web", "9000"), ("ops", "9001"), ("ops", "9003")}
        let_in = {
            (peer["podSelector"]["matchLabels"]["app"], port["port"])
            for rule in network_policy_spec(args["minio"])["ingress"]
            for peer in rule["from"]
            for port in rule["ports"]
        }
        assert let_in == {("web", 9000), ("ops", 9001), ("ops", 9003)}
        let_out = [rule["ports"] for rule in network_policy_spec(args["ops"])["egress"]]
        assert [{"port": 9001, "protocol": "TCP"}] in let_out
        assert [{"port": 9000, "protocol": "TCP"}] not in let_out

    @pytest.mark.parametrize(
        ("minio", "ops", "said"),
        [
            (
                "callers: [ops]",
                "calls: ['minio:admin']",
                r"minio\.yaml:7: callers: ops:admin calls it.*legal: ops, ops:admin",
            ),
            (
                "callers: ['ops:admin']",
                "calls: [minio]",
                r"minio\.yaml:7: callers: ops calls it.*legal: ops:admin, ops",
            ),
            (
                "callers: ['ops:x']",
                "",
                r"minio\.yaml:7: callers\[0\]: no port of this service.*'x'; legal: admin, grpc",
            ),
            (
                "",
                "calls: ['minio:http']",
                r"ops\.yaml:5: calls\[0\]: no such port.*'minio:http'; legal: minio, minio:admin",
            ),
            ("", "calls: ['minio:']", r"ops\.yaml:5: calls\[0\]: not a port's name behind the colon"),
            ("", "calls: [{service: 'minio:admin'}]", r"calls\[0\]\.service: not a service"),
            ("", "calls: ['minio:admin', 'minio:admin']", r"calls\[1\]: it stands there twice"),
            ("", "calls: ['minio:admin', 'shop/minio:admin']", r"calls: it.*twice.*found 'shop/minio:admin'"),
            ("", "calls: [{service: minio, port: sync, paths: [/a]}]", r"calls\[0\]\.paths: minio:sync speaks tcp"),
        ],
    )
    def test_both_ends_name_the_port(self, tmp_path: Path, minio: str, ops: str, said: str) -> None:
        ports = "port: 9000\nports:\n  {admin: 9001, grpc: 9002, sync: {port: 9003, protocol: tcp}}\n"
        with pytest.raises(ConfigError, match=said):
            planned(tmp_path, minio=f"{ports}{minio}\n", ops=f"port: 8080\n{ops}\n")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("port: 80\nports: {admin: 80}", r"ports\.admin: another port of the service has this number"),
            ("port: 80\nports: {a: 81, b: 81}", r"ports\.b: another port of the service has this number"),
            ("port: 80\nports: {http: 81}", r"ports\.http: the name that port has, by its protocol"),
            ("port: 80\nports: {http-metrics: 81}", "the name of a port that the platform adds"),
            ("port: 80\nports: {Admin: 81}", "not a port's name"),
            ("port: 80\nports: {a--b: 81}", "not a port's name"),
            ("port: 80\nports: {sixteen-letters-: 81}", "not a port's name"),
            ("port: 80\nports: {dns: {port: 53, protocol: udp}}", r"ports\.dns\.protocol: the mesh carries no UDP"),
            ("port: 80\nports: {a: 15001}", "the mesh proxy's"),
            ("port: 80\nports: {a: true}", "a whole number is expected"),
            ("port: 80\nports: {db: {port: 5432, protocol: tcp}}\nmetrics: {port: 5432}", "this port speaks tcp"),
            ("port: 80\nprotocol: grpc\nmetrics: {port: 80}", r"metrics\.port: .*this port speaks grpc"),
            ("ports: {admin: 9001}\n" + PROBES, "ports: it needs port"),
        ],
    )
    def test_what_is_in_the_way_of_another_is_refused(self, tmp_path: Path, text: str, said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            planned(tmp_path, x=text)


class TestWorkers:
    def test_nothing_leads_to_it(self, tmp_path: Path) -> None:
        args = planned(tmp_path, x=PROBES)["x"]
        assert not args.listens
        assert authorization_policy(args) is None
        assert destination_rule(args) is None
        assert "ingress" not in network_policy_spec(args)
        (container,) = workload_spec(args)["template"]["spec"]["containers"]
        assert "ports" not in container
        assert container["readinessProbe"]["exec"] == {"command": ["bin/well"]}

    def test_its_metrics_have_a_service_and_answer_its_probes(self, tmp_path: Path) -> None:
        args = planned(tmp_path, x="metrics: {port: 9100}")["x"]
        assert [(port["name"], port["port"]) for port in service_spec(args)["ports"]] == [("http-metrics", 9100)]
        (container,) = workload_spec(args)["template"]["spec"]["containers"]
        assert container["livenessProbe"]["tcpSocket"] == {"port": 9100}

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", r"x\.yaml:1: probes: required without port"),
            ("probes: {readiness: {command: [a]}}", r"probes\.liveness: required without port.*legal: command, port"),
            (PROBES[:-2] + ", startup: {path: /}}", r"probes\.startup: required without port"),
            (f"{PROBES}protocol: tcp", "protocol: it needs port"),
            (f"{PROBES}host: x.example.org", "host: it needs port"),
            (f"{PROBES}paths: [/]", "paths: it needs port"),
            (f"{PROBES}callers: [y]", "callers: it needs port"),
            (f"{PROBES}health: /", "health: it needs port"),
        ],
    )
    def test_what_needs_a_port_is_refused(self, tmp_path: Path, text: str, said: str) -> None:
        with pytest.raises(ConfigError, match=said):
            planned(tmp_path, x=text)

    def test_nobody_can_call_it(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"y\.yaml:5: calls\[0\]: it listens on no port, so nobody can call it"):
            planned(tmp_path, x=PROBES, y="port: 80\ncalls: [x]")


class TestProgramsThatEnd:
    CALLEE = "port: 5432\nprotocol: tcp\ncallers: [x]\n"

    def test_on_a_schedule_it_is_a_cron_job_with_the_rights_of_a_service(self, tmp_path: Path) -> None:
        text = "run: {schedule: '0 3 * * *', retries: 2, timeout: 10m}\ncalls: [y]\nsecrets: {a: {generate: [b]}}"
        args = planned(tmp_path, x=text, y=self.CALLEE)["x"]
        spec = cron_job_spec(args)
        assert (spec["schedule"], spec["concurrencyPolicy"]) == ("0 3 * * *", "Forbid")
        job = spec["jobTemplate"]["spec"]
        assert (job["backoffLimit"], job["activeDeadlineSeconds"]) == (2, 600)
        pod = job["template"]["spec"]
        assert (pod["serviceAccountName"], pod["restartPolicy"]) == ("x", "Never")
        notes = job["template"]["metadata"]["annotations"]
        assert notes["vault.hashicorp.com/agent-pre-populate-only"] == "true"
        assert notes["sidecar.istio.io/nativeSidecar"] == "true"
        assert [{"port": 5432, "protocol": "TCP"}] in [rule["ports"] for rule in network_policy_spec(args)["egress"]]

    def test_without_a_schedule_it_is_a_job(self, tmp_path: Path) -> None:
        args = planned(tmp_path, x="run: {}")["x"]
        assert args.ends
        assert args.smallest == 1
        assert job_spec(args)["backoffLimit"] == 6
        (container,) = job_spec(args)["template"]["spec"]["containers"]
        assert "readinessProbe" not in container

    @pytest.mark.parametrize(
        "text",
        [
            "port: 80",
            "replicas: 2",
            "autoscaling: {max: 3}",
            PROBES,
            "stop: {within: 60s}",
            "peers: [7000]",
            "metrics: {port: 9100}",
            "leaderElection: true",
            "jobs: {a: {}}",
            "sidecars: {a: {image: 'registry.example.org/shop/y:v1', port: 81}}",
        ],
    )
    def test_what_only_pods_have_that_stay_is_refused(self, tmp_path: Path, text: str) -> None:
        key = text.partition(":")[0]
        with pytest.raises(ConfigError, match=rf"x\.yaml:\d+: {key}: run says that its program ends"):
            planned(tmp_path, x=f"run: {{}}\n{text}")

    def test_what_runs_before_it_is_part_of_the_job(self, tmp_path: Path) -> None:
        args = planned(tmp_path, x="run: {}\ninit: {fetch: {image: 'registry.example.org/shop/y:v1'}}")["x"]
        (init,) = job_spec(args)["template"]["spec"]["initContainers"]
        assert init["image"] == "registry.example.org/shop/y:v1"

    def test_a_volume_is_that_of_one_pod_after_the_other(self, tmp_path: Path) -> None:
        args = planned(tmp_path, x="run: {}\nvolumes: {a: {path: /data, size: 1Gi}}")["x"]
        volumes = job_spec(args)["template"]["spec"]["volumes"]
        assert {"name": "volume-a", "persistentVolumeClaim": {"claimName": "x-a"}} in volumes
        assert [volume.name for volume in args.claimed_volumes] == ["a"]

    def test_a_longer_name_than_a_cron_job_may_have_is_refused(self, tmp_path: Path) -> None:
        planned(tmp_path, **{"x" * 52: "run: {}"})
        (tmp_path / "other").mkdir()
        with pytest.raises(ConfigError, match="name: longer than 52 characters"):
            planned(tmp_path / "other", **{"x" * 53: "run: {}"})


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("port: 6379", "5: port: Redis usually listens there, which is not HTTP: write its protocol, tcp"),
        ("port: 4317", "5: port: gRPC usually listens there, which needs HTTP/2: write its protocol, grpc"),
        ("port: 80\nports: {amqp: 5672}", "6: ports.amqp.port: AMQP usually listens there, which is not HTTP"),
        ("port: 80\nports: {db: {port: 5432}}", "6: ports.db.port: PostgreSQL usually listens there"),
    ],
)
def test_a_port_that_is_hardly_http_says_its_protocol(text: str, error: str) -> None:
    head = "namespace: shop\nteam: t\nimage: r.example.org/shop/x:v1\nname: x\n"
    with pytest.raises(ConfigError) as caught:
        parse_service(f"{head}{text}\n", "x.yaml")
    (problem,) = caught.value.problems
    assert f"{problem.line}: {problem.key}: {problem.message}".startswith(error)
    for said in ("tcp", "http", "grpc"):
        kept = text.replace("port: 5432", f"port: 5432, protocol: {said}").replace(
            "amqp: 5672", f"amqp: {{port: 5672, protocol: {said}}}"
        )
        kept = f"{kept}\nprotocol: {said}" if "ports" not in kept else kept
        assert parse_service(f"{head}{kept}\n", "x.yaml")
    assert parse_service(f"{head}port: 80\nports: {{tcp: 5432, grpc: 50051}}\n", "x.yaml")
