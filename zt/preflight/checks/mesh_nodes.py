"""What the mesh needs of the nodes and of the network plugin, so that its agent redirects each pod's traffic.

https://istio.io/latest/docs/ambient/install/platform-prerequisites/ and
https://docs.cilium.io/en/stable/network/servicemesh/istio/
"""

from collections.abc import Iterable, Iterator

from zt.cluster.manifest import Manifest, part, parts
from zt.preflight.checks.network_plugin import cilium_setting
from zt.preflight.line import Check, Line, Theme, fails, ok, warns
from zt.preflight.session import Session

_NODES, _GROUPS = "/api/v1/nodes", "/apis"
_DAEMON_SETS = "/apis/apps/v1/daemonsets"
_FELIX = "/apis/crd.projectcalico.org/v1/felixconfigurations"
_OPENSHIFT = "security.openshift.io"
_K3D = "k3d-"
_MICROK8S = "microk8s.io/cluster"
# With a plugin of one's own in place of the one that these bring, it is where most clusters have it.
_BRING_A_PLUGIN = ("k3s", "k3d", "microk8s")
_PLUGINS = ("calico-node", "canal", "cilium", "antrea-agent", "kube-router", "kube-flannel", "kube-flannel-ds")


def _openshift(session: Session) -> Iterable[Line]:
    about = "user of the mesh's proxies"
    groups = parts(session.cluster.found(_GROUPS) or {}, "groups")
    if any(group.get("name") == _OPENSHIFT for group in groups):
        yield fails(
            about,
            "OpenShift: istiod gives the proxies of each namespace another user, of the range in its annotation "
            "openshift.io/sa.scc.uid-range, and the rule disallow-proxy-user refuses every proxy but that of user 1337",
            "use a cluster that is not OpenShift: the program does not run there",
        )
    else:
        yield ok(about, "1337, as everywhere but on OpenShift")


def _platform_of(session: Session) -> str:
    """The platform that Istio's charts have to know, by what the cluster says of itself; empty for most."""
    version = session.cluster_version
    nodes = session.cluster.objects(_NODES)
    if "-gke" in version:
        return "gke"
    if "+k3s" in version:
        return "k3d" if any(node["metadata"]["name"].startswith(_K3D) for node in nodes) else "k3s"
    if any(_MICROK8S in part(node, "metadata", "labels") for node in nodes):
        return "microk8s"
    return ""


def _platform(session: Session) -> Iterable[Line]:
    about, written = "mesh.platform", session.stack.settings.mesh.platform or ""
    found = _platform_of(session)
    daemons = {each["metadata"]["name"] for each in session.cluster.objects(_DAEMON_SETS)}
    own_plugin = found in _BRING_A_PLUGIN and not daemons.isdisjoint(_PLUGINS)
    due = "" if own_plugin else found
    # Nothing says of a cluster that minikube made it with Docker.
    if written == due or written == "minikube":
        yield ok(about, written or "none: network plugins are where most clusters have them")
    elif due:
        what = f"{written or 'none'}, on {found}: the agent of the mesh does not start there, or redirects no pod"
        yield fails(about, what, f"mesh.platform: {due} in {session.file}")
    else:
        what = f"{written}, and the cluster is none{' with the network plugin that it brings' if own_plugin else ''}"
        fix = f"leave mesh.platform out of {session.file}, unless its nodes keep network plugins as {written} does"
        yield (fails if own_plugin else warns)(about, what, fix)


def _chained(session: Session) -> Iterable[Line]:
    """Whether the network plugin lets the mesh's plugin run after it, and its proxies see what a pod called."""
    about = "network plugin with a mesh"
    daemons = {each["metadata"]["name"]: each for each in session.cluster.objects(_DAEMON_SETS)}
    lines = [*_cilium(session, about, daemons["cilium"])] if "cilium" in daemons else []
    lines += _calico(session, about)
    yield from lines
    if not lines:
        yield ok(about, "nothing of Cilium or of Calico is in the way")


def _cilium(session: Session, about: str, daemon: Manifest) -> Iterator[Line]:
    def says(key: str) -> str:
        return cilium_setting(session, daemon, key)

    upgrade = f"helm upgrade cilium cilium/cilium --namespace {daemon['metadata']['namespace']} --reuse-values --set "
    if says("cni-exclusive") == "true":
        found = "Cilium removes the plugins of others from the nodes (cni-exclusive), the mesh's too"
        yield fails(about, found, f"{upgrade}cni.exclusive=false")
    in_sockets = says("kube-proxy-replacement") in ("true", "strict") or says("bpf-lb-sock") == "true"
    if in_sockets and says("bpf-lb-sock-hostns-only") != "true":
        found = "Cilium turns the address of a Service into a pod's within the caller: the mesh's proxy never sees it"
        yield fails(about, found, f"{upgrade}socketLB.hostNamespaceOnly=true")
    if session.stack.ambient and says("enable-bpf-masquerade") == "true":
        found = "Cilium's masquerading in BPF drops the kubelet's probes of pods in the ambient mesh"
        yield fails(about, found, f"{upgrade}bpf.masquerade=false")


def _calico(session: Session, about: str) -> Iterator[Line]:
    for each in session.cluster.objects(_FELIX):
        spec = part(each, "spec")
        balancing = spec.get("bpfConnectTimeLoadBalancing", "TCP")
        if spec.get("bpfEnabled") is True and balancing != "Disabled":
            name = each["metadata"]["name"]
            patch = '{"spec": {"bpfConnectTimeLoadBalancing": "Disabled", "bpfHostNetworkedNATWithoutCTLB": "Enabled"}}'
            found = "Calico in eBPF turns a Service's address into a pod's before the mesh's proxy sees it"
            fix = f"kubectl patch felixconfiguration {name} --type merge --patch '{patch}'"
            yield fails(about, found, fix, f"bpfConnectTimeLoadBalancing: {balancing}")


THEME = Theme(
    "mesh on the nodes",
    (
        Check("mesh-user", "user of the mesh's proxies", _openshift, lambda session: session.planned.mesh is not None),
        Check("mesh-platform", "mesh.platform", _platform, lambda session: bool(session.created.chart("cni"))),
        Check(
            "mesh-plugin",
            "network plugin with a mesh",
            _chained,
            lambda session: session.planned.mesh is not None,
        ),
    ),
)
