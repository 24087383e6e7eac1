"""The network plugin: whether anything enforces the NetworkPolicies, by the DaemonSets and definitions it brings.

That a policy is enforced shows only with pods: `zt attack` tries it on a stack that runs.
"""

import re
from collections.abc import Iterable

from zt.cluster import plugin_policies
from zt.cluster.manifest import Manifest, part, parts
from zt.preflight.line import Check, Line, Theme, fails, ok, warns
from zt.preflight.session import Session

_DAEMON_SETS = "/apis/apps/v1/daemonsets"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
# By the name of the DaemonSet: each enforces NetworkPolicies as it is installed.
_ENFORCING = {
    "calico-node": "Calico",
    "canal": "Calico (Canal)",
    "rke2-canal": "Calico (Canal of RKE2)",
    "cilium": "Cilium",
    "anetd": "GKE Dataplane V2",
    "antrea-agent": "Antrea",
    "kube-router": "kube-router",
    "weave-net": "Weave Net",
    "azure-npm": "Azure Network Policy Manager",
    "ovnkube-node": "OVN-Kubernetes",
    "kube-network-policies": "kube-network-policies",
}
# By a definition, for plugins that run outside DaemonSets of these names.
_DEFINED = {
    "ciliumnetworkpolicies.cilium.io": "Cilium",
    "installations.operator.tigera.io": "Calico",
    "antreaagentinfos.crd.antrea.io": "Antrea",
}
_AWS_MODE = "NETWORK_POLICY_ENFORCING_MODE"
_AWS, _AWS_AGENT = "aws-node", "aws-eks-nodeagent"
_KINDNET, _FLANNEL = "kindnet", ("kube-flannel", "kube-flannel-ds")
# Flannel of Talos has it beside its own container: https://docs.siderolabs.com/kubernetes-guides/cni/flannel
_BESIDE_FLANNEL = "kube-network-policies"
_NODES = "/api/v1/nodes"
_AWS_COMPUTE = "eks.amazonaws.com/compute-type"
_AWS_SETTINGS = "/api/v1/namespaces/kube-system/configmaps/amazon-vpc-cni"
_AWS_CLASSES = "/apis/eks.amazonaws.com/v1/nodeclasses"
# What a server of k3s was started with, as it writes it on its own node.
_K3S_ARGUMENTS, _K3S_WITHOUT = "k3s.io/node-args", "--disable-network-policy"
_CILIUM, _CILIUM_SETTINGS = "cilium", "configmaps/cilium-config"
# kind 0.24, of August 2024, is the first whose kindnet enforces them.
_KINDNET_ENFORCES = 20240813
_K3S_FIX = f"start the servers of k3s without {_K3S_WITHOUT}, or install Calico or Cilium"
_REPLACE = (
    "create the cluster without its own plugin (kind: disableDefaultCNI: true), and install Calico or Cilium "
    "(docs/how-to/clusters.md)"
)


def _plugin(session: Session) -> Iterable[Line]:
    about = "a network plugin that enforces NetworkPolicy"
    daemons = {each["metadata"]["name"]: each for each in session.cluster.objects(_DAEMON_SETS)}
    definitions = {each["name"] for each in session.cluster.metadata(_DEFINITIONS)}
    names = [plugin for name, plugin in _ENFORCING.items() if name in daemons]
    names += [plugin for name, plugin in _DEFINED.items() if name in definitions and plugin not in names]
    flannel = [daemons[name] for name in _FLANNEL if name in daemons]
    if _CILIUM in daemons and cilium_setting(session, daemons[_CILIUM], "enable-policy") == "never":
        yield fails(
            about,
            "Cilium with enable-policy: never enforces none",
            "helm upgrade cilium cilium/cilium --reuse-values --set policyEnforcementMode=default",
        )
    elif names:
        yield ok(about, ", ".join(names))
    elif of_aws := [*_of_aws(session, about, daemons.get(_AWS))]:
        yield from of_aws
    elif _KINDNET in daemons:
        yield _kindnet(about, daemons[_KINDNET])
    elif any(each["name"] == _BESIDE_FLANNEL for daemon in flannel for each in _containers(daemon)):
        yield ok(about, f"{_BESIDE_FLANNEL} beside flannel")
    elif flannel:
        yield fails(about, "flannel alone enforces none", _REPLACE)
    elif "+k3s" in session.cluster_version:
        yield _k3s(session, about)
    else:
        stack = session.file.split(".")[1]
        fix = f"see in its documentation that it does, and try it on the stack that runs: zt attack --stack {stack}"
        yield warns(about, "none that is known here", fix)


def _others(session: Session) -> Iterable[Line]:
    """A policy of an administrator or of the plugin may allow what no NetworkPolicy of the stack does, or deny it."""
    about = "NetworkPolicies alone decide"
    found = [
        name
        for kind, path in plugin_policies.kinds(lambda path: session.cluster.get(path).body)
        for name in plugin_policies.named(kind, session.cluster.objects(path))
    ]
    if found:
        fix = "see that none opens what the stack closes, or closes what a service calls: nothing here evaluates them"
        yield warns(about, ", ".join(found), fix)
    else:
        yield ok(about, "no policy of an administrator or of the network plugin")


def _of_aws(session: Session, about: str, daemon: Manifest | None) -> Iterable[Line]:
    """The lines about the nodes with the VPC CNI and about those of EKS Auto Mode: a cluster may have both."""
    if daemon:
        yield _aws(about, daemon)
    if any(part(node, "metadata", "labels").get(_AWS_COMPUTE) == "auto" for node in session.cluster.objects(_NODES)):
        yield _aws_auto(session, about)


def _aws(about: str, daemon: Manifest) -> Line:
    agents = [each for each in _containers(daemon) if each["name"] == _AWS_AGENT]
    if any("--enable-network-policy=true" in (each.get("args") or []) for each in agents):
        return _strict(about, daemon)
    fix = (
        "set enableNetworkPolicy of the add-on: aws eks update-addon --cluster-name NAME --addon-name vpc-cni "
        """--configuration-values '{"enableNetworkPolicy": "true"}'"""
    )
    return fails(about, "the AWS VPC CNI without its network policy agent enforces none", fix)


def _strict(about: str, daemon: Manifest) -> Line:
    """The line about a new pod's first packets: in the standard mode they pass until its policies are there.

    https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html
    """
    modes = [
        str(each.get("value", ""))
        for container in _containers(daemon)
        for each in parts(container, "env")
        if each.get("name") == _AWS_MODE
    ]
    if "strict" in modes:
        return ok(about, "the AWS VPC CNI with its network policy agent, from a pod's first packet")
    fix = (
        f"set env.{_AWS_MODE} of the add-on to strict, once every namespace has a policy for what its pods need: "
        "aws eks update-addon --cluster-name NAME --addon-name vpc-cni --configuration-values FILE"
    )
    return warns(about, "the AWS VPC CNI in its standard mode: a new pod is open until its policies are there", fix)


def _aws_auto(session: Session, about: str) -> Line:
    """The line about EKS Auto Mode, whose nodes bring the plugin, and which enforces nothing before it is asked to.

    https://docs.aws.amazon.com/eks/latest/userguide/auto-net-pol.html
    """
    settings = part(session.cluster.found(_AWS_SETTINGS) or {}, "data")
    if settings.get("enable-network-policy-controller") != "true":
        fix = (
            "kubectl create configmap amazon-vpc-cni --namespace kube-system "
            "--from-literal=enable-network-policy-controller=true"
        )
        return fails(about, "EKS Auto Mode without its network policy controller enforces none", fix)
    classes = session.cluster.objects(_AWS_CLASSES)
    standard = [
        each["metadata"]["name"] for each in classes if part(each, "spec").get("networkPolicy") != "DefaultDeny"
    ]
    if standard:
        fix = "set networkPolicy: DefaultDeny in a NodeClass, once every namespace has a policy for what its pods need"
        found = "EKS Auto Mode in its standard mode: a new pod is open until its policies are there"
        return warns(about, found, fix, *(f"NodeClass {name}" for name in sorted(standard)))
    return ok(about, "EKS Auto Mode with its network policy controller, from a pod's first packet")


def _k3s(session: Session, about: str) -> Line:
    """The line about k3s, whose servers have flannel and a controller of network policies within.

    https://docs.k3s.io/networking/networking-services#network-policy-controller
    """
    without = [
        node["metadata"]["name"]
        for node in session.cluster.objects(_NODES)
        if _K3S_WITHOUT in str(part(node, "metadata", "annotations").get(_K3S_ARGUMENTS, ""))
    ]
    if without:
        return fails(
            about, f"k3s was started with {_K3S_WITHOUT}, and no plugin of its own is there", _K3S_FIX, *without
        )
    return ok(about, "the network policy controller of k3s")


def cilium_setting(session: Session, daemon: Manifest, key: str) -> str:
    """A setting of the Cilium whose DaemonSet this is; empty if it has none."""
    place = f"/api/v1/namespaces/{daemon['metadata']['namespace']}/{_CILIUM_SETTINGS}"
    return str(part(session.cluster.found(place) or {}, "data").get(key, ""))


def _kindnet(about: str, daemon: Manifest) -> Line:
    dates = [re.search(r":v(\d{8})-", str(each.get("image", ""))) for each in _containers(daemon)]
    if any(date and int(date[1]) >= _KINDNET_ENFORCES for date in dates):
        return warns(about, "kindnet of kind 0.24 or newer, for clusters that are tried out", _REPLACE)
    return fails(about, "kindnet alone, of a version that enforces none", _REPLACE)


def _containers(daemon: Manifest) -> list[Manifest]:
    return parts(part(daemon, "spec", "template", "spec"), "containers")


THEME = Theme(
    "network plugin",
    (
        Check(
            "network-policy",
            "a network plugin that enforces NetworkPolicy",
            _plugin,
            lambda session: session.stack.posture.network_policies,
        ),
        Check(
            "other-network-policies",
            "NetworkPolicies alone decide",
            _others,
            lambda session: session.stack.posture.network_policies,
        ),
    ),
)
