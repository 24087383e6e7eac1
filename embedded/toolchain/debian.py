"""Debian's packages, unpacked in the cache: nothing of the host is changed, and nothing is installed."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from embedded.paths import cache_dir
from embedded.toolchain.errors import ToolchainError
from embedded.toolchain.keys import digest
from embedded.toolchain.staging import staged

_SECONDS = 300


def unpacked(name: str, packages: Sequence[str], *, closed: bool = False) -> Path:
    """A directory with the files of these packages, fetched from the host's configured archive (``apt-get download``).

    ``closed`` adds all that they depend on, down to the C library: the root of a system that runs them. Raises
    ``ToolchainError`` that says what to install by hand.
    """
    place = cache_dir() / "debian" / f"{name}-{digest(*packages, str(closed))}"
    if not place.exists():
        with staged(place) as fresh:
            _unpack(fresh, name, packages, closed=closed)
    return place


def headers_environment(packages: Sequence[str]) -> dict[str, str]:
    """The environment in which pkg-config finds the headers of these packages; {} without any."""
    if not packages:
        return {}
    root = unpacked("headers", packages)
    found = sorted({str(file.parent) for file in root.glob("usr/lib/**/pkgconfig/*.pc")})
    return {"PKG_CONFIG_PATH": ":".join(found), "PKG_CONFIG_SYSROOT_DIR": str(root)}


def _unpack(root: Path, name: str, packages: Sequence[str], *, closed: bool) -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise ToolchainError(f"{name} is not installed, and without apt-get it has to come from your distribution")
    archives = root.parent / "packages"
    (archives / "partial").mkdir(parents=True)
    fetch = _with_dependencies(root, archives, packages) if closed else ("download", *packages)
    try:
        _apt(name, *fetch, directory=archives)
    except ToolchainError:
        # A fresh image has no package lists. They go to the cache: the host's own stay as they are.
        directory = root.parent / "lists"
        (directory / "partial").mkdir(parents=True)
        lists = ("-o", f"Dir::State::Lists={directory}")
        _apt(name, *lists, "update", directory=archives)
        _apt(name, *lists, *fetch, directory=archives)
    for package in archives.glob("*.deb"):
        _run(name, ("dpkg-deb", "--extract", str(package), str(root)), archives)


def _with_dependencies(root: Path, archives: Path, packages: Sequence[str]) -> tuple[str, ...]:
    """The arguments that fetch the packages for a system that has none."""
    status = root.parent / "status"
    status.touch()
    return (
        *("-o", f"Dir::State::Status={status}", "-o", f"Dir::Cache::Archives={archives}", "-o", "Debug::NoLocking=1"),
        *("install", "--yes", "--download-only", "--no-install-recommends", *packages),
    )


def _apt(name: str, *arguments: str, directory: Path) -> None:
    _run(name, ("apt-get", "-qq", "-o", "APT::Sandbox::User=root", *arguments), directory)


def _run(name: str, command: tuple[str, ...], directory: Path) -> None:
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
        raise ToolchainError(f"{name} is not installed, and could not be fetched from Debian's archive\n{done.stdout}")
