"""An official Pulumi on PATH, used instead of building one."""

import shutil
from pathlib import Path

_SCRIPTS = ("pulumi-language-python-exec", "pulumi-resource-pulumi-python")


def _version(directory: Path) -> tuple[int, ...]:
    numbers = directory.name.rpartition("-v")[2].split(".")
    return tuple(int(number) if number.isdigit() else -1 for number in numbers)


def _kubernetes_plugin(plugins: Path) -> Path | None:
    installed = sorted(plugins.glob("resource-kubernetes-v*"), key=_version)
    return next(
        (plugin for folder in reversed(installed) if (plugin := folder / "pulumi-resource-kubernetes").is_file()), None
    )


def find_official(path: str, plugins: Path, ours: Path) -> dict[str, Path]:
    """The executables of a complete official installation by name; empty when a part of it is missing.

    Complete means: ``pulumi`` on ``path``, ``pulumi-language-python`` and its scripts beside it or on ``path``, and
    ``pulumi-resource-kubernetes`` on ``path`` or installed under ``plugins``. What lies below ``ours`` does not count.
    """
    cli = _which("pulumi", path, ours)
    if cli is None:
        return {}
    found: dict[str, Path | None] = {"pulumi": cli}
    for name in ("pulumi-language-python", *_SCRIPTS):
        beside = cli.resolve().parent / name
        found[name] = beside if beside.is_file() else _which(name, path, ours)
    provider = "pulumi-resource-kubernetes"
    found[provider] = _which(provider, path, ours) or _kubernetes_plugin(plugins)
    complete = {name: where for name, where in found.items() if where is not None}
    return complete if len(complete) == len(found) else {}


def _which(name: str, path: str, ours: Path) -> Path | None:
    found = shutil.which(name, path=path)
    if found is None or Path(found).resolve().is_relative_to(ours.resolve()) or Path(found).is_relative_to(ours):
        return None
    return Path(found).absolute()
