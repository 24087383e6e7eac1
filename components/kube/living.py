"""The cluster that a run is about, for what is asked of it while the program runs."""

from components.kube.cluster import Cluster


def living_cluster() -> Cluster:
    """The cluster that Pulumi's provider uses. Raises `UnreachableError`."""
    # The client takes half a second to load, and most stacks ask nothing.
    from components.kube.connection import of_kubeconfig

    return of_kubeconfig()
