"""Serves the package. Pulumi starts this folder as a plugin, with the repository around it and the engine's address."""

import sys
from importlib import import_module
from pathlib import Path

# The repository in place of this folder, which Python puts first for a folder that it runs.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import_module("components.provider.package").serve(sys.argv[1:])
