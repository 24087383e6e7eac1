"""The posture table: which layers are on, and which block or only report, for each environment.

The table comes from the zero-trust model's "When to Relax Zero Trust". Nothing else in the program depends on the name
of an environment: components receive the decisions of a `Posture`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

from components.config.action import Action


@dataclass(frozen=True)
class Posture:
    """The decisions of one stack.

    `important` is a ceiling: each rule of that tier has its own phase below it. `mtls` is the mode of the mesh-wide
    PeerAuthentication, `None` without a mesh. `authorization` is `enforce`, `dry-run` or `off`.
    """

    vault: bool
    vault_replicas: int
    audit_devices: int
    injection: bool
    injection_fail_closed: bool
    critical: Action
    important: Action
    best_practice: Action
    mutate: bool
    generate: bool
    mtls: str | None
    authorization: str
    network_policies: bool
    issuer: str

    @property
    def closed(self) -> bool:
        """Whether only callers named in a service file reach a service, by the rules of the network or of the mesh."""
        return is_closed(self.network_policies, self.authorization)


def is_closed(network_policies: bool, authorization: str) -> bool:
    """Whether one of the decisions keeps out callers that no service file names."""
    return network_policies or authorization == "enforce"


@dataclass(frozen=True)
class Override:
    """A cell of the table that a stack file changes. A value weaker than the default needs a reason."""

    value: object
    reason: str | None = None


@dataclass(frozen=True)
class PostureProblem:
    """A problem with one override: the layer, the value found, and the legal values."""

    layer: str
    found: object
    message: str
    legal: tuple[object, ...] = ()


class PostureError(ValueError):
    """All problems of a posture."""

    def __init__(self, problems: tuple[PostureProblem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(f"posture.{p.layer}: {p.message} (found {p.found!r})" for p in problems))


TABLE: Mapping[str, Posture] = MappingProxyType(
    {
        "production": Posture(
            vault=True,
            vault_replicas=3,
            audit_devices=2,
            injection=True,
            injection_fail_closed=True,
            critical=Action.DENY,
            important=Action.DENY,
            best_practice=Action.AUDIT,
            mutate=True,
            generate=True,
            mtls="STRICT",
            authorization="enforce",
            network_policies=True,
            issuer="letsencrypt-prod",
        ),
        "staging": Posture(
            vault=True,
            vault_replicas=3,
            audit_devices=1,
            injection=True,
            injection_fail_closed=False,
            critical=Action.WARN,
            important=Action.AUDIT,
            best_practice=Action.AUDIT,
            mutate=True,
            generate=True,
            mtls="STRICT",
            authorization="dry-run",
            network_policies=True,
            issuer="letsencrypt-staging",
        ),
        "dev": Posture(
            vault=True,
            vault_replicas=1,
            audit_devices=1,
            injection=True,
            injection_fail_closed=False,
            critical=Action.AUDIT,
            important=Action.OFF,
            best_practice=Action.OFF,
            mutate=True,
            generate=False,
            mtls="PERMISSIVE",
            authorization="off",
            network_policies=False,
            issuer="ca",
        ),
        "local": Posture(
            vault=False,
            vault_replicas=0,
            audit_devices=0,
            injection=False,
            injection_fail_closed=False,
            critical=Action.OFF,
            important=Action.OFF,
            best_practice=Action.OFF,
            mutate=False,
            generate=False,
            mtls=None,
            authorization="off",
            network_policies=False,
            issuer="none",
        ),
    }
)

# Weakest first, so that the index is the strength of a value and two indexes can be compared.
SCALE: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "vault": (False, True),
        "vault_replicas": (0, 1, 3, 5),
        "audit_devices": (0, 1, 2),
        "injection": (False, True),
        "injection_fail_closed": (False, True),
        "critical": tuple(Action),
        "important": tuple(Action),
        # The model never enforces the best-practice tier.
        "best_practice": (Action.OFF, Action.AUDIT),
        "mutate": (False, True),
        "generate": (False, True),
        "mtls": (None, "PERMISSIVE", "STRICT"),
        "authorization": ("off", "dry-run", "enforce"),
        "network_policies": (False, True),
        # Nobody trusts letsencrypt-staging; Vault's certificates are trusted by those who have the organisation's root.
        "issuer": ("none", "ca", "letsencrypt-staging", "vault", "letsencrypt-prod"),
    }
)

LAYERS: tuple[str, ...] = tuple(field.name for field in fields(Posture))


def strength(layer: str, value: object) -> int:
    """The position of a value on its layer's scale; 0 is the weakest."""
    return SCALE[layer].index(value)


def posture_for(environment: str, overrides: Mapping[str, Override] = MappingProxyType({})) -> Posture:
    """The posture of an environment with the overrides of its stack file.

    Turning a layer off turns off what depends on it (no Vault: no injection; no mTLS: no authorization), unless an
    override contradicts that. Raises `PostureError` with every override that is illegal, contradictory or without a
    reason, and `KeyError` for an unknown environment.
    """
    default = TABLE[environment]
    problems: list[PostureProblem] = []
    chosen: dict[str, object] = {}
    for layer, override in overrides.items():
        problem = _problem(default, layer, override)
        if problem is None:
            chosen[layer] = _canonical(layer, override.value)
        else:
            problems.append(problem)
    if problems:
        raise PostureError(tuple(problems))
    posture = _settle(replace(default, **chosen), frozenset(chosen))  # pyright: ignore[reportArgumentType] - checked against SCALE
    if contradictions := _contradictions(posture):
        raise PostureError(contradictions)
    return posture


def legal_values(layer: str) -> tuple[object, ...]:
    """The values a stack file may write for a layer, weakest first (`off` stands for no mTLS)."""
    return tuple("off" if value is None else value for value in SCALE[layer])


def _canonical(layer: str, value: object) -> object:
    """The value of a stack file as it is on the scale. YAML 1.1 reads a bare `off` as False."""
    if value is False and False not in SCALE[layer]:
        value = "off"
    if value == "off" and None in SCALE[layer]:
        return None
    for known in SCALE[layer]:
        # A bool is an int: without the type check, `true` would count as one replica.
        if value == known and isinstance(value, bool) == isinstance(known, bool):
            return known
    raise LookupError(value)


def _problem(default: Posture, layer: str, override: Override) -> PostureProblem | None:
    if layer not in SCALE:
        return PostureProblem(layer, override.value, "no such layer", LAYERS)
    try:
        value = _canonical(layer, override.value)
    except LookupError:
        return PostureProblem(layer, override.value, "not a value of this layer", legal_values(layer))
    weaker = strength(layer, value) < strength(layer, getattr(default, layer))
    if weaker and not (override.reason or "").strip():
        return PostureProblem(layer, override.value, "weaker than the environment's default: write a reason beside it")
    return None


def _settle(posture: Posture, chosen: frozenset[str]) -> Posture:
    """Adapt the layers that depend on Vault, injection or mTLS, except for those that the stack file sets."""
    implied: dict[str, object] = {}
    if not posture.vault:
        implied = {"vault_replicas": 0, "audit_devices": 0, "injection": False}
    elif posture.vault_replicas == 0:
        implied = {"vault_replicas": 1, "audit_devices": 1, "injection": True}
    if not implied.get("injection", posture.injection):
        implied["injection_fail_closed"] = False
    if posture.mtls is None:
        implied["authorization"] = "off"
    kept = {layer: value for layer, value in implied.items() if layer not in chosen}
    return replace(posture, **kept)  # pyright: ignore[reportArgumentType] - values of SCALE


def _contradictions(posture: Posture) -> tuple[PostureProblem, ...]:
    problems: list[PostureProblem] = []
    if posture.vault and posture.vault_replicas == 0:
        problems.append(PostureProblem("vault_replicas", 0, "Vault is on", legal_values("vault_replicas")[1:]))
    if not posture.vault:
        resting = ("vault_replicas", "audit_devices", "injection")
        problems += [
            PostureProblem(layer, value, "Vault is off", legal_values(layer)[:1])
            for layer in resting
            if (value := getattr(posture, layer))
        ]
    if posture.injection_fail_closed and not posture.injection:
        problems.append(PostureProblem("injection_fail_closed", True, "injection is off", (False,)))
    if posture.mtls is None and posture.authorization != "off":
        message = "mTLS is off, and a caller's identity comes from its certificate"
        problems.append(PostureProblem("authorization", posture.authorization, message, ("off",)))
    return tuple(problems)
