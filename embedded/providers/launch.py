"""Starts a plugin process, quickly: ``pulumi`` starts one of each for every command."""

import importlib
import importlib.util
import sys
from types import ModuleType


def spare_sdk() -> None:
    """Let ``pulumi.runtime.proto`` be imported without the SDK around it, which costs three times as much."""
    found = importlib.util.find_spec("pulumi")
    if "pulumi" in sys.modules or found is None or not found.submodule_search_locations:
        return
    place = found.submodule_search_locations[0]
    for name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto"):
        module = ModuleType(name)
        module.__path__ = [place]
        sys.modules[name] = module
        place += "/" + {"pulumi": "runtime", "pulumi.runtime": "proto"}.get(name, "")


def run(package: str) -> None:
    """Serve one package (``vault`` or ``random``) until the engine ends the process."""
    spare_sdk()
    server = importlib.import_module("embedded.providers.server")
    module = importlib.import_module(f"embedded.providers.{package}_package")
    server.serve(getattr(module, package.upper()))
