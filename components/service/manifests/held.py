"""The names by which a service's data and configuration are reached, whatever labels they have."""

from collections.abc import Iterator, Mapping, Sequence

from components.service.args.service import SecureServiceArgs
from components.service.file.public_hosts import tls_name
from components.service.file.storage import claim_name, own_config_name, replica_claim
from components.service.manifests.external_secrets import copy_name
from components.service.manifests.job import workloads_of
from components.service.manifests.storage import config_name
from components.service.manifests.vault import copied, uses_vault

ORDINAL = "#"
"""Stands for the number of a replica at the end of the name of its claim; no name has it."""

NUMBERED = "numbered-claims"
"""The resource of claims that somebody's StatefulSet would make, one or another of which is a service's."""


def accounts(args: SecureServiceArgs) -> list[str]:
    """The service accounts of a service: its own, and one for each job."""
    return [workload.name for workload in workloads_of(args)]


def held_names(services: Sequence[SecureServiceArgs]) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """For each namespace the names, as `resource/name`, each with the accounts that it belongs to.

    These are public hosts, claims, Secrets and ConfigMaps, those that somebody else keeps for the service among them.
    """
    held: dict[str, dict[str, list[str]]] = {args.namespace: {} for args in services}
    for args in services:
        for workload in workloads_of(args):
            for name, account in _names(workload):
                owners = held[args.namespace].setdefault(name, [])
                if account not in owners:
                    owners.append(account)
    return held


def _names(args: SecureServiceArgs) -> Iterator[tuple[str, str]]:
    # A namespace's policy on hosts does not say which of its services a host is of.
    yield from ((f"hosts/{host}", args.name) for host in args.hosts)
    claims = [claim_name(args.name, volume.name) for volume in args.claimed_volumes]
    claims += [f"{replica_claim(args.name, volume.name)}{ORDINAL}" for volume in args.replica_volumes]
    yield from ((f"persistentvolumeclaims/{name}", args.name) for name in claims)
    yield from ((f"{NUMBERED}/{name}", args.name) for claim in claims for name in _numbered(claim))
    if args.config.path:
        yield f"configmaps/{config_name(args.owner)}", args.owner
    for each in args.containers:
        if each.config.path:
            yield f"configmaps/{own_config_name(args.name, each.name)}", args.owner
    if args.ca_bundle.config_map:
        yield f"configmaps/{args.ca_bundle.config_map}", args.owner
    # Whoever replaces these credentials decides nothing about what an image is, but can keep every pod from its own.
    yield from ((f"secrets/{name}", args.name) for name in args.pull_secrets)
    if copied(args):
        # External Secrets writes them, and may use this account alone.
        yield from ((f"secrets/{copy_name(args.name, secret.name)}", args.name) for secret in args.secrets)
    elif args.secrets and not uses_vault(args):
        yield f"secrets/{args.owner}", args.owner
    if args.public and args.platform.ingress.route == "ingress" and args.platform.ingress.issuer:
        yield f"secrets/{tls_name(args.name)}", args.name


def _numbered(claim: str) -> Iterator[str]:
    """The names with the number of a replica in place of a number in this one, at its end or before it."""
    parts = claim.split("-")
    for place, part in enumerate(parts):
        if part.isdecimal():
            yield "-".join([*parts[:place], ORDINAL, *parts[place + 1 :]])
