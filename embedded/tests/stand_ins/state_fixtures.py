"""The state service as a process of its own, and a small program whose one resource takes as long as a test wants."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from embedded.cli import NEEDED_TOOLS
from embedded.paths import State
from embedded.pulumi_stack import PASSPHRASE, pulumi_environment
from embedded.supervisor.layout import STATE_SERVICE, Layout
from embedded.supervisor.pki import Pki
from embedded.supervisor.ports import choose_ports
from embedded.supervisor.process import Program
from embedded.supervisor.state_service import state_service
from embedded.toolchain import ensure
from tests.support.waiting import eventually

PROJECT, STACK = "slow", "dev"
SECRET = "the-known-secret-of-the-program"
_PROGRAM = f"""
import pathlib, time
import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

class Patient(ResourceProvider):
    def create(self, props):
        here = pathlib.Path(props["here"])
        (here / "begun").touch()
        while not (here / "release").exists():
            time.sleep(0.05)
        return CreateResult("id", props)

class Waiting(Resource):
    pass

here = pathlib.Path(__file__).parent
secret = pulumi.Output.secret("{SECRET}")
first = pulumi.ComponentResource("test:index:First", "first")
Waiting(Patient(), "slow", {{"here": str(here), "secret": secret}}, pulumi.ResourceOptions(parent=first))
pulumi.export("secret", secret)
"""


@dataclass
class Service:
    """The service, its files, and the CLI that is logged in to it."""

    state: State
    directory: Path
    tools: Path = field(default_factory=lambda: ensure(NEEDED_TOOLS))
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.state.create()
        self.state.passphrase_file.write_text("passphrase")
        self.directory.mkdir()
        (self.directory / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n")
        (self.directory / "__main__.py").write_text(_PROGRAM)
        ports = choose_ports(self.state.ports, [STATE_SERVICE])
        self.program: Program = state_service(Layout(self.state, self.tools, ports, Pki(self.state.pki)))
        self.start()
        self.pulumi("stack", "init", STACK, *PASSPHRASE)

    def start(self) -> None:
        with self.program.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.program.arguments, env=dict(self.program.environment), stdout=log, stderr=log
            )
        eventually(lambda: self.program.ready(0), "the state service listens")

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    @property
    def environment(self) -> dict[str, str]:
        return pulumi_environment(self.state, self.tools)

    @property
    def url(self) -> str:
        return self.environment["PULUMI_BACKEND_URL"]

    @property
    def journal(self) -> Path:
        return self.state.stacks / PROJECT / f"{STACK}.journal"

    @property
    def checkpoint(self) -> dict[str, Any]:
        return json.loads(self.journal.with_suffix(".json").read_text())["checkpoint"]["latest"]

    def ask(self, method: str, path: str, authorization: str | None = None) -> requests.Response:
        headers = {"Authorization": authorization} if authorization else {}
        return requests.request(method, self.url + path, headers=headers, timeout=600)

    def pulumi(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(
            [self.tools / "pulumi", *arguments, "--non-interactive"],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        assert not check or done.returncode == 0, done.stdout
        return done.stdout

    def exported(self) -> dict[str, Any]:
        return json.loads(self.pulumi("stack", "export", "--stack", STACK))["deployment"]

    def begin(self) -> subprocess.Popen[str]:
        """An `up` whose resource is being created, in a process group of its own."""
        for name in ("begun", "release"):
            (self.directory / name).unlink(missing_ok=True)
        started = subprocess.Popen(
            [self.tools / "pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", STACK],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        eventually((self.directory / "begun").exists, "the creation")
        return started

    def release(self) -> None:
        (self.directory / "release").touch()
