"""The webhook that gives pods Vault's agent: HTTPS on loopback, which the API server alone asks.

Where a release of Vault brings an injector it plays that one: behind the release's own webhook and Service, with the
environment of its Deployment. Otherwise it has a webhook of its own, and the agents find the Vault on loopback.
"""

import asyncio
import base64
import json
import logging
import ssl
from typing import Any

from embedded.node.agent_injection import InjectionError, VaultPlace, inject, wanted
from embedded.node.names import INJECTOR_SERVICE, VAULT_ADDRESS
from embedded.node.objects import SIMULATED_NAMESPACES, VAULT_NAMESPACE
from embedded.supervisor.container import container_named
from embedded.supervisor.egress import close
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest
from embedded.supervisor.layout import Layout
from embedded.supervisor.pki import CLUSTER, INJECTOR, VAULT
from embedded.supervisor.ports import LOOPBACK

_LOG = logging.getLogger(__name__)
_LIMIT = 8_000_000
_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
# The name in the injector's chart, and one beside it: names decide the order among webhooks.
_OF_THE_RELEASE = "vault-agent-injector-cfg"
_OWN = f"{_OF_THE_RELEASE}.embedded"
_SERVICE = f"/api/v1/namespaces/{VAULT_NAMESPACE}/services/{INJECTOR_SERVICE.partition('.')[0]}"
_DEPLOYMENT = f"/apis/apps/v1/namespaces/{VAULT_NAMESPACE}/deployments/vault-agent-injector"


class Injector:
    """Serves the webhook, and registers it."""

    def __init__(self, layout: Layout, api: KubernetesApi) -> None:
        self._layout = layout
        self._api = api
        self._server: asyncio.Server | None = None
        self._asked_by = ""
        self._service_address = ""

    async def start(self) -> None:
        """Begin to answer. Raises ``ApiError`` when the webhook can't be registered."""
        pair = self._layout.pki.pair(INJECTOR)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        port = self._layout.ports[INJECTOR]
        self._server = await asyncio.start_server(self._serve, LOOPBACK, port, ssl=context, limit=_LIMIT)
        await asyncio.to_thread(self.register)

    def register(self) -> None:
        """Be asked by the release's webhook, if there is one, or else by one of its own. Raises ``ApiError``."""
        authority = base64.b64encode(self._layout.pki.ca(CLUSTER).read_bytes()).decode()
        released = self._api.find(f"{_WEBHOOKS}/{_OF_THE_RELEASE}")
        if released is None:
            if self._asked_by != _OWN:
                self._api.apply(_WEBHOOKS, self._registration(authority))
                self._asked_by = _OWN
            return
        service = self._api.find(_SERVICE)
        self._service_address = (service or {}).get("spec", {}).get("clusterIP", "")
        # The injector itself writes the authority of its certificate there (AGENT_INJECT_TLS_AUTO).
        webhooks = released["webhooks"]
        if any(webhook["clientConfig"].get("caBundle") != authority for webhook in webhooks):
            for webhook in webhooks:
                webhook["clientConfig"]["caBundle"] = authority
            self._api.patch(f"{_WEBHOOKS}/{_OF_THE_RELEASE}", {"webhooks": webhooks})
        if self._asked_by != _OF_THE_RELEASE:
            self._api.delete(f"{_WEBHOOKS}/{_OWN}")
            self._asked_by = _OF_THE_RELEASE

    def is_at(self, host: str, port: int) -> bool:
        """Whether the API server means it with an address: its own, or that of the release's Service."""
        own = (LOOPBACK, self._layout.ports[INJECTOR])
        return (host, port) == own or host in {INJECTOR_SERVICE, self._service_address}

    async def stop(self) -> None:
        """Stop answering. The registration stays: without an agent no pod that needs one is to start."""
        if self._server:
            self._server.close()
            self._server = None

    def _registration(self, authority: str) -> Manifest:
        port = self._layout.ports[INJECTOR]
        platform = [*SIMULATED_NAMESPACES, VAULT_NAMESPACE]
        elsewhere = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": platform}
        webhook = {
            "name": "vault.hashicorp.com",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": f"https://{LOOPBACK}:{port}/mutate", "caBundle": authority},
            "failurePolicy": "Fail",
            "matchPolicy": "Exact",
            "namespaceSelector": {"matchExpressions": [elsewhere]},
            "rules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["pods"],
                    "scope": "Namespaced",
                }
            ],
            "sideEffects": "None",
            "timeoutSeconds": 10,
        }
        return {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": _OWN},
            "webhooks": [webhook],
        }

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    int(line.partition(b":")[2])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length:")
                )
                review = json.loads(await reader.readexactly(length))
                answer = json.dumps(await asyncio.to_thread(self._review, review)).encode()
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n\r\n"
                writer.write(head.encode() + answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, StopIteration) as error:
            _LOG.debug("injector: %s", error)
        finally:
            await close(writer)

    def _review(self, review: dict[str, Any]) -> dict[str, Any]:
        request = review["request"]
        response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        pod = request["object"]
        if wanted(pod):
            try:
                made = inject(pod, self._vault())
            except (InjectionError, KeyError, ValueError) as error:
                message = f"{error}" if isinstance(error, InjectionError) else f"an annotation is missing: {error}"
                response |= {"allowed": False, "status": {"code": 400, "message": message}}
            else:
                patch = [
                    {"op": "replace", "path": "/spec", "value": made["spec"]},
                    {"op": "replace", "path": "/metadata/annotations", "value": made["metadata"]["annotations"]},
                ]
                encoded = base64.b64encode(json.dumps(patch).encode()).decode()
                response |= {"patchType": "JSONPatch", "patch": encoded}
        return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}

    def _vault(self) -> VaultPlace:
        deployment = self._api.find(_DEPLOYMENT)
        if deployment is None:
            address = f"https://{VAULT_ADDRESS}:{self._layout.ports['vault']}"
            return VaultPlace(address, self._layout.pki.ca(VAULT).read_text(), "localhost")
        variables = container_named(deployment, "sidecar-injector").get("env") or []
        said = {entry["name"].removeprefix("AGENT_INJECT_"): entry.get("value", "") for entry in variables}
        return VaultPlace(said["VAULT_ADDR"], said.get("VAULT_CACERT_BYTES", ""), image=said["VAULT_IMAGE"])
