"""What is in the way of `zt preflight`, for a while: other people's objects, levels, certificates, rights."""

import base64
import contextlib
import datetime as dt
import ipaddress
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.kube.names import VAULT_NAMESPACE
from tests.e2e import pods
from tests.e2e.plane import Plane

NAME = "preflight-test"


@dataclass(frozen=True)
class Missing:
    """Something that is in the way for a while, the check that objects, and a word of its line."""

    name: str
    there: Callable[[Plane], AbstractContextManager[object]]
    check: str
    word: str
    result: str = "fails"


@contextlib.contextmanager
def role(plane: Plane, *, verbs: list[str], groups: list[str], resources: list[str], account: str) -> Iterator[None]:
    rules = [{"verbs": verbs, "apiGroups": groups, "resources": resources}]
    _, _, namespace, name = account.split(":")
    subject = {"kind": "ServiceAccount", "namespace": namespace, "name": name}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME}
    group = ("rbac.authorization.k8s.io", "v1")
    objects = plane.objects
    objects.create_cluster_custom_object(*group, "clusterroles", {"metadata": {"name": NAME}, "rules": rules})
    binding = {"metadata": {"name": NAME}, "roleRef": reference, "subjects": [subject]}
    objects.create_cluster_custom_object(*group, "clusterrolebindings", binding)
    try:
        yield
    finally:
        objects.delete_cluster_custom_object(*group, "clusterrolebindings", NAME)
        objects.delete_cluster_custom_object(*group, "clusterroles", NAME)


@contextlib.contextmanager
def foreign_definition(plane: Plane) -> Iterator[None]:
    names = {"plural": "preflighttests", "singular": "preflighttest", "kind": "PreflightTest"}
    schema = {"openAPIV3Schema": {"type": "object"}}
    group = "reports.kyverno.io"
    definition = {
        "metadata": {"name": f"preflighttests.{group}"},
        "spec": {
            "group": group,
            "names": names,
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": False, "storage": True, "schema": schema}],
        },
    }
    plane.extensions.create_custom_resource_definition(definition)
    try:
        yield
    finally:
        plane.extensions.delete_custom_resource_definition(f"preflighttests.{group}")


@contextlib.contextmanager
def foreign_webhook(plane: Plane) -> Iterator[None]:
    # It is called by nobody: its rules name no resource that there is.
    rule = {"apiGroups": ["example.org"], "apiVersions": ["v1"], "resources": ["nothings"], "operations": ["CREATE"]}
    webhook = {
        "name": "istio.example.org",
        "clientConfig": {"service": {"name": "istiod", "namespace": "mesh-of-others"}},
        "rules": [rule],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Ignore",
    }
    name = f"istio-validator-{NAME}"
    body = {"metadata": {"name": name}, "webhooks": [webhook]}
    plane.admission.create_validating_webhook_configuration(body)
    try:
        yield
    finally:
        plane.admission.delete_validating_webhook_configuration(name)


@contextlib.contextmanager
def foreign_operator(plane: Plane) -> Iterator[None]:
    annotations = {"meta.helm.sh/release-name": "certs", "meta.helm.sh/release-namespace": "kube-public"}
    pod = pods.pod("cert-manager")
    labels = pod["metadata"]["labels"]
    deployment = {
        "metadata": {"name": "cert-manager", "annotations": annotations, "labels": labels},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod["spec"]},
        },
    }
    plane.apps.create_namespaced_deployment("kube-public", deployment)
    try:
        yield
    finally:
        plane.apps.delete_namespaced_deployment("cert-manager", "kube-public")


def level(namespace: str, value: str) -> Callable[[Plane], AbstractContextManager[None]]:
    @contextlib.contextmanager
    def labelled(plane: Plane) -> Iterator[None]:
        label = "pod-security.kubernetes.io/enforce"
        before = (plane.core.read_namespace(namespace).metadata.labels or {}).get(label)
        plane.core.patch_namespace(namespace, {"metadata": {"labels": {label: value}}})
        try:
            yield
        finally:
            plane.core.patch_namespace(namespace, {"metadata": {"labels": {label: before}}})

    return labelled


NAMES = ("vault.vault.svc", *(f"vault-{number}.vault-internal" for number in range(3)), "127.0.0.1")


def certificate(*names: str, days: int = 90) -> dict[str, bytes]:
    """The three files of a server's certificate."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    alternatives: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name) for name in names
    ]
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(hours=1))
    builder = builder.not_valid_after(now + dt.timedelta(days=days))
    builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {"tls.crt": pem, "tls.key": private, "ca.crt": pem}


@contextlib.contextmanager
def secret(plane: Plane, suffix: str, data: dict[str, bytes]) -> Iterator[None]:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    name = f"{NAME}-{suffix}"
    plane.core.create_namespaced_secret(VAULT_NAMESPACE, {"metadata": {"name": name}, "data": encoded})
    try:
        yield
    finally:
        plane.core.delete_namespaced_secret(name, VAULT_NAMESPACE)


@contextlib.contextmanager
def storage_class(plane: Plane) -> Iterator[None]:
    group = ("storage.k8s.io", "v1", "storageclasses")
    plane.objects.create_cluster_custom_object(*group, {"metadata": {"name": NAME}, "provisioner": "example.org/none"})
    try:
        yield
    finally:
        plane.objects.delete_cluster_custom_object(*group, NAME)
