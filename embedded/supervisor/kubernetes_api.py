"""The few calls the supervisor makes on the Kubernetes API, over plain dictionaries."""

from collections.abc import Iterator
from typing import Any

from embedded.supervisor.https_api import APPLY_PATCH, MERGE_PATCH, ApiError, HttpsApi

CONFLICT = 409
NOT_FOUND = 404

# Kubernetes objects are open dictionaries of JSON: there is no schema here to type them by.
Manifest = dict[str, Any]


class KubernetesApi:
    """Reads and writes objects by their REST path (Kubernetes API reference, "API concepts")."""

    def __init__(self, api: HttpsApi) -> None:
        self._api = api

    def get(self, path: str) -> Manifest:
        """Read one object or list. Raises ``ApiError``."""
        return self._api.call("GET", path)

    def find(self, path: str) -> Manifest | None:
        """Read one object; None when there is none of that name. Raises ``ApiError`` for every other refusal."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def list(self, path: str) -> list[Manifest]:
        """The items of a list. Raises ``ApiError``."""
        return self.get(path).get("items") or []

    def lines(self, path: str) -> Iterator[bytes]:
        """The lines of a watch, as they come. Raises ``ApiError``."""
        return self._api.lines(path)

    def create(self, collection: str, manifest: Manifest) -> None:
        """Create an object in its collection. Raises ``ApiError``."""
        self._api.call("POST", collection, manifest)

    def replace(self, path: str, manifest: Manifest) -> None:
        """Replace an object. Raises ``ApiError``, also when it changed since it was read."""
        self._api.call("PUT", path, manifest)

    def delete(self, path: str) -> None:
        """Delete an object. One that is gone is no error."""
        try:
            self._api.call("DELETE", path)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise

    def ensure(self, collection: str, manifest: Manifest) -> None:
        """Create the object in its collection; leave one of that name as it is."""
        try:
            self.create(collection, manifest)
        except ApiError as error:
            if error.status != CONFLICT:
                raise

    def apply(self, collection: str, manifest: Manifest) -> None:
        """Make the object what the manifest says, as far as it says (server-side apply). Raises ``ApiError``."""
        path = f"{collection}/{manifest['metadata']['name']}?fieldManager=embedded&force=true"
        self._api.call("PATCH", path, manifest, content_type=APPLY_PATCH)

    def patch(self, path: str, change: Manifest) -> None:
        """Merge a change into the object (RFC 7396). An object that is gone is no error."""
        try:
            self._api.call("PATCH", path, change, content_type=MERGE_PATCH)
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise

    def annotate(self, path: str, annotations: dict[str, str | None]) -> None:
        """Set annotations on the object, or remove those given as None. An object that is gone is no error."""
        self.patch(path, {"metadata": {"annotations": annotations}})

    def service_account_token(
        self, namespace: str, name: str, seconds: int, audience: str | None = None, bound: Manifest | None = None
    ) -> str:
        """A token of the service account (TokenRequest API): for the API server itself, or for another audience.

        ``bound`` refers to the object with which the token ends.
        """
        spec: Manifest = {"expirationSeconds": seconds}
        if audience:
            spec["audiences"] = [audience]
        if bound:
            spec["boundObjectRef"] = bound
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        answer: Manifest = self._api.call("POST", path, body)
        return answer["status"]["token"]
