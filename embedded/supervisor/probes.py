"""How to tell that a host process is ready: what a kubelet's probe would ask, over loopback."""

import socket
import ssl
from collections.abc import Callable
from datetime import datetime

import urllib3
from urllib3.util.ssl_ import create_urllib3_context

from embedded.supervisor.https_api import ApiError, HttpsApi
from embedded.supervisor.kubernetes_api import KubernetesApi
from embedded.supervisor.ports import LOOPBACK

Probe = Callable[[float], bool]

_TIMEOUT = urllib3.Timeout(connect=1.0, read=3.0)
_REFUSALS_FROM = 400
# As a kubelet's httpGet probe does, any certificate is accepted: the answer says "ready", it carries nothing secret.
# One context, or each connection would read the authorities of this machine.
_ANY_CERTIFICATE = create_urllib3_context(cert_reqs=ssl.CERT_NONE)
# A pool for each process: one that is dropped for another costs a handshake with every probe.
_PROCESSES = 64
_POOL = urllib3.PoolManager(
    num_pools=_PROCESSES,
    maxsize=2,
    ssl_context=_ANY_CERTIFICATE,
    assert_hostname=False,
    retries=False,
    timeout=_TIMEOUT,
)
urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


def http(scheme: str, port: int, path: str) -> Probe:
    """Ready when a GET is answered with a status below 400, as a kubelet's ``httpGet`` probe has it."""

    def ready(_started: float) -> bool:
        try:
            return _POOL.request("GET", f"{scheme}://{LOOPBACK}:{port}{path}").status < _REFUSALS_FROM
        except urllib3.exceptions.HTTPError:
            return False

    return ready


def listens(port: int, address: str = LOOPBACK) -> Probe:
    """Ready when a connection is accepted: for a server that has nothing to read."""

    def ready(_started: float) -> bool:
        try:
            socket.create_connection((address, port), timeout=1.0).close()
        except OSError:
            return False
        return True

    return ready


def api(client: HttpsApi, path: str) -> Probe:
    """Ready when the server answers ``path`` to this authenticated client."""
    return lambda _started: client.answers(path)


def lease(kubernetes: KubernetesApi, namespace: str, name: str) -> Probe:
    """Ready when the leader election lease was renewed since the process started: its controllers then run."""

    def ready(started: float) -> bool:
        try:
            found = kubernetes.get(f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}")
        except ApiError:
            return False
        renewed = found.get("spec", {}).get("renewTime")
        return bool(renewed) and datetime.fromisoformat(renewed).timestamp() > started

    return ready


def both(first: Probe, second: Probe) -> Probe:
    """Ready when both are."""
    return lambda started: first(started) and second(started)
