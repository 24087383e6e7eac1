"""The patch of a pod: what it may say, for how long, and what becomes of it."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from components.program.plan import plan
from components.program.stack import read_stack
from components.schema.problem import ConfigError
from components.service.args.jobs import RunArgs
from components.service.args.patch import PatchArgs
from components.service.args.service import SecureServiceArgs
from components.service.file.directory import parse_service
from components.service.manifests.job import job_spec
from components.service.manifests.patch import merged
from components.service.manifests.workload import workload_spec
from tests.support.stacks import ROOT, service, settings
from tests.unit.service.test_directory import SMALL
from zt.project.exceptions import exceptions

pytestmark = pytest.mark.unit

DAYS = "reason: the old gateway has no name, owner: ann, granted: 2026-11-01, expires: 2026-12-01"
AS_OF = date(2026, 11, 15)


def read(tmp_path: Path, patch: str, as_of: date = AS_OF, more: str = "", days: str = DAYS) -> SecureServiceArgs:
    (tmp_path / "services").mkdir(exist_ok=True)
    text = SMALL.replace("r.example.org", "registry.example.org") + more
    (tmp_path / "services" / "orders.yaml").write_text(f"{text}patch: {{{days}, {patch}}}\n")
    stack = read_stack(tmp_path, "Pulumi.production.yaml", settings("production"), lambda: as_of)
    (found,) = plan(stack).services
    return found


def template_of(args: SecureServiceArgs) -> dict[str, Any]:
    return workload_spec(args)["template"]


def test_without_one_the_template_is_what_it_was() -> None:
    assert template_of(service()) == template_of(service(patch=PatchArgs(pod={"hostAliases": []})))


def test_it_adds_to_what_the_platform_writes(tmp_path: Path) -> None:
    patch = (
        "pod: {hostAliases: [{ip: 10.0.0.9, hostnames: [old, old.example.org]}], "
        "dnsConfig: {options: [{name: ndots}]}}, "
        "containers: {orders: {workingDir: /srv, lifecycle: {postStart: {exec: {command: [warm]}}}}, s: {tty: true}}, "
        "annotations: {cluster-autoscaler.kubernetes.io/safe-to-evict: 'false'}"
    )
    more = "stop: {delay: 5s}\nsidecars: {s: {port: 9000}}\n"
    args = read(tmp_path, patch, more=more)
    (tmp_path / "services" / "orders.yaml").write_text(SMALL.replace("r.example.org", "registry.example.org") + more)
    stack = read_stack(tmp_path, "Pulumi.production.yaml", settings("production"))
    before, after = template_of(plan(stack).services[0]), template_of(args)
    spec = after["spec"]
    assert spec.pop("hostAliases") == [{"ip": "10.0.0.9", "hostnames": ["old", "old.example.org"]}]
    assert spec.pop("dnsConfig") == {"options": [{"name": "ndots"}], "searches": []}
    own, beside = spec["containers"]
    assert (own.pop("workingDir"), beside.pop("tty")) == ("/srv", True)
    assert own["lifecycle"].pop("postStart") == {"exec": {"command": ["warm"]}}
    assert after["metadata"]["annotations"].pop("cluster-autoscaler.kubernetes.io/safe-to-evict") == "false"
    # Nothing of the platform's has changed.
    before["metadata"].setdefault("annotations", {})
    assert after == before


def test_a_program_that_ends_has_it_too() -> None:
    args = service(port=0, protocol="tcp", run=RunArgs(timeout=60), patch=PatchArgs(pod={"x": 1}, expires="2026-12-01"))
    assert job_spec(args)["template"]["spec"]["x"] == 1


def test_a_mapping_is_merged_and_anything_else_replaced() -> None:
    assert merged({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2], "d": 3}}) == {"a": {"b": 1, "c": [2], "d": 3}}


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        *(
            (f"pod: {{{field}: {{}}}}", rf"patch\.pod\.{field}: unknown key, .* legal: dnsConfig, hostAliases")
            for field in (
                *("serviceAccountName", "automountServiceAccountToken", "securityContext", "hostNetwork", "affinity"),
                *("volumes", "containers", "initContainers", "shareProcessNamespace", "runtimeClassName", "nodeName"),
                *("tolerations", "nodeSelector", "priorityClassName", "imagePullSecrets", "schedulerName", "dnsPolicy"),
            )
        ),
        *(
            (f"containers: {{x: {{{field}: {{}}}}}}", rf"patch\.containers\.x\.{field}: unknown key, .* legal: image")
            for field in ("securityContext", "image", "env", "envFrom", "ports", "volumeMounts", "resources", "name")
        ),
        ("pod: {dnsConfig: {nameservers: [10.0.0.1]}}", r"patch\.pod\.dnsConfig\.nameservers: unknown key"),
        ("pod: {hostAliases: [{ip: x, hostnames: [a]}]}", r"patch\.pod\.hostAliases\[0\]\.ip: not an address"),
        ("containers: {x: {lifecycle: {preStop: {}}}}", r"lifecycle\.preStop: unknown key"),
        (
            "containers: {x: {lifecycle: {postStart: {httpGet: {host: a.b}}}}}",
            r"lifecycle\.postStart\.httpGet: unknown key",
        ),
        ("containers: {web: {tty: true}}", r"patch\.containers\.web: no container of the pod, .* legal: x"),
        ("labels: {app: other}", r"patch\.labels: unknown key"),
        ("pod: {}", r"patch\.pod: it changes nothing"),
        ("containers: {x: {}}", r"patch\.pod: it changes nothing"),
        *(
            (f"annotations: {{{key}: x}}", r"patch\.annotations.*: (what reads it decides|not the key)")
            for key in (
                "sidecar.istio.io/inject",
                "istio.io/rev",
                "traffic.sidecar.istio.io/excludeOutboundPorts",
                "vault.hashicorp.com/role",
                "zero-trust.dev/config",
                "k8s.v1.cni.cncf.io/networks",
                "container.apparmor.security.beta.kubernetes.io/x",
                "prometheus.io/port",
                "pulumi.com/skipAwait",
                "iam.amazonaws.com/role",
                "plain",
            )
        ),
    ],
)
def test_what_is_the_platform_s_or_has_a_key_is_refused(patch: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_service(f"name: x\n{SMALL}patch: {{{DAYS}, {patch}}}\n", "x.yaml")


def test_it_has_a_reason_and_a_last_day(tmp_path: Path) -> None:
    patch = "containers: {orders: {tty: true}}"
    read(tmp_path, patch)
    with pytest.raises(ConfigError, match=r"orders\.yaml:5: patch\.expires: expired as of 2026-12-01"):
        read(tmp_path, patch, date(2026, 12, 1))
    for missing in ("reason", "owner", "granted", "expires"):
        rest = ", ".join(part for part in DAYS.split(", ") if not part.startswith(missing))
        with pytest.raises(ConfigError, match=rf"patch\.{missing}: missing"):
            parse_service(f"name: orders\n{SMALL}patch: {{{rest}, {patch}}}\n", "orders.yaml")
    with pytest.raises(ConfigError, match=r"patch\.expires: 120 days, 90 at most"):
        read(tmp_path, patch, days=DAYS.replace("2026-12-01", "2027-03-01"))


def test_it_is_in_the_list_of_exceptions(tmp_path: Path) -> None:
    (tmp_path / "policies").symlink_to(ROOT / "policies")
    read(tmp_path, "containers: {orders: {tty: true}}")
    (row,) = (row for row in exceptions(tmp_path, AS_OF) if row.tier == "patch")
    assert (row.service, row.rule, row.owner, row.days_left) == ("shop/orders", "patch", "ann", 16)
