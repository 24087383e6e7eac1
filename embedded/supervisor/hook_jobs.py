"""Helm hooks whose effect matters: what their images do, done here under the Job's own service account.

A simulated pod runs nothing. Most Jobs lose nothing by that and complete at once; these few complete only when what
they are there for has happened.
"""

import asyncio
import base64
import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from embedded.supervisor.controllers import READY_ANNOTATION
from embedded.supervisor.https_api import ApiError, HttpsApi
from embedded.supervisor.kubernetes_api import KubernetesApi, Manifest
from embedded.supervisor.layout import Layout
from embedded.supervisor.pki import CLUSTER, signing_request

_LOG = logging.getLogger(__name__)
_TOKEN_SECONDS = 600
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_MANAGED_BY_KYVERNO = "labelSelector=webhook.kyverno.io/managed-by%3Dkyverno"
_PART_OF_KYVERNO = "labelSelector=app.kubernetes.io/part-of%3Dkyverno"

Act = Callable[[KubernetesApi, str], None]


@dataclass(frozen=True, slots=True)
class HookJob:
    """One known hook, told by its namespace and the first argument of its container.

    ``act`` does what the image does, again until it succeeds. With ``waits_for_stop`` the Job completes once no
    controller of its namespace runs any more.
    """

    namespace: str
    argument: str
    act: Act
    waits_for_stop: bool = False

    def owns(self, pod: Manifest) -> bool:
        """Whether the pod is one of this hook's Job."""
        metadata = pod["metadata"]
        owners = metadata.get("ownerReferences") or []
        arguments = pod["spec"]["containers"][0].get("args") or [""]
        return (
            metadata["namespace"] == self.namespace
            and arguments[0] == self.argument
            and any(owner["kind"] == "Job" for owner in owners)
        )


def _scale_to_zero(api: KubernetesApi, namespace: str) -> None:
    """Scale Kyverno's Deployments to zero (``readiness-checker scale-deploy``): it then removes its webhooks itself."""
    for deployment in api.list(f"/apis/apps/v1/namespaces/{namespace}/deployments?{_PART_OF_KYVERNO}"):
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment['metadata']['name']}"
        api.replace(path, deployment | {"spec": deployment["spec"] | {"replicas": 0}})


def _delete_webhooks(api: KubernetesApi, _namespace: str) -> None:
    """Delete Kyverno's mutating webhooks. The image (1.19.1) misses the validating ones: Kyverno removes those."""
    for webhook in api.list(f"{_ADMISSION}/mutatingwebhookconfigurations?{_MANAGED_BY_KYVERNO}"):
        api.delete(f"{_ADMISSION}/mutatingwebhookconfigurations/{webhook['metadata']['name']}")


def _check_certificate_api(api: KubernetesApi, namespace: str) -> None:
    """Create a CertificateRequest as a dry run: cert-manager's webhook must answer (``startupapicheck check api``)."""
    request: dict[str, Any] = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "CertificateRequest",
        "metadata": {"generateName": "cmapichecker-"},
        "spec": {"request": base64.b64encode(signing_request()).decode(), "issuerRef": {"name": "cmapichecker"}},
    }
    api.create(f"/apis/cert-manager.io/v1/namespaces/{namespace}/certificaterequests?dryRun=All", request)


HOOK_JOBS: tuple[HookJob, ...] = (
    HookJob("kyverno", "scale-deploy", _scale_to_zero, waits_for_stop=True),
    HookJob("kyverno", "delete-webhooks", _delete_webhooks),
    HookJob("cert-manager", "check", _check_certificate_api),
)


class HookRunner:
    """Finds the pods of known hooks, acts for them, and lets them complete."""

    def __init__(self, layout: Layout, api: KubernetesApi, running_namespaces: Callable[[], Collection[str]]) -> None:
        self._layout = layout
        self._api = api
        self._running_namespaces = running_namespaces
        self._done: set[str] = set()
        self._reported: dict[HookJob, str] = {}

    async def run_due(self, pods: Iterable[Manifest]) -> bool:
        """Act once for every hook that has a pod waiting among these. Returns whether there was one."""
        due = [(hook, pod) for pod in pods if _is_running(pod) for hook in HOOK_JOBS if hook.owns(pod)]
        await asyncio.gather(*(asyncio.to_thread(self._run, hook, pod) for hook, pod in due))
        return bool(due)

    def _run(self, hook: HookJob, pod: Manifest) -> None:
        try:
            self._serve(hook, pod)
        except ApiError as error:
            if self._reported.get(hook) != str(error):
                _LOG.warning("hook %s/%s: %s", hook.namespace, hook.argument, error)
            self._reported[hook] = str(error)

    def _serve(self, hook: HookJob, pod: Manifest) -> None:
        metadata = pod["metadata"]
        if metadata["uid"] not in self._done:
            hook.act(self._as_service_account(pod), hook.namespace)
            self._done.add(metadata["uid"])
            _LOG.info("hook %s/%s: done", hook.namespace, hook.argument)
        if hook.waits_for_stop and hook.namespace in self._running_namespaces():
            return
        path = f"/api/v1/namespaces/{hook.namespace}/pods/{metadata['name']}"
        self._api.annotate(path, {READY_ANNOTATION: "true"})

    def _as_service_account(self, pod: Manifest) -> KubernetesApi:
        account = pod["spec"].get("serviceAccountName", "default")
        token = self._api.service_account_token(pod["metadata"]["namespace"], account, _TOKEN_SECONDS)
        return KubernetesApi(HttpsApi(self._layout.api_server_url, self._layout.pki.ca(CLUSTER), token=token))


def _is_running(pod: Manifest) -> bool:
    return pod.get("status", {}).get("phase") == "Running"
