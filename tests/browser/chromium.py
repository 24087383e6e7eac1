"""A real Chromium for the tests: the headless build that a package of the npm registry carries, kept in the cache.

It needs no display, no root and nothing installed but npm; its libraries and its fonts come with it, so that a page has
the same measures on every machine. Source: https://github.com/Sparticuz/chromium
"""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import brotli

from embedded.paths import cache_dir
from embedded.toolchain.staging import staged

PACKAGE, VERSION = "@sparticuz/chromium", "153.0.0"
# The integrity that the registry publishes for this version.
SHA512 = "jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA=="
ARCHIVES = ("al2023.tar.br", "fonts.tar.br", "swiftshader.tar.br")
FLAGS = (
    # It refuses to run as root with its own sandbox, and shows nothing here but the pages of the tests.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class ChromiumError(RuntimeError):
    """The browser can't be had; the message says why and what to do."""


@dataclass(frozen=True)
class Chromium:
    """An unpacked browser."""

    directory: Path

    @property
    def executable(self) -> Path:
        return self.directory / "chromium"

    @property
    def environment(self) -> Mapping[str, str | float | bool]:
        """This process's environment, with the browser's own libraries and fonts."""
        places = {"LD_LIBRARY_PATH": self.directory / "lib", "FONTCONFIG_FILE": self.directory / "fonts.conf"}
        return {**os.environ, **{name: str(place) for name, place in places.items()}}


def ensure() -> Chromium:
    """The browser, from the cache or from the registry. Raises `ChromiumError`."""
    place = cache_dir() / "chromium" / VERSION
    if not place.is_dir():
        with staged(place) as fresh:
            _unpack(_download(fresh.parent), fresh, place)
    return Chromium(place)


def _download(directory: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise ChromiumError("npm is not on PATH: it brings the browser of the tests (on Debian: apt-get install npm)")
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--pack-destination", str(directory)]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise ChromiumError(f"{' '.join(command[1:4])} failed:\n{done.stderr.strip()}")
    [package] = directory.glob("*.tgz")
    found = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if found != SHA512:
        raise ChromiumError(f"{PACKAGE}@{VERSION} is another package than the one that is pinned: sha512 {found}")
    return package


def _unpack(package: Path, fresh: Path, place: Path) -> None:
    with tarfile.open(package) as files:
        for name in ARCHIVES:
            with tarfile.open(fileobj=BytesIO(_expanded(files, name))) as archive:
                archive.extractall(fresh, filter="data")
        executable = fresh / "chromium"
        executable.write_bytes(_expanded(files, "chromium.br"))
    executable.chmod(0o755)
    fonts = f"<dir>{place}/fonts</dir><cachedir>{place}/fonts-cache</cachedir>"
    (fresh / "fonts.conf").write_text(f'<?xml version="1.0"?>\n<fontconfig>{fonts}</fontconfig>\n')


def _expanded(files: tarfile.TarFile, name: str) -> bytes:
    member = files.extractfile(f"package/bin/{name}")
    if member is None:
        raise ChromiumError(f"{PACKAGE}@{VERSION} holds no {name}")
    return brotli.decompress(member.read())
