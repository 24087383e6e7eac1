"""Builds a report from a stack's plan, a live cluster and the results of `zt attack`."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import cast

from pydantic.alias_generators import to_camel

from components.config.posture import SCALE, TABLE, Posture, legal_values, strength
from components.kyverno.library import VALIDATING_TIERS, Library, load_library
from components.kyverno.library import Rule as LibraryRule
from components.program.plan import Plan, plan
from components.program.stack import Stack
from components.program.summary import layers
from zt.cluster.access import Access, connect
from zt.facts.model import Fact
from zt.facts.read import facts_of, stack_of
from zt.facts.rules import RuleAction
from zt.project.exceptions import exceptions
from zt.project.stack_file import PHASES
from zt.report.attacks import count, read_attacks
from zt.report.cluster import PublicHost, ReportCluster, Snapshot, certificates, compliance
from zt.report.model import Compliance, Exemption, Layer, Level, Measurement, Override, Report, Rule, Summary, Violation
from zt.report.public_limits import public_limits
from zt.report.services import connections, name_of, open_pairs, outside, public, services, vault_paths
from zt.report.stack_calls import stack_calls

Connect = Callable[[Access], ReportCluster]

# The rows of `components.program.summary.layers` that represent a tier of the library.
_TIER_OF = {"critical rules": "critical", "important rules": "important", "best practice": "best-practice"}
_JUDGING = (*VALIDATING_TIERS, "images")


@dataclass(frozen=True)
class Request:
    """The options of a report. Without `access` no cluster is read."""

    stack: str
    project: Path
    now: datetime
    as_of: date
    access: Access | None = None
    attacks: tuple[Path, ...] = ()


def report(request: Request, connect_to: Connect = connect) -> Report:
    """Build the report.

    Raises `ConfigError` or `PolicyLibraryError` for a wrong argument or a file that the program would refuse, and
    `ClusterError` for a cluster that cannot be read.
    """
    stack, library = stack_of(request.project, request.stack), load_library()
    planned = plan(stack)
    known = frozenset(facts_of(stack, planned, library))
    rows = exceptions(request.project, request.as_of, request.stack)
    exempt = [Exemption.model_validate(row, from_attributes=True) for row in rows]
    attack, attacks = read_attacks(request.attacks, request.stack)
    cluster = Snapshot(connect_to(request.access)) if request.access else None
    rules, violations = _rules(stack, library, known, cluster)
    open_connections, names = connections(planned, known), [name_of(args) for args in planned.workloads]
    paths = public(planned, known)
    held = certificates(_public_hosts(planned), cluster, request.now)
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
            public_services=len({path.service for path in paths}),
            open_pairs=open_pairs(names, open_connections),
            possible_pairs=len(names) * (len(names) - 1),
            rules=len(judging),
            rules_denying=sum(rule.action == "deny" for rule in judging),
            violations=len(violations) if any(rule.compliance for rule in rules) else None,
            exceptions=len(exempt),
            exceptions_expired=sum(exemption.expired for exemption in exempt),
            certificates=len(held),
            certificates_valid=sum(certificate.state == "valid" for certificate in held) if cluster else None,
            attacks_blocked=count(attacks, "blocked") if attack.measured else None,
            attacks_succeeded=count(attacks, "succeeded") if attack.measured else None,
        ),
        cluster=_where(cluster),
        attack=attack,
        posture=posture,
        overrides=tuple(_overrides(stack)),
        services=services(planned, known),
        connections=open_connections,
        stack_calls=stack_calls(stack, planned, cluster),
        outside=outside(known),
        public=paths,
        public_limits=public_limits(planned),
        vault=vault_paths(planned, known),
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


def _public_hosts(planned: Plan) -> list[PublicHost]:
    public = [(port.hosts[0], args) for args in planned.public for port in args.public_ports]
    return [
        PublicHost(host, name_of(args), issuer) for host, args in public if (issuer := args.platform.ingress.issuer)
    ]


def _layers(stack: Stack, library: Library, rules: Sequence[Rule]) -> Iterator[Layer]:
    for row in layers(stack.posture, stack.settings.vault.mode, library, ambient=stack.ambient):
        name, state = str(row["layer"]), str(row["state"])
        if (tier := _TIER_OF.get(name)) and state != "off":
            # The posture sets the strongest action of a tier; each important rule also has its own phase.
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
    """A cell of the posture table as a stack file writes it."""
    value = legal_values(layer)[SCALE[layer].index(getattr(posture, layer))]
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _rules(
    stack: Stack, library: Library, known: Collection[Fact], cluster: Snapshot | None
) -> tuple[tuple[Rule, ...], tuple[Violation, ...]]:
    actions = {fact.rule: fact.value for fact in known if isinstance(fact, RuleAction)}
    rules: list[Rule] = []
    violations: list[Violation] = []
    for rule in library.rules.values():
        compliance, why, violating = _compliance(rule, actions[rule.name], cluster)
        annotations = cast("Mapping[str, Mapping[str, str]]", rule.document["metadata"])["annotations"]
        phase = stack.settings.phases.get(rule.name, PHASES[0]) if rule.tier == "important" else ""
        reached = compliance is not None and compliance.percent >= stack.settings.kyverno.promotion_threshold
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
                compliance=compliance,
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
