"""`python -m bench.check`: `zt check` of many services under every rule of production, with a preview of its own.

No control plane runs, so nothing is asked of a cluster: the preview is of a first `up`. What the first check keeps of
charts and verdicts serves the second, as from one check of a pipeline to the next; the figure is the second. Tools must
be there: `make tools`.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import yaml
from rich.console import Console

from bench.figures import BY_NAME
from bench.measure import CommandFailedError, Measurement, measure
from bench.record import Record
from bench.workload import PROJECT, STACK, checkout
from embedded.pulumi_stack import PASSPHRASE
from embedded.toolchain import ensure
from embedded.toolchain.charts import stage_charts

_SIZES = (200,)
_SHADOWED = ("PULUMI_", "VAULT_", "KUBE", "ZERO_TRUST_OVERLAY")


def main(arguments: Sequence[str]) -> int:
    """Measure, print and write; 0 when every command did what it should."""
    parser = argparse.ArgumentParser(prog="python -m bench.check", description=__doc__)
    parser.add_argument("--services", type=int, nargs="+", default=list(_SIZES), help="how many copies of the service")
    sizes: list[int] = parser.parse_args(arguments).services
    console, record = Console(), Record("check")
    with tempfile.TemporaryDirectory(prefix="zero-trust-bench-") as scratch:
        environment = _environment(Path(scratch), ensure(["pulumi", "helm", "kubectl-kyverno"]))
        for count in sizes:
            directory = checkout(Path(scratch) / f"services-{count}", count, _stack_file())
            try:
                first, second = _checks(directory, environment)
            except CommandFailedError as error:
                console.print(str(error), markup=False)
                return 1
            record.value(f"{count} services", {"first": asdict(first), "second": asdict(second)})
            if (name := f"check-{count}") in BY_NAME:
                console.print(record.figure(name, second.seconds))
    console.print(f"written to {record.path.relative_to(PROJECT)}")
    return 0


def _checks(directory: Path, environment: Mapping[str, str]) -> tuple[Measurement, Measurement]:
    """Two checks of a checkout, whose stack is made for them. A warning of a rule is no failure."""
    measure(("pulumi", "stack", "init", STACK, *PASSPHRASE), environment, directory)
    check = (sys.executable, "-m", "zt", "check", "--stack", STACK, "--project", str(directory))
    return measure(check, environment, PROJECT), measure(check, environment, PROJECT)


def _stack_file() -> Mapping[str, object]:
    """The stack file of production, with the charts of this machine. Definitions from a file would need a cluster."""
    content = yaml.safe_load((PROJECT / "Pulumi.production.yaml").read_text())
    content["config"]["zero-trust:charts"] = {"directory": str(stage_charts())}
    content["config"]["zero-trust:ingress"]["gatewayApi"] = {"mode": "existing"}
    return content


def _environment(scratch: Path, tools: Path) -> dict[str, str]:
    """The caller's environment, with the tools, a backend of its own, and no cluster."""
    passphrase = scratch / "passphrase"
    passphrase.write_text("bench")
    (scratch / "state").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SHADOWED)}
    search = (Path(sys.prefix) / "bin", PROJECT / "embedded" / "providers" / "bin", tools, kept.get("PATH", os.defpath))
    return kept | {
        "PATH": os.pathsep.join(str(part) for part in search),
        "KUBECONFIG": str(scratch / "no-cluster"),
        "NO_COLOR": "1",
        "PULUMI_HOME": str(scratch / "pulumi"),
        "PULUMI_BACKEND_URL": f"file://{scratch / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase),
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
