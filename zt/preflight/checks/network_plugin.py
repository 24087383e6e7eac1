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
    "cilium": "Cilium",
    "anetd": "GKE Dataplane V2",
    "antrea-agent": "Antrea",
    "kube-router": "kube-router",
    "weave-net": "Weave Net",
    "azure-npm": "Azure Network Policy Manager",
    "ovnkube-node": "OVN-Kubernetes",
}
# By a definition, for plugins that run outside DaemonSets of these names.
_DEFINED = {
    "ciliumnetworkpolicies.cilium.io": "Cilium",
    "installations.operator.tigera.io": "Calico",
    "antreaagentinfos.crd.antrea.io": "Antrea",
}
_AWS_MODE = "NETWORK_POLICY_ENFORCING_MODE"
_AWS, _AWS_AGENT = "aws-node", "aws-eks-nodeagent"
_KINDNET, _FLANNEL = "kindnet", "kube-flannel-ds"
# kind 0.24, of August 2024, is the first whose kindnet enforces them.
_KINDNET_ENFORCES = 20240813
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
    if names:
        yield ok(about, ", ".join(names))
    elif _AWS in daemons:
        yield _aws(about, daemons[_AWS])
    elif _KINDNET in daemons:
        yield _kindnet(about, daemons[_KINDNET])
    elif _FLANNEL in daemons:
        yield fails(about, "flannel alone enforces none", _REPLACE)
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
