"""Which local port implements a Service of the cluster: what the egress proxy asks."""

from collections.abc import Mapping

from embedded.supervisor.container import container_named
from embedded.supervisor.controllers import CONTROLLERS, Controller, labels_of
from embedded.supervisor.https_api import ApiError
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest

_SERVICE_SUFFIXES = (".svc", ".svc.cluster.local")


class ServiceRoutes:
    """Follows a Service as kube-proxy would: selector, target port, container port, and then the host process."""

    def __init__(self, api: KubernetesApi, ports: Mapping[str, int]) -> None:
        self._api = api
        self._ports = ports

    def resolve(self, host: str, port: int) -> int | None:
        """The local port behind a cluster address or ``<service>.<namespace>.svc``; None when no process has it."""
        try:
            service = self._service(host)
            return self._local_port(service, port) if service else None
        except ApiError:
            return None

    def _service(self, host: str) -> Manifest | None:
        for service in self._api.list("/api/v1/services"):
            metadata = service["metadata"]
            name = f"{metadata['name']}.{metadata['namespace']}"
            if host == service["spec"].get("clusterIP") or host in {name + suffix for suffix in _SERVICE_SUFFIXES}:
                return service
        return None

    def _local_port(self, service: Manifest, port: int) -> int | None:
        namespace = service["metadata"]["namespace"]
        entry = next((item for item in service["spec"]["ports"] if item["port"] == port), None)
        selector = service["spec"].get("selector")
        if not entry or not selector:
            return None
        for deployment in self._api.list(f"/apis/apps/v1/namespaces/{namespace}/deployments"):
            if not selector.items() <= labels_of(deployment["spec"]["template"]).items():
                continue
            for controller in CONTROLLERS:
                if controller.deploys(deployment):
                    return self._served(controller.of(deployment), deployment, entry.get("targetPort", port))
        return None

    def _served(self, controller: Controller, deployment: Manifest, target: str | int) -> int | None:
        declared = container_named(deployment, controller.container).get("ports") or []
        names = {target}
        for container_port in declared:
            if target in {container_port.get("name"), container_port["containerPort"]}:
                names |= {container_port.get("name"), container_port["containerPort"]}
        local = next((local for name, local in controller.serves.items() if name in names), None)
        return self._ports.get(f"{controller.name}.{local}") if local else None
