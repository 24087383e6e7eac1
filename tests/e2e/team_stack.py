"""A team's own project on a platform that it does not own: a folder, a stack, and the rights of its deployer alone."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from components.kube.names import TEAMS_NAMESPACE
from embedded.access import EmbeddedPlane
from embedded.paths import State
from embedded.pulumi_stack import PASSPHRASE, pulumi_environment
from tests.e2e.plane import Plane

PROGRAM = """\
from components import SecureService, platform_of_cluster

platform = platform_of_cluster("{team}")
for file in {files}:
    SecureService.from_file(file, platform=platform)
"""
STACK = "production"
Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class TeamStack:
    """The folder of a team, and the plane that it deploys to."""

    plane: Plane
    team: str
    folder: Path

    @classmethod
    def new(cls, plane: Plane, team: str, folder: Path) -> Self:
        """A new project with a stack, whose state is its own."""
        folder.mkdir()
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump({"name": folder.name, "runtime": "python"}))
        made = cls(plane, team, folder)
        made.write({})
        made.pulumi("stack", "init", STACK, *PASSPHRASE)
        return made

    def write(self, services: dict[str, dict[str, Any]]) -> None:
        """The program and its service files."""
        for old in self.folder.glob("*.service.yaml"):
            old.unlink()
        for name, service in services.items():
            (self.folder / f"{name}.service.yaml").write_text(yaml.safe_dump({"name": name, **service}))
        files = [f"{name}.service.yaml" for name in services]
        (self.folder / "__main__.py").write_text(PROGRAM.format(team=self.team, files=files))

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig with a fresh token of the team's deployer, as its pipeline has one."""
        written = yaml.safe_load((self.plane.state / "kubeconfig").read_text())
        token = self.plane.token(TEAMS_NAMESPACE, self.team)
        written["users"] = [{"name": user["name"], "user": {"token": token}} for user in written["users"]]
        path = self.folder / "kubeconfig"
        path.write_text(yaml.safe_dump(written))
        return path

    def pulumi(self, *arguments: str, check: bool = True) -> Done:
        """Run the CLI as the team's pipeline does: nothing of the platform's is in its environment."""
        tools = Path(json.loads((self.plane.state / "status.json").read_text())["tools"])
        environment = pulumi_environment(State(self.plane.state), tools)
        environment.pop("ZERO_TRUST_OVERLAY")
        own = {
            "KUBECONFIG": str(self.kubeconfig),
            "TERRAFORM_VAULT_AUTH_JWT": self.plane.token(TEAMS_NAMESPACE, self.team, "vault"),
        }
        done = subprocess.run(
            [str(tools / "pulumi"), *arguments, "--non-interactive"],
            cwd=self.folder,
            env=self.with_program({**environment, **own}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout
        return done

    def with_program(self, environment: dict[str, str]) -> dict[str, str]:
        """The environment in which the program finds what it imports."""
        return {**environment, "PYTHONPATH": str(self.plane.checkout)}

    def up(self, check: bool = True) -> Done:
        return self.pulumi("up", "--stack", STACK, "--yes", "--skip-preview", check=check)

    def preview(self, *options: str, check: bool = True) -> Done:
        return self.pulumi("preview", "--stack", STACK, *options, check=check)

    def destroy(self) -> Done:
        return self.pulumi("destroy", "--stack", STACK, "--yes", "--skip-preview")


PLUGIN = """\
#!/bin/sh
exec '{python}' '{folder}' "$@"
"""


class YamlStack(TeamStack):
    """The same in YAML, with the package for other languages.

    The pinned Python language host is older than packages from source, so the CLI finds this one as an executable on
    its search path. It starts the same folder, with the Python of the tests in place of a virtual environment.
    """

    def write(self, services: dict[str, dict[str, Any]]) -> None:
        """A program without services: `write_program` writes one."""
        assert not services
        self.write_program(yaml.safe_dump({"name": self.folder.name, "runtime": "yaml"}))

    def write_program(self, text: str) -> None:
        """The program, which is the project file."""
        (self.folder / "Pulumi.yaml").write_text(text)

    def with_program(self, environment: dict[str, str]) -> dict[str, str]:
        """The language host, built when it is missing, and the package are on the search path."""
        host = EmbeddedPlane.tool("pulumi-language-yaml", progress=False)
        plugins = self.folder.parent / "plugins"
        plugins.mkdir(exist_ok=True)
        plugin = plugins / "pulumi-resource-zero-trust"
        plugin.write_text(PLUGIN.format(python=sys.executable, folder=self.plane.checkout / "components" / "provider"))
        plugin.chmod(0o700)
        search = [str(plugins), str(host.parent), environment["PATH"]]
        return {**environment, "PATH": os.pathsep.join(search)}
