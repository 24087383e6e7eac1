"""Runs each known controller as its chart deployed it, and tells the simulated pods when it is ready."""

import asyncio
import base64
import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from embedded.supervisor import probes
from embedded.supervisor.container import MissingReferenceError, arguments_of, container_named, environment_of
from embedded.supervisor.controllers import CONTROLLERS, READY_ANNOTATION, Controller
from embedded.supervisor.hook_jobs import HookRunner
from embedded.supervisor.https_api import ApiError
from embedded.supervisor.kubeconfig import write_token_kubeconfig
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest
from embedded.supervisor.layout import Layout
from embedded.supervisor.pki import CLUSTER
from embedded.supervisor.ports import add_ports
from embedded.supervisor.private_files import write_private
from embedded.supervisor.process import Process, Program
from embedded.supervisor.watched import Changes, Watched

_LOG = logging.getLogger(__name__)
# While something is not as it should be, and otherwise: for tokens, which end.
_RETRY_SECONDS, _AT_REST_SECONDS = 1.0, 60.0
_NAMESPACES = frozenset(controller.namespace for controller in CONTROLLERS)
# A pod's default terminationGracePeriodSeconds: Kyverno uses it to remove its webhooks.
_STOP_SECONDS = 30.0
_LISTED_SECONDS = 90.0
_TOKEN_SECONDS = 3600
_RENEW_TOKEN_AFTER_SECONDS = 1200


@dataclass(slots=True)
class _Running:
    """A controller's process, and the Deployment it was started for."""

    process: Process
    namespace: str
    fingerprint: str
    service_account: str
    token_written: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class _Deployed:
    """A Deployment, the controller that it deploys, and its scheduled pods, the newest first."""

    controller: Controller
    deployment: Manifest
    pods: list[Manifest]

    @property
    def fingerprint(self) -> str:
        """What a new rollout changes: the pod template of this very Deployment; and what is added to it here."""
        template = self.deployment["spec"]["template"]
        content = json.dumps([self.deployment["metadata"]["uid"], template, repr(self.controller)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


class Reconciler:
    """Compares the Deployments in the API server with the host processes, whenever one of the two changes."""

    def __init__(self, layout: Layout, api: KubernetesApi, on_change: Callable[[], None]) -> None:
        self._layout = layout
        self._api = api
        self._on_change = on_change
        self._changes = Changes()
        told = self._changes.tell
        self._deployments = Watched(api, "/apis/apps/v1/deployments", told, _NAMESPACES)
        self._pods = Watched(api, "/api/v1/pods", told, _NAMESPACES)
        self._running: dict[str, _Running] = {}
        self._reported: dict[str, str] = {}
        self.reports = True
        """Whether Kyverno's controllers, as they run, write reports."""
        self._wants_reports, self._stock_envoy = True, False
        self._controllers = CONTROLLERS
        self._hooks = HookRunner(layout, api, self._running_namespaces)

    @property
    def processes(self) -> list[Process]:
        """The processes of the controllers that are deployed now."""
        return [running.process for running in self._running.values()]

    def configure_stock_envoy(self) -> None:
        """From now on a controller configures proxies that lack Istio's own filters; what runs is restarted for it."""
        self._stock_envoy = True
        self._configure()

    def have_reports(self, wanted: bool) -> None:
        """From now on Kyverno reports on what stands there, or on nothing; what runs is restarted where it has to be.

        Reports take a third of the processor while a stack comes up.
        """
        if wanted != self._wants_reports:
            self._wants_reports = wanted
            self._configure()

    def _configure(self) -> None:
        rows = CONTROLLERS if self._wants_reports else tuple(row.for_no_reports() for row in CONTROLLERS)
        self._controllers = tuple(row.for_stock_envoy() for row in rows) if self._stock_envoy else rows
        self._changes.tell()

    async def start(self) -> None:
        """Begin to follow the API server, and start the controllers that are deployed. Raises ``TimeoutError``."""
        self._deployments.start()
        self._pods.start()
        async with asyncio.timeout(_LISTED_SECONDS):
            while not (self._deployments.listed and self._pods.listed):
                await self._changes.wait(_RETRY_SECONDS)
        await self._reconcile_all()

    async def run(self) -> None:
        """Reconcile until cancelled."""
        while True:
            settled = await self._reconcile_all()
            await self._changes.wait(_AT_REST_SECONDS if settled else _RETRY_SECONDS)

    async def _reconcile_all(self) -> bool:
        """Start, restart and stop controllers once, as their Deployments say now. Returns whether nothing is left."""
        pods, reports = self._pods.items(), self._wants_reports
        deployed = self._deployed(self._deployments.items(), pods)
        names = deployed.keys() | self._running.keys()
        controllers = (self._reconcile_and_report(name, deployed.get(name)) for name in names)
        waiting, *_ = await asyncio.gather(self._hooks.run_due(pods), *controllers)
        self.reports = reports
        return not waiting and not self._reported and all(running.process.ready for running in self._running.values())

    async def stop(self) -> None:
        """Stop every controller."""
        await asyncio.gather(*(running.process.stop() for running in self._running.values()))
        self._running.clear()

    def _changed(self) -> None:
        self._on_change()
        self._changes.tell()

    def _running_namespaces(self) -> set[str]:
        return {running.namespace for running in self._running.values()}

    def _deployed(self, deployments: list[Manifest], pods: list[Manifest]) -> dict[str, _Deployed]:
        known = [(row.of(item), item) for item in deployments for row in self._controllers if row.deploys(item)]
        return {controller.name: _Deployed(controller, item, _pods_of(controller, pods)) for controller, item in known}

    async def _reconcile_and_report(self, name: str, deployed: _Deployed | None) -> None:
        try:
            await self._reconcile(name, deployed)
            self._reported.pop(name, None)
        except (ApiError, MissingReferenceError) as error:
            self._report(name, error)

    def _report(self, name: str, error: Exception) -> None:
        if self._reported.get(name) != str(error):
            _LOG.warning("%s: %s", name, error)
        self._reported[name] = str(error)

    async def _reconcile(self, name: str, deployed: _Deployed | None) -> None:
        pods = deployed.pods if deployed else []
        running = self._running.get(name)
        if running and not (deployed and pods and running.fingerprint == deployed.fingerprint):
            _LOG.info("%s: stopping, its Deployment %s", name, "changed" if pods else "has no pods")
            await asyncio.to_thread(self._announce, pods, ready=False)
            await running.process.stop()
            del self._running[name]
            running = None
            self._changed()
        if deployed and pods and not running:
            await self._start(deployed)
        elif deployed and running:
            await self._keep(running, deployed)

    async def _start(self, deployed: _Deployed) -> None:
        controller, pod = deployed.controller, deployed.pods[0]
        account = pod["spec"].get("serviceAccountName", "default")
        add_ports(self._layout.state.ports, self._layout.ports, controller.port_names)
        program = await asyncio.to_thread(self._program, controller, deployed.deployment, pod, account)
        _LOG.info("%s: starting as service account %s/%s", controller.name, controller.namespace, account)
        process = Process(program, self._changed)
        self._running[controller.name] = _Running(process, controller.namespace, deployed.fingerprint, account)
        process.start()

    async def _keep(self, running: _Running, deployed: _Deployed) -> None:
        if time.monotonic() - running.token_written > _RENEW_TOKEN_AFTER_SECONDS:
            await asyncio.to_thread(self._write_token, deployed.controller, running.service_account)
            running.token_written = time.monotonic()
        await asyncio.to_thread(self._announce, deployed.pods, ready=running.process.ready)

    def _announce(self, pods: list[Manifest], *, ready: bool) -> None:
        for pod in pods:
            metadata = pod["metadata"]
            announced = (metadata.get("annotations") or {}).get(READY_ANNOTATION) == "true"
            if announced != ready:
                path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
                self._api.annotate(path, {READY_ANNOTATION: "true" if ready else None})

    def _program(self, controller: Controller, deployment: Manifest, pod: Manifest, account: str) -> Program:
        layout = self._layout
        shutil.rmtree(layout.directory(controller.name))
        directory = layout.directory(controller.name)
        kubeconfig = directory / "kubeconfig"
        token = self._write_token(controller, account)
        authority = layout.pki.ca(CLUSTER)
        write_token_kubeconfig(kubeconfig, layout.api_server_url, authority, token, controller.namespace)
        values: dict[str, object] = {name: layout.ports[f"{controller.name}.{name}"] for name in controller.ports}
        values |= {"kubeconfig": kubeconfig, "directory": directory, "challenges": layout.ports["challenges"]}
        values["suffix"] = controller.suffix
        for name, content in controller.files.items():
            write_private(directory / name, content)
        self._write_mounted(controller)
        container = container_named(deployment, controller.container)
        environment = layout.environment(controller.name) | environment_of(container, pod, self._api)
        arguments = arguments_of(container, environment)
        executable, *subcommand = controller.command
        return Program(
            name=controller.name,
            arguments=(
                layout.tool(executable),
                *subcommand,
                *arguments,
                *(argument.format_map(values) for argument in controller.arguments),
            ),
            directory=directory,
            log=layout.log(controller.name),
            ready=self._probe(controller),
            environment=environment | {k: v.format_map(values) for k, v in controller.environment.items()},
            stop_seconds=_STOP_SECONDS,
        )

    def _write_mounted(self, controller: Controller) -> None:
        """Write what a volume of the Secret would hold. Raises ``MissingReferenceError`` until it has a certificate."""
        if controller.mounted is None:
            return
        found = self._api.find(f"/api/v1/namespaces/{controller.namespace}/secrets/{controller.mounted}")
        data = (found or {}).get("data") or {}
        if "tls.crt" not in data:
            raise MissingReferenceError(f"Secret {controller.namespace}/{controller.mounted} has no certificate yet")
        for key, value in data.items():
            write_private(self._layout.directory(controller.name) / key, base64.b64decode(value))

    def _probe(self, controller: Controller) -> probes.Probe:
        health = controller.health
        port = self._layout.ports[f"{controller.name}.{health.port}"]
        ready = probes.http(health.scheme, port, health.path)
        if not health.lease:
            return ready
        return probes.both(ready, probes.lease(self._api, controller.namespace, health.lease))

    def _write_token(self, controller: Controller, account: str) -> Path:
        token = self._layout.directory(controller.name) / "token"
        write_private(token, self._api.service_account_token(controller.namespace, account, _TOKEN_SECONDS))
        return token


def _pods_of(controller: Controller, pods: list[Manifest]) -> list[Manifest]:
    """The controller's scheduled pods, the newest first."""
    alive = [pod for pod in pods if controller.owns(pod) and _is_scheduled(pod)]
    return sorted(alive, key=lambda pod: pod["metadata"]["creationTimestamp"], reverse=True)


def _is_scheduled(pod: Manifest) -> bool:
    return bool(pod["spec"].get("nodeName")) and not pod["metadata"].get("deletionTimestamp")
