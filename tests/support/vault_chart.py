"""What a chart of Vault makes of the program's values, without what its author chose to write otherwise."""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from components.kube.names import VAULT_NAMESPACE, VAULT_RELEASE
from components.vault.values import InjectorArgs, ServerArgs, chart_values
from embedded.toolchain import ensure
from embedded.toolchain.table import KUBERNETES_VERSION

KEY_SERVICE = {"address": "https://keys.example.org", "key_name": "vault"}
FACTS = Path(__file__).with_name("official_vault_chart.json")
"""What the official chart makes of them, recorded from the version that is pinned."""


def values() -> dict[str, Any]:
    """Values with everything that the program can say in them."""
    seal = {"seal_type": "transit", "seal_parameters": KEY_SERVICE, "seal_secret": "seal"}
    server = ServerArgs(3, authorities="further", account_annotations={"a": "b"}, pod_labels={"c": "d"}, **seal)
    return chart_values(server, InjectorArgs(2, True, "PEM"), False, None)


def rendered(chart: Path, directory: Path) -> dict[str, Any]:
    """The shape of each object of a chart, by kind and name."""
    file = directory / "values.yaml"
    file.write_text(yaml.safe_dump(values()))
    helm = ensure(["helm"], progress=False) / "helm"
    options = (f"--namespace={VAULT_NAMESPACE}", f"--kube-version={KUBERNETES_VERSION}", f"--values={file}")
    done = subprocess.run(
        [str(helm), "template", VAULT_RELEASE, str(chart), *options], capture_output=True, text=True, check=True
    )
    objects = [made for made in yaml.safe_load_all(done.stdout) if made]
    return {
        f"{made['kind']}/{made['metadata']['name']}": _shape(made)
        for made in objects
        if "helm.sh/hook" not in (made["metadata"].get("annotations") or {})
    }


def _shape(made: dict[str, Any]) -> dict[str, Any]:
    made["metadata"].pop("labels", None)
    if made["kind"] == "StatefulSet":
        # The script that fills in the configuration and starts the server.
        made["spec"]["template"]["spec"]["containers"][0].pop("args")
    return _pruned(made)


def _pruned(value: Any) -> Any:
    """Without what is empty, and lists in one order."""
    if isinstance(value, dict):
        kept = {str(key): _pruned(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, {}, [], "") and "helm.sh/" not in key}
    if isinstance(value, list):
        return sorted((_pruned(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value.rstrip("\n") if isinstance(value, str) else value


def sealed(replicas: int, **changes: Any) -> ServerArgs:
    """Servers that unseal themselves, as several have to."""
    key = {"region": "eu-central-1", "kms_key_id": "alias/vault"}
    return ServerArgs(replicas, **{"seal_type": "awskms", "seal_parameters": key, **changes})
