"""An Istio that others installed, asked: what it lacks, and what of it is remarked on."""

from typing import Any

from components.kube.charts import PUBLISHED
from components.mesh.existing import existing_mesh
from components.mesh.existing_proxy import MeshUse
from components.mesh.security import MeshSecurityArgs
from tests.support.installed import Living, objecting

ARGS = MeshSecurityArgs(PUBLISHED, mtls="STRICT", authorization="enforce", existing=True)
USE = MeshUse(("docker.io/istio/proxyv2:1.31.0",), ("shop", "istio-ingress"))
ROOT = "namespaces/istio-system"
SELECTED = {"selector": {"matchLabels": {"app": "a"}}}
UNKNOWN = "what proxies have that the rules do not know"


def proxies(**settings: Any) -> dict[str, Any]:
    """A change of the mesh's settings by which every proxy is configured."""
    return {"defaultConfig": settings}


def said(living: Living, result: str = "fails", args: MeshSecurityArgs = ARGS, use: MeshUse = USE) -> dict[str, str]:
    """The lines of a result, by what they are about."""
    return objecting(list(existing_mesh(living.cluster, args, use)), result)


def only(living: Living, about: str, args: MeshSecurityArgs = ARGS, use: MeshUse = USE) -> str:
    """What it lacks, which is one thing."""
    lacking = said(living, args=args, use=use)
    assert list(lacking) == [about], lacking
    return lacking[about]


def share(living: Living, settings: str) -> Living:
    """Give the mesh settings that it shares with other revisions, as YAML."""
    given = {"SHARED_MESH_CONFIG": "istio-shared", "ENABLE_NATIVE_SIDECARS": "true"}
    container = living.deployment("istiod")["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": name, "value": value} for name, value in given.items()]
    living.at["/api/v1/namespaces/istio-system/configmaps/istio-shared"] = {"data": {"mesh": settings}}
    return living


def root(kind: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": kind, "namespace": "istio-system"}, "spec": spec}
