"""Requests to the API server as the identity that would run `pulumi up`. A refusal is an answer. Nothing is changed."""

from collections.abc import Sequence

from components.kube.cluster import Answer, Call, Cluster, UnreadableError
from components.kube.connection import UnreachableError, answer
from zt.cluster.access import Access, ClusterError, connect

__all__ = ["Answer", "Call", "Cluster", "UnreadableError", "cluster"]


def cluster(access: Access, user: str = "", groups: Sequence[str] = ()) -> Cluster:
    """The cluster of a kubeconfig, as its user or by impersonation as another. Raises `ClusterError`."""
    live = connect(access)
    impersonation = {"Impersonate-User": user} if user else {}

    def send(call: Call) -> Answer:
        try:
            return answer(live.api, call, impersonation, groups)
        except UnreachableError as error:
            raise ClusterError(f"{live.where} cannot be reached: {error}") from error

    return Cluster(send, live.where)
