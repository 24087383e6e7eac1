"""The Istio of the program's own values, taken for one of others, lacks nothing of what is asked of those."""

from pathlib import Path
from typing import Any

import pytest

from components.kube.charts import PUBLISHED
from components.mesh.existing import MeshUse, existing_mesh
from components.mesh.security import MeshSecurityArgs
from tests.policy.test_chart_images import rendered
from tests.support.installed import INJECTOR_CONFIG, MESH_CONFIG, istio, objecting

pytestmark = pytest.mark.policy

ARGS = MeshSecurityArgs(PUBLISHED, mtls="STRICT", authorization="enforce", existing=True)
USE = MeshUse(("docker.io/istio/proxyv2:1.31.0",), ("shop",))


def test_what_the_charts_write_has_every_setting(tmp_path: Path) -> None:
    living = istio()
    written: dict[str, Any] = {
        each["metadata"]["name"]: each for each in rendered(tmp_path, "istiod", None, 1) if each["kind"] == "ConfigMap"
    }
    for path, name in ((MESH_CONFIG, "istio"), (INJECTOR_CONFIG, "istio-sidecar-injector")):
        data = {
            key: text.replace("istiod.x.svc", "istiod.istio-system.svc") for key, text in written[name]["data"].items()
        }
        living.at[path] = {"data": data}
    lines = list(existing_mesh(living.cluster, ARGS, USE))
    assert objecting(lines, "fails") == {}
    assert objecting(lines, "warns") == {}
