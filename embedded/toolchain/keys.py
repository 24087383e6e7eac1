"""What a built tool depends on, as a key: another key, another build."""

import hashlib
from functools import cache
from pathlib import Path

from embedded.toolchain.gomodule import go_version
from embedded.toolchain.table import BUILD_FLAGS, TOOLS_DIRECTORY, Module, Tool

_LENGTH = 16


def digest(*parts: str | bytes) -> str:
    """A short hash of the parts, each with its length, so that no two sequences give the same input."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "big") + data)
    return state.hexdigest()[:_LENGTH]


def _lock_files(module: Module) -> list[Path]:
    """The files that pin versions. A replaced neighbour takes part with its requirements."""
    neighbours = [TOOLS_DIRECTORY / name / "go.mod" for name in module.replaced]
    added = [module.directory / module.sums] if module.sums else []
    return [module.directory / "go.mod", module.directory / "go.sum", *neighbours, *added]


@cache
def module_key(module: Module) -> str:
    """Key of all that the tools of a module share: pinned versions, exchanged files, flags and the version of Go."""
    pins = [file.read_bytes() for file in _lock_files(module)]
    exchanged = [
        part for item in module.exchanged for part in (item.path, (TOOLS_DIRECTORY / item.source).read_bytes())
    ]
    flags = " ".join((*BUILD_FLAGS, *module.flags))
    return digest(module.name, module.ldflags, flags, go_version(module), *pins, *exchanged)


def source_files(tool: Tool) -> list[Path]:
    """The files of this repository that the tool is compiled from."""
    return sorted(file for pattern in tool.sources for file in TOOLS_DIRECTORY.glob(pattern))


def tool_key(tool: Tool) -> str:
    """Key of one tool: its module's, and its own sources, so that editing one tool rebuilds no other."""
    own = [part for file in source_files(tool) for part in (file.name, file.read_bytes())]
    return digest(module_key(tool.module), tool.package, *own)
