"""Debian's iptables, for the rules that lead a pod's connections to its proxy: the host's, or unpacked in the cache."""

import os
import shutil
import subprocess
from pathlib import Path

from embedded.paths import cache_dir
from embedded.toolchain.errors import ToolchainError
from embedded.toolchain.staging import staged

_NEEDED = ("iptables-save", "iptables-restore", "ip6tables-save")
# iptables and the libraries that only it needs; the C library is every system's own.
_PACKAGES = (
    "iptables",
    "libip4tc2",
    "libip6tc2",
    "libmnl0",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "libnftnl11",
    "libxtables12",
)
_SEARCH_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
_SECONDS = 300


def iptables_environment() -> dict[str, str]:
    """The environment in which ``iptables`` is found and runs: the host's own one, or Debian's packages in the cache.

    The packages come from the host's configured archive (``apt-get download``); nothing of the host is changed. Raises
    ``ToolchainError`` when there is neither.
    """
    if all(shutil.which(name, path=_SEARCH_PATH) for name in _NEEDED):
        return {"PATH": _SEARCH_PATH}
    place = cache_dir() / "debian" / "iptables"
    if not place.exists():
        with staged(place) as fresh:
            _unpack(fresh)
    [libraries] = (path.parent for path in place.glob("usr/lib/*/libxtables.so.12"))
    return {
        "PATH": f"{place / 'usr' / 'sbin'}:{_SEARCH_PATH}",
        "LD_LIBRARY_PATH": str(libraries),
        "XTABLES_LIBDIR": str(libraries / "xtables"),
    }


def _unpack(root: Path) -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise ToolchainError("iptables is not installed, and without apt-get it has to come from your distribution")
    packages = root.parent / "packages"
    packages.mkdir()
    try:
        _apt("download", *_PACKAGES, directory=packages)
    except ToolchainError:
        # A fresh image has no package lists. They go to the cache: the host's own stay as they are.
        directory = root.parent / "lists"
        (directory / "partial").mkdir(parents=True)
        lists = ("-o", f"Dir::State::Lists={directory}")
        _apt(*lists, "update", directory=packages)
        _apt(*lists, "download", *_PACKAGES, directory=packages)
    for package in packages.glob("*.deb"):
        _run(("dpkg-deb", "--extract", str(package), str(root)), packages)
    for name in ("iptables", "ip6tables"):
        for suffix in ("", "-save", "-restore"):
            (root / "usr" / "sbin" / (name + suffix)).symlink_to("xtables-nft-multi")


def _apt(*arguments: str, directory: Path) -> None:
    _run(("apt-get", "-qq", "-o", "APT::Sandbox::User=root", *arguments), directory)


def _run(command: tuple[str, ...], directory: Path) -> None:
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "LC_ALL": "C"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        raise ToolchainError(
            f"iptables is not installed, and could not be fetched; as root: apt-get install iptables\n{done.stdout}"
        )
