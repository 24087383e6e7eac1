"""What the API server calls of a package, and which of its ports begin with TLS: refused, unless the file says it."""

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.support.packages import DAYS, FILE, Manifest, objects, stack_of, write
from tests.unit.package.test_package_files import refused

pytestmark = pytest.mark.unit


def _object(version: str, kind: str, **more: Any) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, **more}


HOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")


def _leading(kind: str, service: str = "web", port: int = 80, namespace: str = "guests") -> Manifest:
    """An object by which the API server calls a Service."""
    reference = {"name": service, "namespace": namespace, "port": port}
    if kind in HOOKS:
        webhooks = [{"name": "a.x.org", "clientConfig": {"service": reference}}]
        return _object("admissionregistration.k8s.io/v1", kind, webhooks=webhooks)
    if kind == "APIService":
        return _object("apiregistration.k8s.io/v1", kind, spec={"service": reference})
    conversion = {"strategy": "Webhook", "webhook": {"clientConfig": {"service": reference}}}
    return _object("apiextensions.k8s.io/v1", kind, spec={"names": {"kind": "Page"}, "conversion": conversion})


@pytest.mark.parametrize("kind", [*HOOKS, "APIService", "CustomResourceDefinition"])
def test_a_port_that_the_api_server_calls_is_open_to_it(tmp_path: Path, kind: str) -> None:
    """It has no certificate of the mesh: without a word its calls would be refused, and with a webhook all requests."""
    granted = {**FILE, "grants": [{"kind": kind, "names": ["x"], **DAYS}]}
    [line] = refused(tmp_path, [*objects(), _leading(kind)], granted)
    assert f"plaintextPorts: the API server calls port 8080 of web by {kind} x" in line
    plaintext = {"workload": "web", "port": 8080, "cidrs": ["10.0.0.0/24"], **DAYS}
    opened = {**granted, "plaintextPorts": [plaintext]}
    assert stack_of(write(tmp_path, [*objects(), _leading(kind)], opened)).packages
    left = {**FILE, "without": [{"kind": kind, "name": "x"}]}
    assert stack_of(write(tmp_path, [*objects(), _leading(kind)], left)).packages


@pytest.mark.parametrize(
    ("to", "problem"),
    [
        ({"service": "none"}, "leads the API server to the Service none, which the chart does not bring"),
        ({"port": 443}, "leads the API server to a port that the Service web has not"),
    ],
)
def test_a_webhook_leads_to_a_service_that_is_there(tmp_path: Path, to: Any, problem: str) -> None:
    kind = "ValidatingWebhookConfiguration"
    granted = {**FILE, "grants": [{"kind": kind, "names": ["x"], **DAYS}]}
    [line] = refused(tmp_path, [*objects(), _leading(kind, **to)], granted)
    assert problem in line


def test_a_webhook_of_another_namespace_calls_nothing_of_the_package(tmp_path: Path) -> None:
    kind = "ValidatingWebhookConfiguration"
    granted = {**FILE, "grants": [{"kind": kind, "names": ["x"], **DAYS}]}
    made = [*objects(), _leading(kind, namespace="kube-system")]
    assert stack_of(write(tmp_path, made, granted)).packages


@pytest.mark.parametrize(
    ("port", "refuses"),
    [
        ({"name": "https"}, True),
        ({"name": "https-api"}, True),
        ({"name": "a", "appProtocol": "kubernetes.io/wss"}, True),
        ({"name": "https", "appProtocol": "http"}, False),
        ({"name": "http-https"}, False),
        ({"name": "web"}, False),
    ],
)
def test_a_port_with_tls_of_its_own_is_forwarded_as_it_is(tmp_path: Path, port: Any, refuses: bool) -> None:
    made = copy.deepcopy(objects())
    front = next(each for each in made if each["kind"] == "Service" and each["metadata"]["name"] == "web")
    front["spec"]["ports"] = [{"port": 80, "targetPort": 8080, **port}]
    write(tmp_path, made, {**FILE, "expose": [{"service": "web", "port": 80, "protocol": "tcp"}]})
    assert stack_of(tmp_path).packages
    if refuses:
        [line] = refused(tmp_path, made, FILE)
        assert "expose[0].protocol: the chart says that it begins with TLS of its own" in line
        assert "found http; legal: tcp" in line
    else:
        assert stack_of(write(tmp_path, made, FILE)).packages
