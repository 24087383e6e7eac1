"""Reads the facts of a package: of each workload what a service has around it, and what the file grants."""

from collections.abc import Iterator

from components.kyverno.library import Library
from components.package.args import PackageArgs
from components.service.args.service import SecureServiceArgs
from zt.facts.model import ApiRight, Exemption, Fact, Granted, Service, ServiceSetting
from zt.facts.read_network import network_facts
from zt.facts.read_service import public_facts, vault_facts


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
        yield from public_facts(f"{workload.namespace}/{workload.name}", workload)
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
