"""The kubeconfigs of the controllers."""

from pathlib import Path

import yaml

from embedded.supervisor.kubeconfig import write_token_kubeconfig


def test_a_controllers_kubeconfig_holds_no_token(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    write_token_kubeconfig(path, "https://127.0.0.1:1", Path("/ca"), Path("/token"), "kyverno")
    assert yaml.safe_load(path.read_text())["users"][0]["user"] == {"tokenFile": "/token"}
