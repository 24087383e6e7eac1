"""The values of the chart, for HashiCorp Vault and OpenBao alike: end-to-end TLS, raft storage, non-root.

Charts: https://developer.hashicorp.com/vault/docs/platform/k8s/helm/configuration
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, StrictInt
from pydantic.alias_generators import to_camel

from components.config.pem_file import Pem
from components.config.vault import PodLabelKey, VaultSeal
from components.kube.charts import OPENBAO_IMAGE, VAULT_IMAGE
from components.kube.images import INJECTOR, VAULT_HUB, from_hub
from components.kube.names import (
    AUDIT_DIRECTORY,
    AUTHORITIES_DIRECTORY,
    PLATFORM_NAMESPACES,
    TLS_DIRECTORY,
    VAULT_NAMESPACE,
    VAULT_PORT,
    VAULT_RELEASE,
    VAULT_TLS_SECRET,
)
from components.schema.checked import check_fields, check_values
from components.schema.fields import Image, Label, ObjectName, Replicas, Size
from components.schema.labels import LabelKey, LabelValue
from components.schema.problem import FieldError

_DATA_DIRECTORY = "/vault/data"
_SEAL_DIRECTORY = "/vault/seal"
_VAULT_UID, _VAULT_GID = 100, 1000
# The kubelet itself takes up to a minute to bring a changed Secret into a pod.
_RELOAD_SECONDS = 30


def _majority(value: int) -> int:
    if value not in (1, 3, 5):
        raise ValueError("1, 3 or 5: an even number has no larger majority than one less")
    return value


@dataclass(frozen=True)
class ServerArgs:
    """The Vault servers that the chart runs. Without a `seal_type` an operator unseals them.

    `seal_secret` is the Secret with the token of a transit seal, or with the keys of a static seal, by their ids.
    """

    replicas: Annotated[StrictInt, AfterValidator(_majority)] = 1
    tls_secret: ObjectName = VAULT_TLS_SECRET
    authorities: ObjectName = ""
    """The ConfigMap with the certificates of further authorities; empty: none."""
    image: Image = VAULT_IMAGE
    """The image of the container that has the server read a renewed certificate."""
    seal_type: str = ""
    seal_parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    seal_secret: ObjectName = ""
    data_size: Size = "10Gi"
    audit_size: Size = "10Gi"
    storage_class: ObjectName | None = None
    account_annotations: Mapping[LabelKey, str] = field(default_factory=dict[str, str])
    """Annotations of the pods' service account, by which a cloud gives it an identity."""
    pod_labels: Mapping[PodLabelKey, LabelValue] = field(default_factory=dict[str, str])
    """Labels of the pods, which some clouds ask for as well."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.replicas > 1 and not self.seal_type:
            raise FieldError("seal_type", "required with several replicas: each one that restarts must unseal itself")
        if self.seal_type:
            check_values(VaultSeal, {self.seal_type: self._seal}, "seal.")

    @property
    def _seal(self) -> dict[str, str]:
        """The seal as a stack file has it."""
        secret = {"transit": "tokenSecret", "static": "keySecret"}.get(self.seal_type)
        parameters = {to_camel(name): value for name, value in self.seal_parameters.items()}
        return {**parameters, **({secret: self.seal_secret} if secret else {})}


@dataclass(frozen=True)
class InjectorArgs:
    """The agent injector. `ca_certificate` is the PEM of Vault's authority, for the agents (empty: public ones).

    No pod of the `spared_namespaces` waits for it: a webhook that fails closed must not block the pods that it needs
    to come back, nor the gateway's.
    """

    replicas: Replicas = 1
    fail_closed: bool = False
    ca_certificate: Pem = ""
    spared_namespaces: Sequence[Label] = PLATFORM_NAMESPACES

    def __post_init__(self) -> None:
        check_fields(self)


def chart_values(
    server: ServerArgs | None,
    injector: InjectorArgs | None,
    openbao: bool,
    external_address: str | None,
    hub: str | None = None,
) -> dict[str, Any]:
    """The values of the release: a server or the address of an external one, and an injector unless it is `None`.

    `hub` is the registry path of the images; `None`: their projects' own.
    """
    values: dict[str, Any] = {
        # The network policies of services select these names and labels, the same with both charts.
        "fullnameOverride": VAULT_RELEASE,
        "nameOverride": VAULT_RELEASE,
        "global": {"enabled": True, "tlsDisable": False},
        "server": server_values(server, openbao, hub) if server else {"enabled": False},
        "injector": injector_values(injector, openbao, hub) if injector else {"enabled": False},
        "csi": {"enabled": False},
        "ui": {"enabled": False},
    }
    if external_address:
        values["global"]["externalVaultAddr"] = external_address
    return values


def server_values(args: ServerArgs, openbao: bool, hub: str | None = None) -> dict[str, Any]:
    """The section `server`: raft replicas on different nodes, with volumes for data and audit."""
    raft = {"enabled": True, "setNodeId": True, "config": server_config(args, openbao)}
    storage = {"enabled": True, "storageClass": args.storage_class}
    values: dict[str, Any] = {
        "enabled": True,
        "image": _image(openbao, hub),
        "authDelegator": {"enabled": True},
        "serviceAccount": {"annotations": dict(args.account_annotations)},
        "extraLabels": dict(args.pod_labels),
        "standalone": {"enabled": False},
        "ha": {
            "enabled": True,
            "replicas": args.replicas,
            "apiAddr": f"https://{VAULT_RELEASE}.{VAULT_NAMESPACE}.svc:{VAULT_PORT}",
            "raft": raft,
            "disruptionBudget": {"enabled": args.replicas > 1, "maxUnavailable": (args.replicas - 1) // 2},
        },
        "affinity": _apart("server") if args.replicas > 1 else "",
        "dataStorage": {**storage, "size": args.data_size, "mountPath": _DATA_DIRECTORY},
        "auditStorage": {**storage, "size": args.audit_size, "mountPath": AUDIT_DIRECTORY},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "resources": _resources("250m", "256Mi", "1", "1Gi"),
        "statefulSet": {"securityContext": {"pod": _pod_security(), "container": _container_security()}},
        "shareProcessNamespace": True,
        "extraContainers": [_reloader(args, openbao)],
        "extraEnvironmentVars": {"VAULT_CACERT": f"{TLS_DIRECTORY}/ca.crt"},
        "volumes": [
            {"name": "tls", "secret": {"secretName": args.tls_secret, "defaultMode": 0o440}},
            # The start script of the chart writes the configuration to /tmp; the root file system is read-only.
            {"name": "scratch", "emptyDir": {}},
        ],
        "volumeMounts": [
            {"name": "tls", "mountPath": TLS_DIRECTORY, "readOnly": True},
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
        ],
    }
    if args.seal_type == "transit":
        # The seal takes its token from the configuration or from this variable.
        token = {"envName": "VAULT_TOKEN", "secretName": args.seal_secret, "secretKey": "token"}
        values["extraSecretEnvironmentVars"] = [token]
    if args.authorities:
        values["volumes"].append({"name": "authorities", "configMap": {"name": args.authorities}})
        values["volumeMounts"].append({"name": "authorities", "mountPath": AUTHORITIES_DIRECTORY, "readOnly": True})
    if args.seal_type == "static":
        values["volumes"].append({"name": "seal", "secret": {"secretName": args.seal_secret, "defaultMode": 0o440}})
        values["volumeMounts"].append({"name": "seal", "mountPath": _SEAL_DIRECTORY, "readOnly": True})
    return values


def server_config(args: ServerArgs, openbao: bool) -> str:
    """The configuration file of the server (https://developer.hashicorp.com/vault/docs/configuration)."""
    joins = [
        _block(
            "retry_join",
            {
                "leader_api_addr": f"https://{VAULT_RELEASE}-{number}.{VAULT_RELEASE}-internal:{VAULT_PORT}",
                "leader_ca_cert_file": f"{TLS_DIRECTORY}/ca.crt",
                "leader_client_cert_file": f"{TLS_DIRECTORY}/tls.crt",
                "leader_client_key_file": f"{TLS_DIRECTORY}/tls.key",
            },
        )
        for number in range(args.replicas)
    ]
    listener = {
        "address": f"[::]:{VAULT_PORT}",
        "cluster_address": f"[::]:{VAULT_PORT + 1}",
        "tls_cert_file": f"{TLS_DIRECTORY}/tls.crt",
        "tls_key_file": f"{TLS_DIRECTORY}/tls.key",
        "tls_min_version": "tls12",
    }
    parts = [
        "ui = false",
        "disable_mlock = true",
        _block('listener "tcp"', listener),
        _block('storage "raft"', {"path": _DATA_DIRECTORY}, joins),
        'service_registration "kubernetes" {}',
        _block("telemetry", {"prometheus_retention_time": "30s"}, ["disable_hostname = true"]),
    ]
    if args.seal_type:
        parts.append(_block(f'seal "{args.seal_type}"', _seal_parameters(args)))
    if openbao:
        # The program creates audit devices by the API, which OpenBao refuses by default.
        parts.append("unsafe_allow_api_audit_creation = true")
    return "\n".join(parts) + "\n"


def reload_script(program: str, directory: str = TLS_DIRECTORY, seconds: int = _RELOAD_SECONDS) -> str:
    """The shell script that signals the server when its certificate is another one, so that it reads both files.

    https://developer.hashicorp.com/vault/docs/configuration/listener/tcp#tls_cert_file
    """
    return f"""\
set -eu
served=$(cat {directory}/tls.crt)
while sleep {seconds}; do
  now=$(cat {directory}/tls.crt)
  if [ "$now" != "$served" ] && pkill -HUP -x {program}; then served=$now; fi
done
"""


def _reloader(args: ServerArgs, openbao: bool) -> dict[str, Any]:
    """The container that runs it. It sees the server's process, and signals it as the same user."""
    return {
        "name": "reloader",
        "image": args.image,
        "command": ["/bin/sh", "-c", reload_script("bao" if openbao else "vault")],
        "resources": _resources("5m", "8Mi", "50m", "32Mi"),
        "securityContext": _container_security(),
        "volumeMounts": [{"name": "tls", "mountPath": TLS_DIRECTORY, "readOnly": True}],
    }


def _seal_parameters(args: ServerArgs) -> dict[str, str]:
    parameters = dict(args.seal_parameters)
    if args.seal_type == "static":
        # https://openbao.org/docs/configuration/seal/static
        ids = {"current_key": "current_key_id", "previous_key": "previous_key_id"}
        parameters |= {
            key: f"file://{_SEAL_DIRECTORY}/{parameters[name]}" for key, name in ids.items() if name in parameters
        }
    return parameters


def injector_values(args: InjectorArgs, openbao: bool, hub: str | None = None) -> dict[str, Any]:
    """The section `injector`."""
    selector = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": list(args.spared_namespaces)}
    values: dict[str, Any] = {
        "enabled": True,
        "replicas": args.replicas,
        "image": _named(f"{hub or VAULT_HUB}/{INJECTOR}", openbao),
        "agentImage": _image(openbao, hub),
        "webhook": {
            "failurePolicy": "Fail" if args.fail_closed else "Ignore",
            "namespaceSelector": {"matchExpressions": [selector]},
        },
        "affinity": _apart("webhook") if args.replicas > 1 else "",
        "podDisruptionBudget": {"maxUnavailable": 1} if args.replicas > 1 else {},
        "resources": _resources("50m", "64Mi", "250m", "128Mi"),
        "securityContext": {"pod": _pod_security(), "container": _container_security()},
    }
    if args.ca_certificate:
        values["extraEnvironmentVars"] = {"AGENT_INJECT_VAULT_CACERT_BYTES": args.ca_certificate}
    return values


def _image(openbao: bool, hub: str | None) -> dict[str, str]:
    """The image of servers and agents, by the full name and version that the rules know the agents' by."""
    repository, _, tag = from_hub(OPENBAO_IMAGE if openbao else VAULT_IMAGE, hub).rpartition(":")
    return {**_named(repository, openbao), "tag": tag}


def _named(repository: str, openbao: bool) -> dict[str, str]:
    """An image without a tag. OpenBao's chart writes a registry before each repository."""
    registry, _, path = repository.partition("/")
    return {"registry": registry, "repository": path} if openbao else {"repository": repository}


def _block(head: str, pairs: Mapping[str, str], inner: list[str] | None = None) -> str:
    lines = [f'{key} = "{_escaped(value)}"' for key, value in pairs.items()] + (inner or [])
    body = "\n".join(f"  {line}" for text in lines for line in text.splitlines())
    return f"{head} {{\n{body}\n}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _apart(component: str) -> dict[str, Any]:
    term = {
        "labelSelector": {"matchLabels": {"app.kubernetes.io/instance": VAULT_RELEASE, "component": component}},
        "topologyKey": "kubernetes.io/hostname",
    }
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _resources(cpu: str, memory: str, cpu_limit: str, memory_limit: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": cpu_limit, "memory": memory_limit}}


def _pod_security() -> dict[str, Any]:
    return {
        "runAsNonRoot": True,
        "runAsUser": _VAULT_UID,
        "runAsGroup": _VAULT_GID,
        "fsGroup": _VAULT_GID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _container_security() -> dict[str, Any]:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }
