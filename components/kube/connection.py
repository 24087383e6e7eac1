"""A connection to an API server by the official client, for reading. No request is tried twice."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import kubernetes
import urllib3
import urllib3.exceptions
from kubernetes.client import ApiException, Configuration
from kubernetes.config import ConfigException
from yaml import YAMLError

from components.kube.cluster import JSON, Answer, Call, Cluster
from components.kube.parts import json_object

_SECONDS = (5, 30)

# The library does not type its parameters.
_config: Any = kubernetes.config


class UnreachableError(ConnectionError):
    """There is no kubeconfig that names a cluster, or its API server does not answer. The message says why."""


def of_kubeconfig() -> Cluster:
    """The cluster of the kubeconfig that Pulumi's provider uses: KUBECONFIG, ~/.kube/config, or that of the pod.

    Raises `UnreachableError`, and so does each request to a server that does not answer.
    """
    settings = Configuration()
    # No retries, so that an unreachable server is reported at once.
    settings.retries = 0
    try:
        api = _client(settings)
    except ConfigException as error:
        raise UnreachableError(f"kubeconfig: {error}") from error
    # The errors that the library raises for a file that is not a kubeconfig.
    except (YAMLError, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise UnreachableError(f"kubeconfig: {_reason(error)}") from error
    return Cluster(lambda call: answer(api, call), str(api.configuration.host))


def _client(settings: Any) -> Any:
    try:
        return _config.new_client_from_config(client_configuration=settings)
    except ConfigException as no_file:
        try:
            _config.load_incluster_config(client_configuration=settings)
        except ConfigException:
            raise no_file from None
        return kubernetes.client.ApiClient(settings)


def answer(api: Any, call: Call, impersonation: Mapping[str, str] | None = None, groups: Sequence[str] = ()) -> Answer:
    """Send one request with a client of the official library. Raises `UnreachableError`."""
    headers = {"Accept": call.accept, **(impersonation or {})}
    if call.body is not None:
        headers["Content-Type"] = JSON
    method, url, headers, body, *_ = api.param_serialize(
        call.method, call.path, header_params=headers, body=call.body, auth_settings=["BearerToken"]
    )
    try:
        sent = api.call_api(method, url, _grouped(headers, groups), body, _request_timeout=_SECONDS)
        text = bytes(sent.read() or b"")
    except (urllib3.exceptions.HTTPError, ApiException) as error:
        raise UnreachableError(_reason(error)) from error
    headers = {name.lower(): value for name, value in sent.getheaders().items()}
    read, shown = json_object(text), text.decode(errors="replace")
    if sent.status < HTTPStatus.BAD_REQUEST and call.accept.startswith(JSON) and read is None:
        # Such as the page of a network that asks its users to sign in: read as a list, it would be an empty one.
        raise UnreachableError(f"it answers {call.path.partition('?')[0]} with no object in JSON: is it an API server?")
    return Answer(sent.status, read or {"message": shown[:200]}, headers, shown)


def _grouped(headers: Mapping[str, str], groups: Sequence[str]) -> Any:
    """The headers with one `Impersonate-Group` for each group."""
    if not groups:
        return dict(headers)
    several = urllib3.HTTPHeaderDict(dict(headers))
    for group in groups:
        several.add("Impersonate-Group", group)
    return several


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "reason", None) or error).split())
