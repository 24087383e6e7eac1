"""Which modules share a control plane, and in which order they use it.

A module's first step is an `up` of its own, and that brings a living stack to what the module's stack file says. So a
module may follow another one when that leaves behind nothing that is not the stack's. What each group relies on:

- The counters of an API server begin with it: the dashboard comes before anything else is refused.
- A namespace with volumes is protected: no `up` of another module takes it away, so such a module is the last of its
  group.
- Kyverno's reports take a third of the processor: the fixture `reported` has them for the modules that read them.
- A plane whose supervisor is killed, whose stack is destroyed or which a page ends is the last of its group.

Two groups run at a time, on planes of their own: two stacks on one cluster would both own its mounts and releases.
Most groups begin with production as the checkout has it. Its first `up` takes longer than anything else, so a process
has it once, and later groups start from what that one saved.
"""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.plane import Plane

# The longest first, so that no worker is left alone with one at the end.
GROUPS: dict[str, tuple[str, ...]] = {
    "operated": ("vault_operations", "promotion", "attack", "namespace_attack"),
    "carried": ("gateway_routes", "package_edges", "data_plane"),
    "documented": (
        *(
            "policy_metrics",
            "production",
            "service_objects",
            "namespace_rights",
            "server_certificate",
            "preview_role",
            "preflight",
            "hosts",
        ),
        "documentation",
    ),
    "reported": ("staging",),
    "judged": ("library",),
    "spared": ("excluded_namespaces", "packages", "service_files"),
    "shared": ("teams",),
    "delivered": ("upgrade", "external_secrets"),
    "connected": ("database",),
    # Its connections to databases are protected, so that no other stack's `up` could take them away.
    "exemplified": ("example_databases",),
    "beside": ("existing_layers", "adopt"),
    "elsewhere": ("layers_elsewhere",),
    "ambient": ("ambient",),
    "published": ("published_packages",),
    # The second brings up production by hand, in a state of its own.
    "grown": ("dev", "real_cluster"),
}
# Those that do not begin with production: on a bare control plane, with another stack, or with what stood before one.
BARE = frozenset({"judged", "reported", "delivered", "exemplified", "beside", "elsewhere", "ambient", "grown"})
_PRODUCTION = "production"
_DOWN_SECONDS = 180.0
_ORDER = {module: place for place, module in enumerate(module for group in GROUPS.values() for module in group)}


def group_of(module: str) -> str:
    """The group of a module, `tests.e2e.test_dev` for one; one that shares nothing is a group of its own."""
    name = _short(module)
    return next((group for group, modules in GROUPS.items() if name in modules), name)


def place_of(module: str) -> int:
    """Where a module stands: the groups first, each in its order, and then what needs no control plane."""
    return _ORDER.get(_short(module), len(_ORDER))


def _short(module: str) -> str:
    return module.rpartition(".")[2].removeprefix("test_")


@dataclass
class Planes:
    """The one control plane of this process: that of the group whose tests run."""

    new_directory: Callable[[], Path]
    saves: bool = False
    """Whether later groups begin with what the first one saved, which a run of one module has no use for."""
    _running: dict[str, Plane] = field(default_factory=dict[str, Plane])
    _saved: "Saved | None" = None
    _ends: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])

    def of(self, group: str) -> Plane:
        """The group's plane, booted when its first module asks."""
        if group not in self._running:
            self.end()
            standing = group in GROUPS and group not in BARE
            made = self._place(standing)
            self._running[group] = made
            self._ends.append(_end_of(made))
            _boot(made)
            if standing and self.saves and not self._saved:
                self._saved = Saved.of(made, self.new_directory() / "saved")
                _boot(made)
        return self._running[group]

    def _place(self, standing: bool) -> Plane:
        if not (standing and self._saved):
            return Plane(self.new_directory() / "embedded")
        # The one before it was in the same place.
        self.wait()
        self._saved.bring_back()
        return Plane(self._saved.place / "embedded")

    def end(self) -> None:
        """Stop what runs, while the next group begins: controllers take their time to end in good order."""
        self._running.clear()
        for end in self._ends:
            if end.stdin:
                end.stdin.close()

    def wait(self) -> None:
        """Wait until nothing is left of any. Their files stay, as the files of any test do."""
        self.end()
        codes = [end.wait(timeout=_DOWN_SECONDS) for end in self._ends]
        assert not any(codes), f"`down` ended with {codes}"


@dataclass(frozen=True)
class Saved:
    """A stopped control plane with production on it. Its files name their place and its ports, so it returns there."""

    place: Path
    copy: Path

    @classmethod
    def of(cls, plane: Plane, copy: Path) -> "Saved":
        """Bring production up for the first time, stop the plane, and copy it."""
        plane.stand(_PRODUCTION)
        plane.run("down")
        _copy(plane.state.parent, copy)
        return cls(plane.state.parent, copy)

    def bring_back(self) -> None:
        """Put the copy in the place of whatever is there."""
        shutil.rmtree(self.place)
        _copy(self.copy, self.place)


def _boot(plane: Plane) -> None:
    plane.run("up", "--no-stack", "--no-reports", timeout=3600)


def _copy(source: Path, target: Path) -> None:
    # With owners, times, and sockets.
    subprocess.run(["cp", "--archive", str(source), str(target)], check=True)


def _end_of(plane: Plane) -> subprocess.Popen[bytes]:
    """`down`, once nobody holds its standard input: the group has ended, or this process has, however it did."""
    return subprocess.Popen(
        ["sh", "-c", 'cat > /dev/null; exec "$@"', "sh", *plane.command("down")],
        cwd=plane.checkout,
        env=plane.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
