"""Makes a report: from a stack's own plan, and from what a cluster and an attack have shown of it."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import cast

from pydantic.alias_generators import to_camel

from components.plan import Plan, plan
from components.policy_library import VALIDATING_TIERS, Library, load_library
from components.policy_library import Rule as LibraryRule
from components.posture import SCALE, TABLE, Posture, legal_values, strength
from components.stack import Stack
from components.summary import layers
from zt.compliance_cluster import Access, connect
from zt.diff_facts import Fact, RuleAction
from zt.diff_read import facts_of, stack_of
from zt.exceptions import exceptions
from zt.report_attacks import count, read_attacks
from zt.report_cluster import PublicHost, ReportCluster, Snapshot, certificates, compliance
from zt.report_doors import doors
from zt.report_model import (
    Compliance,
    Exemption,
    Layer,
    Level,
    Measurement,
    Override,
    Report,
    Rule,
    Summary,
    Violation,
)
from zt.report_services import connections, name_of, open_pairs, outside, public, services, vault_paths
from zt.stack_file import PHASES

Connect = Callable[[Access], ReportCluster]

# The rows of `components.summary.layers` that stand for a tier of the library.
_TIER_OF = {"critical rules": "critical", "important rules": "important", "best practice": "best-practice"}
_JUDGING = (*VALIDATING_TIERS, "images")


@dataclass(frozen=True)
class Request:
    """What the caller asks. Without `access` no cluster is looked at."""

    stack: str
    project: Path
    now: datetime
    as_of: date
    access: Access | None = None
    attacks: Path | None = None


def report(request: Request, connect_to: Connect = connect) -> Report:
    """Make the report.

    Raises `ConfigError` or `PolicyLibraryError` for a file that the program would refuse or an argument that is wrong,
    `ClusterError` for a cluster that cannot be read.
    """
    stack, library = stack_of(request.project, request.stack), load_library()
    wanted = plan(stack)
    known = frozenset(facts_of(stack, wanted, library))
    rows = exceptions(request.project, request.as_of, request.stack)
    exempt = [Exemption.model_validate(row, from_attributes=True) for row in rows]
    attack, attacks = read_attacks(request.attacks, request.stack)
    cluster = Snapshot(connect_to(request.access)) if request.access else None
    rules, violations = _rules(stack, library, known, cluster)
    found, names = connections(wanted, known), [name_of(args) for args in wanted.services]
    paths = public(wanted, known)
    held = certificates(_public_hosts(wanted), cluster, request.now)
    posture = tuple(_layers(stack, library, rules))
    judging = [rule for rule in rules if rule.tier in _JUDGING and rule.action != "off"]
    return Report(
        stack=request.stack,
        environment=stack.settings.environment,
        generated=request.now,
        as_of=request.as_of,
        threshold=stack.settings.kyverno.promotion_threshold,
        summary=Summary(
            layers=len(posture),
            layers_enforced=sum(layer.level == "enforced" for layer in posture),
            services=len(names),
            public_services=len({one.service for one in paths}),
            open_pairs=open_pairs(names, found),
            possible_pairs=len(names) * (len(names) - 1),
            rules=len(judging),
            rules_denying=sum(rule.action == "deny" for rule in judging),
            violations=len(violations) if any(rule.compliance for rule in rules) else None,
            exceptions=len(exempt),
            exceptions_expired=sum(one.expired for one in exempt),
            certificates=len(held),
            certificates_valid=sum(one.state == "valid" for one in held) if cluster else None,
            attacks_blocked=count(attacks, "blocked") if attack.measured else None,
            attacks_succeeded=count(attacks, "succeeded") if attack.measured else None,
        ),
        cluster=_where(cluster),
        attack=attack,
        posture=posture,
        overrides=tuple(_overrides(stack)),
        services=services(wanted, known),
        connections=found,
        outside=outside(known),
        public=paths,
        doors=doors(wanted),
        vault=vault_paths(wanted, known),
        certificates=held,
        rules=rules,
        violations=violations,
        exceptions=tuple(exempt),
        attacks=attacks,
    )


def _where(cluster: Snapshot | None) -> Measurement:
    if cluster is None:
        return Measurement(measured=False, reason="no cluster given (--embedded, --kubeconfig or --context)")
    return Measurement(measured=True, source=cluster.where)


def _public_hosts(wanted: Plan) -> list[PublicHost]:
    shown = [(args, args.platform.issuer) for args in wanted.services if args.public]
    return [PublicHost(args.host, name_of(args), issuer) for args, issuer in shown if issuer]


def _layers(stack: Stack, library: Library, rules: Sequence[Rule]) -> Iterator[Layer]:
    for row in layers(stack.posture, stack.settings.vault.mode, library, ambient=stack.ambient):
        name, state = str(row["layer"]), str(row["state"])
        if (tier := _TIER_OF.get(name)) and state != "off":
            # The posture says what a tier may do at most; in the important one each rule has a phase of its own.
            does = Counter(rule.action for rule in rules if rule.tier == tier)
            counted = ", ".join(f"{does[action]} {action}" for action in ("deny", "warn", "audit") if does[action])
            yield Layer(name=name, state=f"{state}: {counted}" if tier == "important" else state, level=_level(does))
        else:
            level: Level = "enforced" if row["enforced"] else "off" if state in ("off", "none") else "on"
            yield Layer(name=name, state=state, level=level)


def _level(does: Mapping[str, int]) -> Level:
    if set(does) == {"deny"}:
        return "enforced"
    return "partly" if "deny" in does else "on" if set(does) - {"off"} else "off"


def _overrides(stack: Stack) -> Iterator[Override]:
    default = TABLE[stack.settings.environment]
    for layer, override in stack.settings.posture.by_layer().items():
        chosen, usual = (_cell(posture, layer) for posture in (stack.posture, default))
        weaker = strength(layer, getattr(stack.posture, layer)) < strength(layer, getattr(default, layer))
        reason = " ".join((override.reason or "").split())
        yield Override(layer=to_camel(layer), value=chosen, default=usual, weaker=weaker, reason=reason)


def _cell(posture: Posture, layer: str) -> str:
    """A cell as a stack file writes it."""
    value = legal_values(layer)[SCALE[layer].index(getattr(posture, layer))]
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _rules(
    stack: Stack, library: Library, known: Collection[Fact], cluster: Snapshot | None
) -> tuple[tuple[Rule, ...], tuple[Violation, ...]]:
    actions = {fact.rule: fact.value for fact in known if isinstance(fact, RuleAction)}
    rules: list[Rule] = []
    violations: list[Violation] = []
    for rule in library.rules.values():
        found, why, violating = _compliance(rule, actions[rule.name], cluster)
        annotations = cast("Mapping[str, Mapping[str, str]]", rule.document["metadata"])["annotations"]
        phase = stack.settings.phases.get(rule.name, PHASES[0]) if rule.tier == "important" else ""
        reached = found is not None and found.percent >= stack.settings.kyverno.promotion_threshold
        violations += violating
        rules.append(
            Rule(
                name=rule.name,
                tier=rule.tier,
                title=annotations["policies.kyverno.io/title"],
                severity=annotations["policies.kyverno.io/severity"],
                action=actions[rule.name],
                phase=phase,
                promotable=reached and phase in PHASES[:-1],
                compliance=found,
                not_measured=why,
            )
        )
    return tuple(rules), tuple(violations)


def _compliance(
    rule: LibraryRule, action: str, cluster: Snapshot | None
) -> tuple[Compliance | None, str, tuple[Violation, ...]]:
    if rule.tier not in _JUDGING:
        return None, "", ()
    if action == "off":
        return None, "off on this stack", ()
    if cluster is None:
        return None, "no cluster given", ()
    return compliance(rule.name, cluster)
