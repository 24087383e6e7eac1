"""The webhook that gives pods Vault's agent: HTTPS on loopback, which the API server alone asks."""

import asyncio
import base64
import json
import logging
import ssl
from typing import Any

from embedded.node.agent_injection import InjectionError, VaultPlace, inject, wanted
from embedded.node.names import VAULT_ADDRESS
from embedded.node.objects import SIMULATED_NAMESPACES
from embedded.supervisor.egress import close
from embedded.supervisor.kubernetes_api import KubernetesApi
from embedded.supervisor.layout import Layout
from embedded.supervisor.pki import CLUSTER, INJECTOR, VAULT
from embedded.supervisor.ports import LOOPBACK

_LOG = logging.getLogger(__name__)
_LIMIT = 8_000_000
# The name that the injector's chart gives it, which decides the order among webhooks.
_NAME = "vault-agent-injector-cfg"


class Injector:
    """Serves the webhook, and registers it."""

    def __init__(self, layout: Layout, api: KubernetesApi) -> None:
        self._layout = layout
        self._api = api
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to answer. Raises ``ApiError`` when the webhook can't be registered."""
        pair = self._layout.pki.pair(INJECTOR)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        port = self._layout.ports[INJECTOR]
        self._server = await asyncio.start_server(self._serve, LOOPBACK, port, ssl=context, limit=_LIMIT)
        await asyncio.to_thread(
            self._api.apply,
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
            self._registration(port),
        )

    async def stop(self) -> None:
        """Stop answering. The registration stays: without an agent no pod that needs one is to start."""
        if self._server:
            self._server.close()
            self._server = None

    def _registration(self, port: int) -> dict[str, Any]:
        authority = base64.b64encode(self._layout.pki.ca(CLUSTER).read_bytes()).decode()
        elsewhere = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": list(SIMULATED_NAMESPACES)}
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
            "metadata": {"name": _NAME},
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
                answer = json.dumps(self._review(json.loads(await reader.readexactly(length)))).encode()
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
        address = f"https://{VAULT_ADDRESS}:{self._layout.ports['vault']}"
        return VaultPlace(address, self._layout.pki.ca(VAULT).read_text(), "localhost")
