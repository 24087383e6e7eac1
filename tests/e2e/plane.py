"""One embedded control plane for the whole suite, driven as a person drives it: by its command line."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import hvac
import yaml
from kubernetes import client, config

from embedded.paths import State, cache_dir

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM_FILES = ("Pulumi.*", "__main__.py", "requirements.txt", "components", "policies", "services")


@dataclass(frozen=True)
class Plane:
    """A running control plane: its state directory, and the checkout whose program and stack files it runs."""

    state: Path
    checkout: Path = PROJECT

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "embedded", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "ZERO_TRUST_EMBEDDED_DIR": str(self.state),
            "NO_COLOR": "1",
            "PYTHONPATH": str(self.checkout),
        }

    def run(self, *arguments: str, check: bool = True, timeout: float = 2400) -> subprocess.CompletedProcess[str]:
        """Run `python -m embedded ...` and return what it printed; a failure shows all of it."""
        first_up = arguments[0] == "up" and "--no-stack" not in arguments and not self._stood.exists()
        with self.first_up() if first_up else nullcontext():
            done = subprocess.run(
                self.command(*arguments),
                cwd=self.checkout,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=timeout,
                check=False,
            )
        if arguments[:2] == ("up", "--stack") and done.returncode == 0:
            self._stood.write_text(self._standing(arguments[2]))
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(arguments)} exited with {done.returncode}:\n{done.stdout}")
        return done

    def stand(self, stack: str) -> None:
        """Have a stack up as the checkout says. Where an `up` of the same files was the last to change the state, that
        is so: it asks the state what is there, and another one would find nothing to do."""
        if not self._stood.exists() or self._stood.read_text() != self._standing(stack):
            self.run("up", "--stack", stack)

    def _standing(self, stack: str) -> str:
        """What there was when a stack came up: the files that say how, and the state."""
        written = sorted(path for pattern in PROGRAM_FILES for path in self.checkout.glob(pattern))
        files = [each for path in written for each in (sorted(path.rglob("*")) if path.is_dir() else [path])]
        state = State(self.state)
        files += [state.overlay, state.ports, *sorted(state.stacks.rglob(f"{stack}.json"))]
        digest = hashlib.sha256(stack.encode())
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(file.name.encode() + file.read_bytes())
        return digest.hexdigest()

    @property
    def _stood(self) -> Path:
        """There since a stack first stood on this plane."""
        return self.state.with_name(f"{self.state.name}.stood")

    @contextmanager
    def first_up(self) -> Iterator[None]:
        """Wait until no other plane of this machine has its first `up`: it takes all that two processors have, and a
        client that waits for an API server's schema does not wait long."""
        with (cache_dir() / "first-up.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `python -m embedded ...` in a process group of its own, to be killed half-way."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.checkout,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def checkpoint(self, stack: str, *options: str) -> dict[str, Any]:
        """The stack's state as Pulumi exports it: secrets stay encrypted without `--show-secrets`."""
        exported = subprocess.run(
            self.command("pulumi", "stack", "export", "--stack", stack, *options),
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        )
        return json.loads(exported.stdout)

    def forget(self, stack: str, urns: set[str]) -> None:
        """Take resources out of the stack's state alone."""
        whole = self.checkpoint(stack)
        rest = [each for each in whole["deployment"]["resources"] if each["urn"] not in urns]
        for each in rest:
            each["dependencies"] = [urn for urn in each.get("dependencies", ()) if urn not in urns]
            named = each.get("propertyDependencies") or {}
            each["propertyDependencies"] = {key: [urn for urn in of if urn not in urns] for key, of in named.items()}
        file = self.state / "without.json"
        file.write_text(json.dumps({**whole, "deployment": {**whole["deployment"], "resources": rest}}))
        self.run("pulumi", "stack", "import", "--stack", stack, "--file", str(file))

    @cached_property
    def api(self) -> client.ApiClient:
        """A client with the administrator's certificate."""
        return config.new_client_from_config(str(self.state / "kubeconfig"))

    # The generated client types every field as optional and every body as a model; the tests use plain objects.
    @property
    def core(self) -> Any:
        return client.CoreV1Api(self.api)

    @property
    def apps(self) -> Any:
        return client.AppsV1Api(self.api)

    @property
    def batch(self) -> Any:
        return client.BatchV1Api(self.api)

    @property
    def networking(self) -> Any:
        return client.NetworkingV1Api(self.api)

    @property
    def admission(self) -> Any:
        return client.AdmissionregistrationV1Api(self.api)

    @property
    def extensions(self) -> Any:
        return client.ApiextensionsV1Api(self.api)

    @property
    def objects(self) -> Any:
        return client.CustomObjectsApi(self.api)

    def apply(self, path: str, manager: str, body: dict[str, Any]) -> tuple[int, str]:
        """Apply an object over whatever is there, as that field manager; the status and the text of the answer."""
        api: Any = self.api
        answer = api.call_api(
            "PATCH",
            f"{api.configuration.host}{path}?fieldManager={manager}&force=true",
            header_params={"Content-Type": "application/apply-patch+yaml", "Accept": "application/json"},
            body=body,
            _request_timeout=60,
        )
        return answer.status, bytes(answer.read() or b"").decode()

    def token(self, namespace: str, account: str, audience: str | None = None) -> str:
        """A fresh token of a service account, as a projected volume would hold it."""
        return requested_token(self.core, namespace, account, audience)

    def core_as(self, namespace: str, account: str) -> Any:
        """The core API, as nothing but that service account."""
        return client.CoreV1Api(self.client_as(namespace, account))

    def client_as(self, namespace: str, account: str) -> client.ApiClient:
        """A client that is nothing but that service account."""
        admin = self.api.configuration
        own = client.Configuration()
        own.host, own.ssl_ca_cert = admin.host, admin.ssl_ca_cert
        token = f"Bearer {self.token(namespace, account)}"
        return client.ApiClient(own, header_name="Authorization", header_value=token)

    def client_of(self, user: str, group: str = "") -> client.ApiClient:
        """A client that is somebody else, by the administrator's right to impersonate."""
        own: Any = client.ApiClient(self.api.configuration, header_name="Impersonate-User", header_value=user)
        if group:
            own.set_default_header("Impersonate-Group", group)
        return own

    @property
    def processes(self) -> list[dict[str, Any]]:
        """What runs, as the supervisor writes it for `status`."""
        return json.loads(State(self.state).status.read_text())["processes"]

    @cached_property
    def overlay(self) -> dict[str, Any]:
        return yaml.safe_load((self.state / "overlay.yaml").read_text())

    def vault(self, token: str | None = None) -> hvac.Client:
        where = self.overlay["vault"]
        return hvac.Client(url=where["address"], verify=where["caCertFile"], token=token)

    def vault_as_deployer(self) -> hvac.Client:
        """A Vault client logged in as `pulumi up` does: with the deployer's client certificate."""
        login = self.overlay["vault"]["login"]
        where = self.overlay["vault"]
        deployer = hvac.Client(
            url=where["address"], verify=where["caCertFile"], cert=(login["certFile"], login["keyFile"])
        )
        deployer.auth.cert.login(name=login["role"])
        return deployer

    def vault_as_service(self, namespace: str, account: str, role: str) -> hvac.Client:
        """A Vault client logged in as the agent of that service would: with the projected token's audience."""
        anonymous = self.vault()
        answer = anonymous.auth.kubernetes.login(role=role, jwt=self.token(namespace, account, "vault"))
        return self.vault(answer["auth"]["client_token"])


def requested_token(core: Any, namespace: str, account: str, audience: str | None) -> str:
    """A fresh token of a service account, from whoever asks the core API."""
    spec = client.V1TokenRequestSpec(audiences=[audience] if audience else [], expiration_seconds=600)
    request = client.AuthenticationV1TokenRequest(spec=spec)
    return core.create_namespaced_service_account_token(account, namespace, request).status.token


def copy_program(target: Path) -> Path:
    """A copy of the program and its stack files that a test may edit, as a team edits theirs in a pull request."""
    for pattern in PROGRAM_FILES:
        for source in PROJECT.glob(pattern):
            if source.is_dir():
                shutil.copytree(source, target / source.name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, target / source.name)
    shutil.copytree(PROJECT / "embedded", target / "embedded", ignore=shutil.ignore_patterns("__pycache__"))
    return target
