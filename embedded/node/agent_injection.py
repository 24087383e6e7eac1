"""What Vault's injector makes of a pod's annotations: an init container, a sidecar, and the volume that they write to.

The injector itself is in no package registry. This is what its documentation says of each annotation, no more: one that
is not known here is refused, so that none is without effect unnoticed.
https://developer.hashicorp.com/vault/docs/platform/k8s/injector/annotations
"""

import base64
import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

IMAGE = "docker.io/hashicorp/vault:2.0.4"
_PREFIX = "vault.hashicorp.com/"
_SECRETS, _HOME = "/vault/secrets", "/home/vault"
_ACCOUNT = "/var/run/secrets/vault.hashicorp.com/serviceaccount"
_COMMAND = "echo ${VAULT_CONFIG?} | base64 -d > /home/vault/config.json && vault agent -config=/home/vault/config.json"
_GROUP = 1000
_OF_A_SECRET = ("agent-inject-secret-", "agent-inject-file-", "agent-inject-perms-", "agent-inject-template-")
_KNOWN = {
    "agent-inject",
    "agent-inject-containers",
    "agent-init-first",
    "agent-init-json-patch",
    "agent-json-patch",
    "agent-limits-cpu",
    "agent-limits-mem",
    "agent-pre-populate",
    "agent-pre-populate-only",
    "agent-requests-cpu",
    "agent-requests-mem",
    "agent-run-as-same-user",
    "agent-service-account-token-volume-name",
    "agent-set-security-context",
    "auth-path",
    "role",
    "template-static-secret-render-interval",
}

Manifest = dict[str, Any]


class InjectionError(Exception):
    """An annotation that is not known here, or asks for what is not done here."""


@dataclass(frozen=True, slots=True)
class VaultPlace:
    """Where the agents find Vault, the authority of its certificate, the name in that if it is not the address's, and
    the agents' image."""

    address: str
    authority: str
    server_name: str = ""
    image: str = IMAGE


def wanted(pod: Manifest) -> bool:
    """Whether the pod asks for an agent, and has none yet."""
    annotations = pod["metadata"].get("annotations") or {}
    return annotations.get(f"{_PREFIX}agent-inject") == "true" and f"{_PREFIX}agent-inject-status" not in annotations


def inject(pod: Manifest, vault: VaultPlace) -> Manifest:
    """The pod with its agent. Raises ``InjectionError``."""
    made = copy.deepcopy(pod)
    said = _said(made)
    agent = _Agent(made["spec"], said, vault)
    spec = made["spec"]
    mount = {"name": "vault-secrets", "mountPath": _SECRETS}
    readers = said["agent-inject-containers"].split(",")
    for container in spec["containers"]:
        if container["name"] in readers:
            container.setdefault("volumeMounts", []).append(mount)
    others = spec.get("initContainers") or []
    for container in others:
        if container["name"] in readers:
            container.setdefault("volumeMounts", []).append(mount)
    first = [agent.container("vault-agent-init", "home-init", once=True)]
    spec["initContainers"] = [*first, *others] if said.get("agent-init-first") == "true" else [*others, *first]
    if said.get("agent-pre-populate-only") != "true":
        spec["containers"].append(agent.container("vault-agent", "home-sidecar", once=False))
    spec.setdefault("volumes", []).extend(
        {"name": name, "emptyDir": {"medium": "Memory"}} for name in ("home-init", "home-sidecar", "vault-secrets")
    )
    made["metadata"].setdefault("annotations", {})[f"{_PREFIX}agent-inject-status"] = "injected"
    return made


def _said(pod: Manifest) -> dict[str, str]:
    annotations: Mapping[str, str] = pod["metadata"].get("annotations") or {}
    said = {key.removeprefix(_PREFIX): value for key, value in annotations.items() if key.startswith(_PREFIX)}
    unknown = sorted(key for key in said if key not in _KNOWN and not key.startswith(_OF_A_SECRET))
    if unknown:
        raise InjectionError(f"the annotation {_PREFIX}{unknown[0]} is not known to the embedded injector")
    for key in ("agent-pre-populate", "agent-run-as-same-user", "agent-set-security-context"):
        if said.get(key, "true") != "true":
            raise InjectionError(f"{_PREFIX}{key}: the embedded injector knows only true")
    return said


class _Agent:
    """The agent of one pod, as an init container and as a sidecar."""

    def __init__(self, spec: Manifest, said: Mapping[str, str], vault: VaultPlace) -> None:
        self._spec = spec
        self._said = said
        self._vault = vault

    def container(self, name: str, home: str, *, once: bool) -> Manifest:
        """The container; ``once`` is the init container, which ends when the files are there."""
        said = self._said
        config = base64.b64encode(json.dumps(self._configuration(once=once)).encode()).decode()
        made: Manifest = {
            "name": name,
            "image": self._vault.image,
            "command": ["/bin/sh", "-ec"],
            "args": [_COMMAND],
            "env": [
                _of_the_pod("NAMESPACE", "metadata.namespace"),
                _of_the_pod("HOST_IP", "status.hostIP"),
                _of_the_pod("POD_IP", "status.podIP"),
                {"name": "VAULT_LOG_LEVEL", "value": "info"},
                {"name": "VAULT_LOG_FORMAT", "value": "standard"},
                {"name": "VAULT_CONFIG", "value": config},
                {"name": "VAULT_CACERT_BYTES", "value": self._vault.authority},
            ],
            "resources": {
                kind: {"cpu": said[f"agent-{kind}-cpu"], "memory": said[f"agent-{kind}-mem"]}
                for kind in ("requests", "limits")
            },
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
                "runAsGroup": _GROUP,
                "runAsNonRoot": True,
                "runAsUser": self._user(),
            },
            "volumeMounts": [
                {"name": home, "mountPath": _HOME},
                {
                    "name": said["agent-service-account-token-volume-name"],
                    "mountPath": _ACCOUNT,
                    "readOnly": True,
                },
                {"name": "vault-secrets", "mountPath": _SECRETS},
            ],
        }
        _patch(made, said.get("agent-init-json-patch" if once else "agent-json-patch", "[]"))
        return made

    def _user(self) -> int:
        """That of the first container, since it is to run as the same."""
        containers: list[Manifest] = self._spec["containers"]
        user = containers[0].get("securityContext", {}).get("runAsUser")
        return user or self._spec.get("securityContext", {})["runAsUser"]

    def _configuration(self, *, once: bool) -> Manifest:
        said = self._said
        method = {
            "type": "kubernetes",
            "mount_path": said["auth-path"],
            "config": {"role": said["role"], "token_path": f"{_ACCOUNT}/{self._token_file()}"},
        }
        sink = {"type": "file", "config": {"path": f"{_HOME}/.vault-token"}}
        name = self._vault.server_name
        return {
            "auto_auth": {"method": method, "sink": [sink]},
            "exit_after_auth": once,
            "pid_file": f"{_HOME}/.pid",
            "vault": {"address": self._vault.address, **({"tls_server_name": name} if name else {})},
            "template": [self._template(key) for key in said if key.startswith(_OF_A_SECRET[0])],
            "template_config": {
                "exit_on_retry_failure": True,
                "static_secret_render_interval": said["template-static-secret-render-interval"],
            },
        }

    def _template(self, key: str) -> Manifest:
        name = key.removeprefix(_OF_A_SECRET[0])
        return {
            "destination": f"{_SECRETS}/{self._said[f'agent-inject-file-{name}']}",
            "contents": self._said[f"agent-inject-template-{name}"],
            "perms": self._said[f"agent-inject-perms-{name}"],
            "left_delimiter": "{{",
            "right_delimiter": "}}",
        }

    def _token_file(self) -> str:
        name = self._said["agent-service-account-token-volume-name"]
        [volume] = [volume for volume in self._spec.get("volumes") or [] if volume["name"] == name]
        [source] = [source for source in volume["projected"]["sources"] if "serviceAccountToken" in source]
        return source["serviceAccountToken"]["path"]


def _of_the_pod(name: str, field: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}}


def _patch(container: Manifest, patch: str) -> None:
    """Apply a JSON patch that adds mounts. Raises ``InjectionError`` for any other."""
    for step in json.loads(patch):
        if step["op"] != "add" or step["path"] != "/volumeMounts/-":
            raise InjectionError(f"the embedded injector knows no patch {step['op']} {step['path']}")
        container["volumeMounts"].append(step["value"])
