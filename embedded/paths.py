"""Where the embedded stack keeps its files: per checkout under ``.embedded``, and what checkouts share in a cache."""

import os
from dataclasses import dataclass, field
from pathlib import Path

STATE_VARIABLE = "ZERO_TRUST_EMBEDDED_DIR"
CACHE_VARIABLE = "ZERO_TRUST_CACHE"
CHECKOUT = Path(__file__).resolve().parent.parent

_PRIVATE = 0o700


def cache_dir() -> Path:
    """The directory that checkouts share: built tools and staged charts. Created when absent.

    ``ZERO_TRUST_CACHE`` names it; otherwise it lies in the user's cache directory (XDG Base Directory Specification).
    """
    named = os.environ.get(CACHE_VARIABLE)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    directory = Path(named) if named else Path(base) / "zero-trust-platform"
    directory = directory.expanduser().absolute()
    directory.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
    return directory


def state_dir() -> Path:
    """The state directory of this checkout: ``ZERO_TRUST_EMBEDDED_DIR``, or ``.embedded`` at its root."""
    named = os.environ.get(STATE_VARIABLE)
    return Path(named).expanduser().absolute() if named else CHECKOUT / ".embedded"


@dataclass(frozen=True, slots=True)
class State:
    """Every path of one embedded stack. ``create`` makes the directories, readable by their owner only."""

    root: Path = field(default_factory=state_dir)

    @property
    def kubeconfig(self) -> Path:
        """Client configuration of the cluster's administrator; what ``KUBECONFIG`` points at."""
        return self.root / "kubeconfig"

    @property
    def pki(self) -> Path:
        """Certificate authorities, certificates and keys."""
        return self.root / "pki"

    @property
    def etcd(self) -> Path:
        """Data directory of etcd."""
        return self.root / "etcd"

    @property
    def logs(self) -> Path:
        """One log file per process."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """Process ids, sockets, locks and generated configuration files."""
        return self.root / "run"

    @property
    def ports(self) -> Path:
        """The ports this stack was given, as JSON: kept, so that addresses survive a restart."""
        return self.root / "ports.json"

    @property
    def status(self) -> Path:
        """What runs and whether it is ready, as JSON, written by the supervisor."""
        return self.root / "status.json"

    @property
    def vault(self) -> Path:
        """Raft storage, seal key, recovery keys and audit log of OpenBao."""
        return self.root / "vault"

    @property
    def postgres(self) -> Path:
        """Data directory of PostgreSQL."""
        return self.root / "postgres"

    @property
    def pulumi_home(self) -> Path:
        """``PULUMI_HOME``: credentials and plugins of the CLI, apart from the user's own."""
        return self.root / "pulumi"

    @property
    def backend(self) -> Path:
        """What the state service keeps, laid out as Pulumi's file backend lays it out."""
        return self.root / "state"

    @property
    def stacks(self) -> Path:
        """The stacks' checkpoints, and the journals of updates that are under way: one directory for each project."""
        return self.backend / ".pulumi" / "stacks"

    @property
    def state_service_token(self) -> Path:
        """The token that the state service asks for."""
        return self.root / "state-service.token"

    @property
    def passphrase_file(self) -> Path:
        """``PULUMI_CONFIG_PASSPHRASE_FILE``: the generated passphrase that encrypts secrets in the checkpoints."""
        return self.root / "passphrase"

    @property
    def overlay(self) -> Path:
        """``ZERO_TRUST_OVERLAY``: tells the program where Vault and the charts are."""
        return self.root / "overlay.yaml"

    @property
    def directories(self) -> tuple[Path, ...]:
        """Every directory ``create`` makes."""
        return (
            self.root,
            self.pki,
            self.etcd,
            self.logs,
            self.run,
            self.vault,
            self.postgres,
            self.pulumi_home,
            self.backend,
        )

    def create(self) -> "State":
        """Make the directories with mode 0700, tightening any that exist, and return this state."""
        for directory in self.directories:
            directory.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
            directory.chmod(_PRIVATE)
        return self
