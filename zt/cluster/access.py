"""Reads PolicyReports and objects' metadata from a live cluster, page by page."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kubernetes
import urllib3.exceptions
from kubernetes.client import ApiException, Configuration
from kubernetes.config import ConfigException
from yaml import YAMLError

from components.kube.cluster import listed_objects
from components.kube.parts import json_object, part, parts, word
from zt.cluster.compliance import Metadata, Owner
from zt.project.errors import CommandError

_REPORTS = "/apis/wgpolicyk8s.io/v1alpha2"
_CERTIFICATES = "/apis/cert-manager.io/v1/certificates"
_NETWORK_POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
_PAGE = 500
SECONDS = (5, 60)
"""How long a connection to the API server may take, and the wait for an answer."""
_JSON = "application/json"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_NOT_FOUND, _GONE = 404, 410

# The library does not type its parameters.
_config: Any = kubernetes.config


class ClusterError(CommandError):
    """The cluster cannot be read. One line says where it is, and why."""


@dataclass(frozen=True)
class Access:
    """The cluster to use: by default that of the caller's kubeconfig (KUBECONFIG, ~/.kube/config) and its context."""

    kubeconfig: Path | None = None
    context: str | None = None
    embedded: bool = False


def connect(access: Access) -> "LiveCluster":
    """A reader of the cluster. Raises `ClusterError` when the kubeconfig or the context does not exist."""
    file = access.kubeconfig
    if access.embedded:
        from embedded.access import EmbeddedPlane

        file = EmbeddedPlane().kubeconfig
    if file is not None and not file.is_file():
        hint = "; start the control plane with `make up`" if access.embedded else ""
        raise ClusterError(f"there is no kubeconfig {file}{hint}")
    settings = Configuration()
    # No retries, so that an unreachable server is reported at once.
    settings.retries = 0
    try:
        api = _config.new_client_from_config(str(file) if file else None, access.context, client_configuration=settings)
        name = access.context or _config.list_kube_config_contexts(str(file) if file else None)[1]["name"]
    except ConfigException as error:
        raise ClusterError(f"{file or 'kubeconfig'}: {error}") from error
    # The errors that the library raises for a file that is not a kubeconfig.
    except (YAMLError, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise ClusterError(f"{file or 'kubeconfig'} is no kubeconfig: {_reason(error)}") from error
    return LiveCluster(api, f"context {name} ({settings.host})")


@dataclass(frozen=True)
class LiveCluster:
    """A cluster behind a client of the official library."""

    api: Any
    where: str
    _resources: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])

    def reports(self) -> Iterator[Mapping[str, object]]:
        """Every report of the cluster, or none if it does not serve PolicyReports. Raises `ClusterError`."""
        for resource in ("policyreports", "clusterpolicyreports"):
            yield from self._list(f"{_REPORTS}/{resource}", _JSON)

    def certificates(self) -> list[dict[str, Any]]:
        """Every Certificate of cert-manager, or none if the cluster does not serve them. Raises `ClusterError`."""
        return list(self._list(_CERTIFICATES, _JSON))

    def network_policies(self) -> list[dict[str, Any]]:
        """Every NetworkPolicy. Raises `ClusterError`."""
        return list(self._list(_NETWORK_POLICIES, _JSON))

    def labelled(self, path: str, selector: str) -> list[dict[str, Any]]:
        """The metadata of a list's objects with these labels, and nothing else of them. Raises `ClusterError`."""
        return [part(item, "metadata") for item in self._list(path, _METADATA, {"labelSelector": selector})]

    def delete(self, path: str, metadata: Mapping[str, Any]) -> None:
        """Delete an object as it was read, if it is there. Raises `ClusterError`, also when it changed since."""
        read = {"uid": word(metadata, "uid"), "resourceVersion": word(metadata, "resourceVersion")}
        self._call("DELETE", path, _JSON, body={"preconditions": read})

    def metadata(self, api_version: str, kind: str) -> Mapping[str, Metadata]:
        """The metadata of the live objects of a kind, by uid. Raises `ClusterError`."""
        group = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        if group not in self._resources:
            self._resources[group] = parts(self._get(group, _JSON) or {}, "resources")
        names = (word(each, "name") for each in self._resources[group] if word(each, "kind") == kind)
        served = (name for name in names if name and "/" not in name)
        plural = next(served, None)
        if plural is None:
            return {}
        items = (item["metadata"] for item in self._list(f"{group}/{plural}", _METADATA))
        return {word(meta, "uid"): Metadata(meta["name"], part(meta, "labels"), _controller(meta)) for meta in items}

    def _list(self, path: str, accept: str, query: Mapping[str, object] | None = None) -> Iterator[dict[str, Any]]:
        token, limit = "", _PAGE
        items: list[dict[str, Any]] = []
        while True:
            page = self._get(path, accept, {**(query or {}), "limit": limit, **({"continue": token} if token else {})})
            if page is None:
                if not token:
                    return iter(items)
                # The snapshot behind the pages has expired: request everything again, in one page.
                items, token, limit = [], "", 0
                continue
            found, last = listed_objects(page), token
            if found is None:
                raise ClusterError(f"{self.where} answered {path} with no list of objects: is it an API server?")
            items += found
            token = word(page, "metadata", "continue")
            if not token:
                return iter(items)
            if token == last:
                raise ClusterError(f"{self.where} never ends its list of {path}: is it an API server?")

    def _get(self, path: str, accept: str, query: Mapping[str, object] | None = None) -> dict[str, Any] | None:
        """The answer of the API server; `None` if nothing is at the path, or the page has expired."""
        return self._call("GET", path, accept, query_params=list((query or {}).items()))

    def _call(self, verb: str, path: str, accept: str, **told: Any) -> dict[str, Any] | None:
        method, url, headers, body, *_ = self.api.param_serialize(
            verb, path, header_params={"Accept": accept}, auth_settings=["BearerToken"], **told
        )
        try:
            answer = self.api.call_api(method, url, headers, *([body] if body else []), _request_timeout=SECONDS)
            read = bytes(answer.read() or b"")
        except (urllib3.exceptions.HTTPError, ApiException) as error:
            raise ClusterError(f"{self.where} cannot be reached: {_reason(error)}") from error
        if answer.status in (_NOT_FOUND, _GONE):
            return None
        if answer.status != 200:
            refused = f"refused to {'show' if verb == 'GET' else 'delete'}"
            raise ClusterError(f"{self.where} {refused} {path}: {_refusal(answer.status, read)}")
        found = json_object(read)
        if found is None:
            raise ClusterError(f"{self.where} answered {path} with no object in JSON: is it an API server?")
        return found


def _controller(metadata: Mapping[str, Any]) -> Owner | None:
    owners = parts(metadata, "ownerReferences")
    return next((Owner(word(each, "kind"), word(each, "name")) for each in owners if each.get("controller")), None)


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "reason", None) or error).split())


def _refusal(status: int, body: bytes) -> str:
    try:
        return f"{status} {json.loads(body)['message']}"
    except (ValueError, TypeError, KeyError):
        return str(status)
