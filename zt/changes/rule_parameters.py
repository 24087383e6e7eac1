"""The direction of each parameter of a rule, with the reason for it."""

from collections.abc import Mapping
from types import MappingProxyType

from zt.changes.comparisons import Class, more_is_stronger, more_is_weaker, neutral, not_root, scale, unknown
from zt.changes.direction import TRUST, Direction, Gain

_ALLOWED = "the rule lets through what is on the list"
_REQUIRED = "the rule asks for what is on the list"
_DEFAULTS = "a default for what says nothing, and no bound"
_BOUND = "a higher bound lets one workload take more from the others"
_ALLOW_LISTS = (
    "drop-all-capabilities.allowedCapabilities",
    "require-seccomp-profile.allowedProfiles",
    "restrict-apparmor-profiles.allowedProfiles",
    *(f"restrict-image-registries.{images}" for images in ("meshImages", "agentImages", "solverImages")),
    *(f"require-probes.{images}" for images in ("meshImages", "agentImages")),
    "disallow-proxy-user.meshImages",
    "restrict-selinux-options.allowedTypes",
    "restrict-sysctls.allowedSysctls",
    "restrict-volume-types.allowedTypes",
    "disallow-secrets-in-environment.certificateKeys",
    "require-tls.ingressNamespaces",
    "restrict-service-types.ingressNamespaces",
    "disallow-external-ips.ingressNamespaces",
    "allow-platform.vaultNetworks",
    "allow-platform.dnsNetworks",
)

LISTS: Mapping[str, Gain] = MappingProxyType(
    {
        **{name: Gain(Class.WEAKER, _ALLOWED) for name in _ALLOW_LISTS},
        "require-cost-labels.labels": Gain(Class.STRONGER, _REQUIRED),
        "require-labels.labels": Gain(Class.STRONGER, _REQUIRED),
    }
)
"""The list parameters of rules, by rule and parameter. Registries of images are separate grants."""

PARAMETERS: Mapping[str, Direction] = MappingProxyType(
    {
        "require-replicas.minimum": Direction("", more_is_stronger, "the rule asks for as many"),
        "default-pod-security-context.runAsUser": Direction("", not_root, "0 is root"),
        "default-pod-security-context.fsGroup": Direction("", not_root, "0 is root's group"),
        "allow-platform.vaultPort": Direction("", unknown, TRUST),
        "allow-platform.dnsNamespace": Direction("", unknown, TRUST),
        "allow-platform.meshNamespace": Direction("", unknown, TRUST),
        "allow-platform.vaultExceptions": Direction("", unknown, TRUST),
        "allow-platform.dnsLabels": Direction("", unknown, TRUST),
        "allow-platform.podsReachIstiod": Direction(
            "", scale("true", "false"), "a pod without a proxy of its own has no business there"
        ),
        "default-deny.policyName": Direction("", neutral, "a name decides nothing"),
        **{
            f"{rule}.{parameter}": Direction("", neutral, _DEFAULTS)
            for rule in ("default-resources", "limit-range")
            for parameter in ("cpuRequest", "memoryRequest", "cpuLimit", "memoryLimit")
        },
        **{
            f"limit-range.{parameter}": Direction("", more_is_weaker, _BOUND)
            for parameter in ("cpuMaximum", "memoryMaximum")
        },
        **{
            f"resource-quota.{parameter}": Direction("", more_is_weaker, _BOUND)
            for parameter in ("requestsCpu", "requestsMemory", "limitsMemory", "pods", "loadBalancers", "nodePorts")
        },
    }
)
"""The other parameters of rules, by rule and parameter."""
