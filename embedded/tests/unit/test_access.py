"""What the `zt` command sees of the control plane, with and without one."""

import json
from pathlib import Path

import pytest
import yaml

from embedded import cli, pulumi_stack, toolchain
from embedded.access import EmbeddedPlane, EmbeddedPlaneError
from embedded.paths import STATE_VARIABLE, State
from embedded.supervisor.control_plane import ControlPlane
from embedded.supervisor.overlay import write_overlay
from embedded.toolchain import ToolchainError

pytestmark = pytest.mark.unit

PORTS = {"kube-apiserver": 1, "vault": 2, "state-service": 3, "istiod.secure-grpc": 4, "istiod-1-31-0.secure-grpc": 5}


@pytest.fixture
def state(tmp_path: Path) -> State:
    made = State(tmp_path / "embedded").create()
    made.ports.write_text(json.dumps(PORTS))
    write_overlay(made, tmp_path / "charts")
    return made


@pytest.fixture
def plane(state: State) -> EmbeddedPlane:
    return EmbeddedPlane(state.root)


def test_it_is_the_checkouts_unless_the_environment_names_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))
    assert EmbeddedPlane().kubeconfig == tmp_path / "kubeconfig"


def test_vault_is_where_the_program_is_told_that_it_is(plane: EmbeddedPlane, state: State) -> None:
    told = yaml.safe_load(state.overlay.read_text())["vault"]
    found = plane.vault()
    assert (found.address, str(found.ca_file)) == (told["address"], told["caCertFile"])
    assert found.address == "https://127.0.0.1:2"


def test_istiod_is_that_of_the_revision(plane: EmbeddedPlane) -> None:
    assert plane.istiod(None) == "127.0.0.1:4"
    assert plane.istiod("1-31-0") == "127.0.0.1:5"
    assert plane.istiod("1-32-0") == ""


class TestTheLogs:
    def test_of_files_first_and_then_the_servers_output(self, plane: EmbeddedPlane, state: State) -> None:
        written = [state.vault / "audit.log", state.vault / "audit.log.1", state.logs / "vault.log"]
        for file in reversed(written):
            file.touch()
        (state.vault / "seal.key").touch()
        assert plane.audit_logs() == tuple(written)

    def test_a_device_writes_where_the_program_is_told_to_let_it(self, plane: EmbeddedPlane, state: State) -> None:
        directory = Path(yaml.safe_load(state.overlay.read_text())["vault"]["auditDirectory"])
        assert plane.audit_log("/vault/audit/audit.log") == directory / "audit.log"
        assert plane.audit_log("stdout") == state.logs / "vault.log"


class TestBeforeTheFirstStart:
    def test_there_is_no_vault(self, tmp_path: Path) -> None:
        with pytest.raises(EmbeddedPlaneError, match=r"there is no .*overlay\.yaml: start the control plane with"):
            EmbeddedPlane(tmp_path).vault()

    def test_there_is_no_log(self, tmp_path: Path) -> None:
        with pytest.raises(EmbeddedPlaneError, match=r"there is no audit log in .*: start the control plane with"):
            EmbeddedPlane(tmp_path).audit_logs()

    def test_there_is_no_istiod(self, tmp_path: Path) -> None:
        assert EmbeddedPlane(tmp_path).istiod(None) == ""

    def test_pulumi_runs_nowhere(self, tmp_path: Path) -> None:
        with pytest.raises(EmbeddedPlaneError, match="the control plane does not run: start it with"):
            EmbeddedPlane(tmp_path).pulumi("production")


class TestPulumi:
    @pytest.fixture(autouse=True)
    def _running(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(ControlPlane, "status", lambda _self: {"ready": True})
        monkeypatch.setattr(toolchain, "ensure", lambda names: tmp_path / "-".join(names))
        monkeypatch.setattr(pulumi_stack.PulumiStack, "run", lambda *_arguments, **_options: None)

    def test_it_runs_in_the_project_and_with_the_environment_of_the_control_plane(
        self, plane: EmbeddedPlane, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VAULT_TOKEN", "of another Vault")
        command = plane.pulumi("production")
        assert command.executable == tmp_path / "-".join(cli.NEEDED_TOOLS) / "pulumi"
        assert (command.project / "Pulumi.production.yaml").is_file()
        assert command.environment["KUBECONFIG"] == str(state.kubeconfig)
        assert "VAULT_TOKEN" not in command.environment

    def test_a_stack_that_is_not_there_is_named(self, plane: EmbeddedPlane) -> None:
        with pytest.raises(EmbeddedPlaneError, match=r"--stack prod: there is no Pulumi\.prod\.yaml; there are"):
            plane.pulumi("prod")


class TestATool:
    def test_needs_no_control_plane(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(toolchain, "ensure", lambda names, progress: tmp_path / f"{names}{progress}")
        assert EmbeddedPlane.tool("helm", progress=False) == tmp_path / "['helm']False" / "helm"

    def test_that_cannot_be_built_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def ensure(names: list[str], progress: bool) -> Path:
            raise ToolchainError("there is no Go")

        monkeypatch.setattr(toolchain, "ensure", ensure)
        with pytest.raises(EmbeddedPlaneError, match="there is no Go"):
            EmbeddedPlane.tool("helm", progress=False)
