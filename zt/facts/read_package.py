"""Reads the facts of a package: of each workload what a service has around it, and what the file grants."""

import hashlib
import json
from collections.abc import Iterator, Mapping

from components.kube.written import below, items
from components.kyverno.library import Library
from components.package.args import PackageArgs
from components.service.args.service import SecureServiceArgs
from zt.facts.model import ApiRight, Exemption, Fact, Granted, Service, ServiceSetting
from zt.facts.read_network import network_facts
from zt.facts.read_service import public_facts, public_settings, vault_facts
from zt.facts.read_workload import hardening


def package_facts(args: PackageArgs, library: Library) -> Iterator[Fact]:
    """Every fact of a package, by workload."""
    for workload in args.workloads:
        name = f"{workload.namespace}/{workload.name}"
        yield Service(name, workload.team)
        yield from network_facts(name, workload)
        yield from vault_facts(name, workload)
        yield from dict.fromkeys(_rights(name, workload))
        yield ServiceSetting(name, "image", workload.image)
        yield ServiceSetting(name, "team", workload.team)
    for workload in args.public:
        name = f"{workload.namespace}/{workload.name}"
        yield from public_facts(name, workload)
        yield from (ServiceSetting(name, key, value) for key, value in public_settings(workload))
    yield ServiceSetting(str(args.ref), "objects", _digest(args))
    for each in args.objects.objects:
        if each.template is not None:
            yield from _pods(f"{args.namespace}/{each.name}", below(each.template, "spec"))
    for what, expires in args.grants.items():
        yield Granted(str(args.ref), what, expires)
    for each in args.exceptions:
        rule = each.exception.rule
        name = f"{args.namespace}/{each.workload}"
        yield Exemption(name, rule, library.rule(rule).tier, each.exception.expires)


def _rights(name: str, workload: SecureServiceArgs) -> Iterator[ApiRight]:
    """The rights that the chart gives to the account of a workload that reaches the API server."""
    for rule in workload.kubernetes_api:
        for group in rule.api_groups:
            resources = [f"{resource}.{group}" if group else resource for resource in rule.resources]
            yield from (ApiRight(name, verb, one, rule.cluster_wide) for one in resources for verb in rule.verbs)


def _pods(name: str, pod: Mapping[str, object]) -> Iterator[ServiceSetting]:
    """What the pods of a workload share with their node, and how each container is confined."""
    shared = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key) is True]
    yield ServiceSetting(name, "host-namespaces", ", ".join(shared) or "none")
    # A container has these of its pod, unless it says them itself.
    common = {k: v for k, v in below(pod, "securityContext").items() if k in ("runAsNonRoot", "seccompProfile")}
    for container in (*items(pod, "initContainers"), *items(pod, "containers")):
        context = common | below(container, "securityContext")
        own = f"{name}.{container.get('name')}"
        yield from (ServiceSetting(own, key, value) for key, value in hardening(context))


def _digest(args: PackageArgs) -> str:
    """A digest of everything that the chart brings."""
    text = json.dumps([each.manifest for each in args.objects.objects], sort_keys=True, default=str)
    return f"digest {hashlib.sha256(text.encode()).hexdigest()[:16]}"
