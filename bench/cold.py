"""`python -m bench.cold`: what the first `make up` of a machine compiles, in CPU seconds, downloads included.

The caches of Go and of the project are empty ones in a scratch directory, which takes 10 GB; yours stay as they are.
Takes half an hour on two cores.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from rich.console import Console

from bench.record import Record
from bench.workload import PROJECT
from embedded.cli import NEEDED_TOOLS
from embedded.paths import CACHE_VARIABLE
from embedded.toolchain.gomodule import go_command


def main(arguments: Sequence[str]) -> int:
    """Build, print and write; 0 when every tool was built."""
    argparse.ArgumentParser(prog="python -m bench.cold", description=__doc__).parse_args(arguments)
    console = Console()
    record = Record("cold")
    with tempfile.TemporaryDirectory(prefix="zero-trust-bench-") as scratch:
        caches = {CACHE_VARIABLE: scratch, "GOCACHE": f"{scratch}/build", "GOMODCACHE": f"{scratch}/modules"}
        environment = os.environ | caches
        command = [sys.executable, "-m", "embedded.toolchain", "--build", *NEEDED_TOOLS]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, cwd=PROJECT, env=environment, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Modules are in read-only directories, which only Go itself removes.
        subprocess.run([go_command(), "clean", "-modcache"], env=environment, check=True)
    if done.returncode != 0:
        return 1
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    record.value("cold", {"user CPU s": round(user, 1), "system CPU s": round(system, 1)})
    console.print(record.figure("cold", user + system))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
