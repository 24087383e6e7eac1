"""Searches a chart's values for those that mend what the rules and the platform say of it, by trying them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from components.kube.manifest import Manifest
from zt.package.candidates import candidates, merged
from zt.package.trial import Trial, Trials, Violation, all_of

# Values that mend something only when another one is set, such as the token of an account that is not made yet.
_ROUNDS = 3
# What the platform has in place of a chart's own, so that it may go.
_REPLACED = frozenset({"NetworkPolicy", "Ingress", "HTTPRoute", "GRPCRoute"})


@dataclass(frozen=True)
class Mend:
    """A change of values, and what it mends."""

    values: Manifest
    mends: tuple[Violation, ...]
    removes: tuple[str, ...] = ()
    """The objects of the chart that it takes away, since the platform has its own."""


@dataclass(frozen=True)
class Outcome:
    """The values that were chosen, what each of them mends, and the chart with all of them."""

    mends: tuple[Mend, ...]
    last: Trial
    tried: int


def search(trials: Trials, values: Mapping[str, object], version: str, registry: str = "") -> Outcome:
    """The fewest changes that mend the most. Raises `RenderError` for a chart that does not render by itself.

    `registry` is one whose images may run.
    """
    last, chosen, tried = trials.first({}), list[Mend](), 0
    for _ in range(_ROUNDS):
        changes = list(candidates(merged(values, last.values), version, registry))
        tried += len(changes)
        made = trials.changed(last, changes, partial(_is_worth, last))
        options = [_mend(change.values, last, trial) for change, trial in made]
        new = _fewest([option for option in options if option])
        together = trials.first(_with(last.values, new)) if new else last
        # Two changes may be in each other's way: then one after the other.
        while new and not is_no_worse(last, together):
            new = new[:-1]
            together = trials.first(_with(last.values, new)) if new else last
        if not new:
            break
        chosen += new
        last = together
    return Outcome(tuple(chosen), last, tried)


def is_no_worse(before: Trial, after: Trial) -> bool:
    """Whether other values make nothing worse, and take nothing away that the chart needs."""
    gone = {kind for kind, _ in before.identities - after.identities}
    return not after.problems - before.problems and gone <= _REPLACED


def _is_worth(before: Trial, after: Trial) -> bool:
    return _mend({}, before, after) is not None


def _mend(change: Manifest, before: Trial, after: Trial) -> Mend | None:
    """What a change mends; nothing if it makes anything worse, or takes away what the chart needs."""
    gone = before.identities - after.identities
    gained = before.problems - after.problems
    if not is_no_worse(before, after) or not (gained or gone):
        return None
    return Mend(change, tuple(sorted(gained)), tuple(f"{kind} {name}" for kind, name in sorted(gone)))


def _fewest(options: Sequence[Mend]) -> list[Mend]:
    """Of these the one that mends the most, then the one that mends the most of the rest, and so on."""
    chosen: list[Mend] = []
    left = {one for option in options for one in (*option.mends, *option.removes)}
    while left:
        best = max(options, key=lambda option: (len(left & {*option.mends, *option.removes}), -_size(option.values)))
        covered = left & {*best.mends, *best.removes}
        if not covered:
            break
        chosen.append(best)
        left -= covered
    return chosen


def _size(values: object) -> int:
    if isinstance(values, dict):
        return sum(1 + _size(value) for value in values.values())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - values of any kind
    return 1


def _with(values: Mapping[str, object], mends: Sequence[Mend]) -> Manifest:
    return all_of(values, [mend.values for mend in mends])
