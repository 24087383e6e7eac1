"""What others may see of the embedded control plane: where its cluster, its Vault and its logs are, and its tools.

The `zt` command imports this module and no other. Imports stay inside, so that it costs nothing to a command that asks
for a path.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

import yaml

from embedded.paths import State, cache_dir, state_dir

_START = "start the control plane with `make up`"
# An audit device that writes to the server's output.
_OUTPUT = "stdout"


class EmbeddedPlaneError(Exception):
    """What was asked for is not there. One line: what, and what to do about it."""


@dataclass(frozen=True, slots=True)
class VaultPlace:
    """Where the control plane's Vault serves, and the authority of its certificate."""

    address: str
    ca_file: Path


@dataclass(frozen=True, slots=True)
class PulumiCommand:
    """How to run the CLI on a stack: the executable, the directory to run it in, and all of its environment."""

    executable: Path
    project: Path
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EmbeddedPlane:
    """The control plane whose files are below `root`: this checkout's. Asking starts nothing."""

    root: Path = field(default_factory=state_dir)

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig of the cluster's administrator; there once the control plane was started."""
        return self._state.kubeconfig

    def overlay(self) -> Path:
        """The file with the addresses of its parts. Raises `EmbeddedPlaneError` before the first start."""
        overlay = self._state.overlay
        if not overlay.is_file():
            raise EmbeddedPlaneError(f"there is no {overlay}: {_START}")
        return overlay

    def vault(self) -> VaultPlace:
        """Its Vault. Raises `EmbeddedPlaneError` before the first start."""
        place = yaml.safe_load(self.overlay().read_text(encoding="utf-8"))["vault"]
        return VaultPlace(place["address"], Path(place["caCertFile"]))

    def audit_log(self, device: str) -> Path:
        """Where an audit device of a stack file writes on this host: the path of a file, or `stdout`."""
        return self._server_log if device == _OUTPUT else self._state.vault / PurePath(device).name

    def audit_logs(self) -> tuple[Path, ...]:
        """The logs of the devices that write to files, then the server's output. Raises `EmbeddedPlaneError`."""
        files = [*sorted(self._state.vault.glob("*.log*")), self._server_log]
        if found := tuple(file for file in files if file.is_file()):
            return found
        raise EmbeddedPlaneError(f"there is no audit log in {self._state.vault}: {_START}")

    def istiod(self, revision: str | None) -> str:
        """The address at which the istiod of a revision signs certificates; empty when it has none."""
        from embedded.supervisor.ports import LOOPBACK, load_ports

        name = f"istiod-{revision}" if revision else "istiod"
        port = load_ports(self._state.ports).get(f"{name}.secure-grpc")
        return f"{LOOPBACK}:{port}" if port else ""

    def pulumi(self, stack: str) -> PulumiCommand:
        """The CLI for a stack, which is made if it is new.

        Raises `EmbeddedPlaneError` when the control plane does not run, there is no such stack, or a tool is missing.
        """
        from embedded.cli import NEEDED_TOOLS
        from embedded.pulumi_stack import PulumiStack, StackError
        from embedded.supervisor.control_plane import ControlPlane
        from embedded.toolchain import ToolchainError, ensure

        if not ControlPlane(self._state).status():
            raise EmbeddedPlaneError("the control plane does not run: start it with `python -m embedded up --no-stack`")
        try:
            tools = ensure(NEEDED_TOOLS)
            program = PulumiStack(stack, self._state, tools)
            program.prepare()
            return PulumiCommand(tools / "pulumi", program.project, program.environment())
        except (StackError, ToolchainError) as error:
            raise EmbeddedPlaneError(str(error)) from error

    @staticmethod
    def tool(name: str, *, progress: bool) -> Path:
        """A pinned tool, built when it is missing. No control plane has to run. Raises `EmbeddedPlaneError`."""
        from embedded.toolchain import ToolchainError, ensure

        try:
            return ensure([name], progress=progress) / name
        except ToolchainError as error:
            raise EmbeddedPlaneError(str(error)) from error

    @staticmethod
    def cache() -> Path:
        """The directory that outlives checkouts: of built tools, and of what a command keeps of its earlier runs."""
        return cache_dir()

    @staticmethod
    def kubernetes_version() -> str:
        """The version that the pinned API server calls itself."""
        from embedded.toolchain.table import KUBERNETES_VERSION

        return KUBERNETES_VERSION

    @property
    def _state(self) -> State:
        return State(self.root)

    @property
    def _server_log(self) -> Path:
        return self._state.logs / "vault.log"
