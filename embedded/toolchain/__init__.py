"""The tools of the embedded stack: built once from pinned Go modules into a cache that all checkouts share."""

from embedded.toolchain.charts import stage_charts
from embedded.toolchain.errors import ToolchainError
from embedded.toolchain.gomodule import module_dir
from embedded.toolchain.provide import ensure
from embedded.toolchain.records import timings

__all__ = ["ToolchainError", "ensure", "module_dir", "stage_charts", "timings"]
