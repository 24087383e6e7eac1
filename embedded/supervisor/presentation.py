"""What a person sees: progress while the control plane boots, its status, and the summary of a stack."""

import contextlib
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from embedded.paths import State

Status = dict[str, Any]

# A file or a pipe has no width to fit into: nothing is cut off there.
_FILE_WIDTH = 200

# etcd, API server, Vault, controller manager, scheduler, KWOK: what every boot starts.
_CORE_PROCESSES = 6
_STYLES = {"ready": "green", "starting": "yellow", "not ready": "red", "restarting": "red", "stopped": "dim"}


class Reporter:
    """Writes to the terminal; plain lines without one, and no colours when NO_COLOR is set."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = _FILE_WIDTH
        self._errors = Console(stderr=True, highlight=False)

    def say(self, text: str) -> None:
        """One line for the person who waits."""
        self._console.print(text, markup=False, soft_wrap=True)

    def complain(self, text: str) -> None:
        """One error message."""
        self._errors.print(f"error: {text}", markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def failures(self, code: int) -> Iterator[None]:
        """Print the errors that the embedded stack expects as one message, and exit with ``code``."""
        from embedded.data_plane.errors import DataPlaneError
        from embedded.node.errors import NodeError
        from embedded.pulumi_stack import StackError
        from embedded.supervisor.control_plane import ControlPlaneError
        from embedded.supervisor.https_api import ApiError
        from embedded.supervisor.log_view import UnknownLogError
        from embedded.toolchain import ToolchainError

        try:
            yield
        except (
            *(StackError, ControlPlaneError, DataPlaneError, NodeError),
            *(ToolchainError, ApiError, UnknownLogError),
        ) as error:
            self.complain(str(error))
            sys.exit(code)
        except KeyboardInterrupt:
            self.complain("interrupted; what runs goes on, the same command continues")
            sys.exit(130)

    @contextlib.contextmanager
    def boot_progress(self) -> Iterator[Callable[[Status], None]]:
        """Show how far the boot is, as a bar on a terminal and as one line per process without one."""
        if self._console.is_terminal:
            with self._bar() as on_progress:
                yield on_progress
        else:
            yield _PlainProgress(self.say)

    @contextlib.contextmanager
    def _bar(self) -> Iterator[Callable[[Status], None]]:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        with Progress(*columns, TimeElapsedColumn(), console=self._console) as progress:
            task = progress.add_task("control plane", total=_CORE_PROCESSES)

            def show(status: Status) -> None:
                ready = [process["name"] for process in status["processes"] if process["ready"]]
                waiting = [process["name"] for process in status["processes"] if not process["ready"]]
                total = max(_CORE_PROCESSES, len(status["processes"]))
                text = f"control plane: {', '.join(waiting)}" if waiting else "control plane"
                progress.update(task, completed=len(ready), total=total, description=text)

            yield show

    def status_table(self, status: Status) -> None:
        """The processes, one row each."""
        table = Table("process", "state", "pid", "restarts", "for", "note", box=None, pad_edge=False)
        for process in status["processes"]:
            table.add_row(
                process["name"],
                f"[{_STYLES[process['state']]}]{process['state']}[/]",
                str(process["pid"] or "-"),
                str(process["restarts"]),
                _duration(time.time() - process["since"]),
                process["message"],
            )
        self._console.print(table)
        if node := status.get("node"):
            self._pods_table(node)
        if status["message"]:
            self.say(status["message"])
        self.say(f"Kubernetes {status['api_server']}   Vault {status['vault']}")

    def _pods_table(self, node: Status) -> None:
        """Each pod, and whether it runs on the node or is simulated."""
        table = Table("pod", "runs", "phase", "ready", box=None, pad_edge=False)
        for pod in sorted(node["pods"], key=lambda pod: (not pod["runs"], pod["namespace"], pod["name"])):
            where = f"on {pod['node']}" if pod["runs"] else f"simulated ({pod['node']})" if pod["node"] else "waits"
            table.add_row(f"{pod['namespace']}/{pod['name']}", where, pod["phase"], _text(pod["ready"]))
        self._console.print()
        self._console.print(table)
        for reason in node["missing_images"]:
            self.complain(reason)
        self.say("")

    def where_pods_run(self, status: Status | None) -> None:
        """How many pods run on the real node, and how many are simulated; nothing without that node."""
        node = (status or {}).get("node")
        if not node:
            return
        running = sum(1 for pod in node["pods"] if pod["runs"])
        self.say("")
        names = sorted({pod["node"] for pod in node["pods"] if pod["runs"]})
        where = " and ".join(names or [node["name"]])
        self.say(f"{running} pods run on {where}, {len(node['pods']) - running} are simulated: make status")
        for reason in node["missing_images"]:
            self.complain(reason)

    def summary(self, summary: Status | None) -> None:
        """What stands and what is enforced, as the stack's own output says it."""
        if not summary:
            return
        self._console.print(f"\n[bold]{summary['environment']}[/bold]")
        layers = Table("layer", "state", "enforced", box=None, pad_edge=False)
        for layer in summary["layers"]:
            layers.add_row(str(layer["layer"]), str(layer["state"]), _text(layer["enforced"]))
        self._console.print(layers)
        if summary["services"]:
            services = Table("service", "namespace", "url", "calls", "vault role", box=None, pad_edge=False)
            for service in summary["services"]:
                fields = ("name", "namespace", "url", "calls", "vault_role")
                services.add_row(*(_text(service.get(field)) for field in fields))
            self._console.print()
            self._console.print(services)

    def next_steps(self, state: State, stack: str | None) -> None:
        """Where things are, and what to try next."""
        from embedded.supervisor.layout import vault_url
        from embedded.supervisor.ports import load_ports

        self.say("")
        self.say(f"kubeconfig  {state.kubeconfig}")
        self.say(f"Vault       {vault_url(load_ports(state.ports))}")
        self.say(f"logs        {state.logs}")
        self.say("")
        python = shlex.quote(sys.executable)
        self.say("Try next:")
        self.say(f'  eval "$({python} -m embedded env)" && kubectl get pods --all-namespaces')
        if stack:
            self.say(f"  make preview STACK={stack}     make destroy STACK={stack}")
        else:
            self.say("  make up STACK=production")
        self.say("  make status     make logs     make down")


class _PlainProgress:
    """One line when a process becomes ready."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._seen: set[str] = set()
        self._began = time.monotonic()

    def __call__(self, status: Status) -> None:
        for process in status["processes"]:
            if process["ready"] and process["name"] not in self._seen:
                self._seen.add(process["name"])
                self._say(f"{process['name']} ready after {time.monotonic() - self._began:.1f} s")


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in {None, ""} else str(value)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
