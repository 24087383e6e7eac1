"""The stack's outputs: what a person or a pipeline reads after a run."""

from collections.abc import Sequence
from dataclasses import asdict

from pydantic.alias_generators import to_camel

from components.config.action import Action
from components.config.posture import Posture
from components.config.vault import VaultSettings
from components.kube.names import AUTH_PATH, KV_MOUNT
from components.kyverno.library import TIERS, Library
from components.service.args.service import SecureServiceArgs
from components.service.manifests.route import public_url
from components.service.manifests.vault import uses_vault

Row = dict[str, object]

_ACTION_TEXTS = {Action.OFF: "off", Action.AUDIT: "audit", Action.WARN: "warn and audit", Action.DENY: "deny"}


def layers(
    posture: Posture, vault_mode: str, rules: Library, delivery: str = "injector", ambient: bool = False
) -> list[Row]:
    """Each layer of the posture table: its state as text, and whether it is enforced; a tier without rules is not."""
    servers = "external" if vault_mode == "external" else _count(posture.vault_replicas, "replica")
    vault = f"{servers}, TLS, {_count(posture.audit_devices, 'audit device')}"
    closed = "fails closed" if posture.injection_fail_closed else "fails open"
    transport, criteria = (", from node to node", ", by identity and port") if ambient else ("", "")
    count = {tier: len(rules.tier(tier)) for tier in TIERS}
    ceiling = _ACTION_TEXTS[posture.important]
    important = ceiling if posture.important is Action.OFF else f"by phase, at most {ceiling}"
    return [
        _row("vault", vault if posture.vault else "off", posture.vault),
        _row("injection", f"on, {closed}" if posture.injection else "off", posture.injection_fail_closed)
        if delivery == "injector"
        else _row("injection", "off: External Secrets copies into etcd", enforced=False),
        _rules("critical rules", _ACTION_TEXTS[posture.critical], count["critical"], posture.critical is Action.DENY),
        _rules("important rules", important, count["important"], posture.important is Action.DENY),
        _rules("best practice", _ACTION_TEXTS[posture.best_practice], count["best-practice"], enforced=False),
        _rules("mutate", _on(posture.mutate), count["mutate"], posture.mutate),
        _rules("generate", _on(posture.generate), count["generate"], posture.generate),
        _row("mTLS", f"{posture.mtls}{transport}" if posture.mtls else "off", posture.mtls == "STRICT"),
        _row(
            "authorization",
            posture.authorization if posture.authorization == "off" else f"{posture.authorization}{criteria}",
            posture.authorization == "enforce",
        ),
        _row("network policies", _on(posture.network_policies), posture.network_policies),
        _row("issuer", posture.issuer, posture.issuer == "letsencrypt-prod"),
    ]


def services(args: Sequence[SecureServiceArgs]) -> list[Row]:
    """A row for each service: its namespace and address, its calls, and the Vault role that reads its secrets."""
    return [
        {
            "name": service.name,
            "namespace": service.namespace,
            "url": public_url(service),
            "calls": [f"{peer.service}:{peer.port}" for peer in service.calls],
            "vault_role": service.key if uses_vault(service) else "",
        }
        for service in args
    ]


def _row(layer: str, state: str, enforced: bool) -> Row:
    return {"layer": layer, "state": state, "enforced": enforced}


def _rules(layer: str, state: str, number: int, enforced: bool) -> Row:
    return _row(layer, state if state == "off" else f"{state}, {_count(number, 'rule')}", enforced and number > 0)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _on(switch: bool) -> str:
    return "on" if switch else "off"


def vault(settings: VaultSettings, posture: Posture) -> Row:
    """The address of Vault, its mounts, and how it is run; empty without Vault."""
    if not posture.vault:
        return {}
    return {"address": settings.address, "mode": settings.mode, "kvMount": KV_MOUNT, "authPath": AUTH_PATH}


def decisions(posture: Posture) -> Row:
    """The decision of the posture for each layer, with the layers' names as in a stack file."""
    return {to_camel(layer): "off" if value is None else value for layer, value in asdict(posture).items()}
