"""Every command block of the documentation, page by page, as a reader types it: on a copy of the project, and the
production stack of a living control plane.

Each page begins with the project as it is committed. A block runs in a shell of its own with what the blocks before it
exported, and ends at the first command that fails. `.venv/bin` is on the PATH, `pulumi` and `kubectl` are those of the
embedded control plane.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from components.kube.names import OPERATOR
from embedded.access import EmbeddedPlane
from embedded.cli import NEEDED_TOOLS
from embedded.paths import State, cache_dir
from embedded.pulumi_stack import pulumi_environment
from embedded.toolchain import ensure
from tests.e2e.plane import PROJECT, Plane
from tests.e2e.policy_reports import scanned
from tests.support.documentation import Block, every_block

pytestmark = pytest.mark.e2e

# The last page ends the stack and the control plane; what ends them elsewhere comes after it. The one before it starts
# an ACME server, which stays: from then on nothing is asked of Let's Encrypt.
LATE = ("docs/how-to/ingress.md", "docs/tutorial.md")
_ENDING = re.compile(r"^make (destroy|down|clean)\b", re.MULTILINE)
_NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".embedded", ".*_cache", "__pycache__", "results")
_SHELL = """set -eo pipefail
if [ -f "$EXPORTED" ]; then . "$EXPORTED"; fi
trap 'code=$?; export -p > "$EXPORTED"; exit $code' EXIT
"""

BLOCKS = [block for block in every_block() if block.is_command or block.append_to]
RUN = sorted(
    (block for block in BLOCKS if not block.not_run),
    key=lambda block: 1 + LATE.index(block.page) if block.page in LATE else 3 if _ENDING.search(block.text) else 0,
)


@dataclass
class Reader:
    """Somebody with the project and a home of their own, who reads one page after another."""

    plane: Plane
    home: Path
    page: str = ""

    def turn_to(self, page: str) -> None:
        """Begin a page: with the committed files, and nothing exported."""
        if page == self.page:
            return
        self.page = page
        (self.home / "exported").unlink(missing_ok=True)
        self.runs("git", "reset", "--quiet", "--hard")
        self.runs("git", "clean", "--quiet", "--force", "-d")
        if page in PREPARED:
            PREPARED[page](self)

    def runs(self, *command: str) -> None:
        subprocess.run(command, cwd=self.plane.checkout, env=self.environment, check=True, timeout=600)

    @property
    def environment(self) -> dict[str, str]:
        tools = [ensure(NEEDED_TOOLS), ensure(["kubectl"])]
        own = pulumi_environment(State(self.plane.state), tools[0])
        path = [self.plane.checkout / ".venv" / "bin", tools[1], own["PATH"]]
        vault = self.plane.overlay["vault"]
        return own | {
            "PATH": os.pathsep.join(map(str, path)),
            "HOME": str(self.home),
            "EXPORTED": str(self.home / "exported"),
            "ZERO_TRUST_EMBEDDED_DIR": str(self.plane.state),
            "ZERO_TRUST_CACHE": str(cache_dir()),
            "VAULT_ADDR": vault["address"],
            "VAULT_CACERT": vault["caCertFile"],
            # What a person answers to the question of `pulumi up`.
            "PULUMI_SKIP_CONFIRMATIONS": "true",
            "NO_COLOR": "1",
            **{f"GIT_{who}_{what}": f"reader@{who}".lower() for who in ("AUTHOR", "COMMITTER") for what in _NAMES},
        }

    def types(self, block: Block) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", _SHELL + block.text],
            cwd=self.plane.checkout,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=2400,
        )

    def writes(self, block: Block) -> None:
        """Append what a page shows to the file that it names; an exception begins today, as the page says."""
        days = {"granted": date.today(), "expires": date.today() + timedelta(days=60)}
        text = re.sub(r"(granted|expires): \S+", lambda found: f"{found[1]}: {days[found[1]]}", block.text)
        with (self.plane.checkout / block.append_to).open("a") as file:
            file.write(text)


_NAMES = ("NAME", "EMAIL")


def _as_operator(reader: Reader) -> None:
    """What `vault login` leaves behind, and the log of an audit device."""
    plane = reader.plane
    file = reader.home / ".vault-token"
    file.touch(mode=0o600)
    file.write_text(str(plane.vault_as_service("vault", OPERATOR, OPERATOR).token))
    log, *_ = EmbeddedPlane(plane.state).audit_logs()
    shutil.copy(log, plane.checkout / "audit.log")


def _with_kubeconfig(reader: Reader) -> None:
    (reader.home / ".kube").mkdir(exist_ok=True)
    shutil.copy(reader.plane.state / "kubeconfig", reader.home / ".kube" / "config")


def _with_a_root(reader: Reader) -> None:
    """The key and certificate of a root, and the request that an intermediate makes."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    reader.runs("openssl", "req", "-x509", *key, "-subj", "/CN=root", "-keyout", "root.key", "-out", "root.pem")
    reader.runs("openssl", "req", *key, "-subj", "/CN=shop", "-keyout", "shop.key", "-out", "intermediate.csr")


PREPARED: dict[str, Callable[[Reader], None]] = {
    "docs/how-to/ingress.md": _with_a_root,
    "docs/how-to/secrets.md": _as_operator,
    "docs/how-to/report.md": _with_kubeconfig,
    "docs/how-to/vault-recovery.md": _as_operator,
}


@pytest.fixture(scope="module")
def reader(plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    checkout, home = tmp_path_factory.mktemp("checkout") / "project", tmp_path_factory.mktemp("home")
    shutil.copytree(PROJECT, checkout, ignore=_NOT_COPIED)
    link_virtual_environment(checkout)
    made = Reader(Plane(plane.state, checkout), home)
    for arguments in (("init", "--quiet", "--initial-branch=main"), ("add", "."), ("commit", "--quiet", "-m", "Copy")):
        made.runs("git", *arguments)
    made.plane.run("up", "--no-stack", "--reports")
    made.plane.stand("production")
    scanned(made.plane, lambda: _measured(made.plane), "a report of require-probes")
    return made


def _measured(plane: Plane) -> bool:
    found: Any = plane.objects.list_cluster_custom_object("wgpolicyk8s.io", "v1alpha2", "policyreports")
    results = (result for report in found["items"] for result in report.get("results", []))
    return any(result["policy"] == "require-probes" for result in results)


def link_virtual_environment(checkout: Path) -> None:
    """The packages that this test runs with, and the copy in place of the project, as `make setup` would make them."""
    there, here = Path(sys.prefix), checkout / ".venv"
    packages = Path(sysconfig.get_path("purelib")).relative_to(there)
    for directory in (Path("bin"), packages):
        (here / directory).mkdir(parents=True)
        for linked in (there / directory).iterdir():
            (here / directory / linked.name).symlink_to(linked)
    shutil.copy(there / "pyvenv.cfg", here)
    [installed] = (here / packages).glob("*zero_trust.pth")
    assert str(PROJECT) in installed.read_text(), "this is another checkout's environment: the commands would change it"
    for file in (installed, here / "bin" / "zt"):
        text, mode = file.read_text(), file.stat().st_mode
        file.unlink()
        file.write_text(text.replace(str(there), str(here)).replace(str(PROJECT), str(checkout)))
        file.chmod(mode)
    (here / ".installed").touch()


@pytest.mark.parametrize("block", RUN, ids=str)
def test_a_block_does_what_its_page_says(reader: Reader, block: Block) -> None:
    reader.turn_to(block.page)
    if block.append_to:
        reader.writes(block)
        return
    done = reader.types(block)
    assert done.returncode == block.code, done.stdout
    assert block.says in done.stdout


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.not_run], ids=lambda block: f"{block}: {block.not_run}"
)
def test_what_is_not_run_is_a_shell_s_language(block: Block) -> None:
    done = subprocess.run(["bash", "-n", "-c", block.text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
