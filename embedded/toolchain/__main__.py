"""``python -m embedded.toolchain``: the table of tools, what is built and how long it took; ``--build`` builds."""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from embedded.toolchain.errors import ToolchainError
from embedded.toolchain.provide import ensure, locate
from embedded.toolchain.records import timings
from embedded.toolchain.table import TOOLS


def _tools_table() -> Table:
    table = Table("tool", "group", "module", "state", title="Tools")
    places = locate()
    ours = {tool.name for tool in TOOLS if "tools" in places[tool.name].parts}
    for tool in TOOLS:
        built = places[tool.name].exists()
        state = ("built" if tool.name in ours else f"official, {places[tool.name]}") if built else "missing"
        table.add_row(tool.name, tool.group, f"embedded/tools/{tool.module.name}", state)
    return table


def _times_table() -> Table:
    table = Table("module", "seconds", "packages compiled", "tool: seconds until built", title="Coldest builds")
    for timing in timings():
        tools = ", ".join(f"{name}: {seconds:.0f}" for name, seconds in timing.tools.items())
        table.add_row(timing.module, f"{timing.seconds:.0f}", str(timing.packages), tools)
    return table


def main(arguments: list[str]) -> int:
    """Print the tables, after building what is asked for; 1 when a build fails."""
    parser = argparse.ArgumentParser(prog="python -m embedded.toolchain", description=__doc__)
    parser.add_argument("--build", action="store_true", help="build what is missing first")
    parser.add_argument(
        "names", nargs="*", help="tools or groups to build; all but those of the node and of YAML without a name"
    )
    options = parser.parse_args(arguments)
    console = Console()
    try:
        if options.build:
            console.print(f"executables: {ensure(options.names or None)}", soft_wrap=True)
        console.print(_tools_table())
    except (ToolchainError, ValueError) as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        Console(stderr=True).print("interrupted: finished tools and compiled packages are kept, the next build goes on")
        return 130
    if timings():
        console.print(_times_table())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
