"""Comparisons of two values of a setting: which of them is the weaker one, where that is known."""

import re
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum

from components.schema.quantity import amount
from zt.facts.model import COMMIT_DAY, EITHER


class Class(StrEnum):
    """What a difference means for security, in the order in which somebody has to look at it."""

    WEAKER = "weaker"
    STRONGER = "stronger"
    NEUTRAL = "neutral"

    @property
    def reversed(self) -> "Class":
        """The class of the opposite difference."""
        return {Class.WEAKER: Class.STRONGER, Class.STRONGER: Class.WEAKER}.get(self, self)


Comparison = Callable[[str, str], Class | None]
"""Compares the value before with the value after. `None` when it is unknown which is weaker."""


def scale(*weakest_first: object) -> Comparison:
    """Compare by the position on a scale. A value that is not on it has no direction."""
    scale_texts = [text_of(value) for value in weakest_first]

    def compare(before: str, after: str) -> Class | None:
        if before not in scale_texts or after not in scale_texts:
            return None
        return _by_order(scale_texts.index(before), scale_texts.index(after))

    return compare


def text_of(value: object) -> str:
    """A value of the posture as it is written in facts."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return "off" if value is None else str(value)


def _by_order(before: int | Decimal, after: int | Decimal) -> Class:
    if before == after:
        return Class.NEUTRAL
    return Class.WEAKER if after < before else Class.STRONGER


def more_is_stronger(before: str, after: str) -> Class | None:
    """Compare amounts in Kubernetes' notation: more is stronger."""
    amounts = [_amount(value) for value in (before, after)]
    return None if None in amounts else _by_order(*(amount or Decimal(0) for amount in amounts))


def more_is_weaker(before: str, after: str) -> Class | None:
    """Compare amounts in Kubernetes' notation: more is weaker."""
    comparison = more_is_stronger(before, after)
    return comparison.reversed if comparison else None


def limit(before: str, after: str) -> Class | None:
    """Compare limits: a higher one is weaker, and none is the weakest."""
    if "unlimited" in (before, after):
        return _by_order(int(before != "unlimited"), int(after != "unlimited"))
    return more_is_weaker(before, after)


def switched(before: str, after: str) -> Class | None:
    """Compare `off` with any other value: `off` is weaker. Between two other values the direction is unknown."""
    if "off" in (before, after):
        return _by_order(int(before != "off"), int(after != "off"))
    return None


def came(before: str, after: str) -> Class | None:
    """Compare `off` with any other value: what is there is weaker. Between two of them the direction is unknown."""
    comparison = switched(before, after)
    return comparison.reversed if comparison else None


def host_namespaces(before: str, after: str) -> Class | None:
    """Compare lists of what pods share with their node: more of it is weaker, and another one is unknown."""
    old, new = (frozenset(text.split(", ")) - {"none"} for text in (before, after))
    if old <= new or new <= old:
        return _by_order(len(new), len(old))
    return None


def _amount(value: str) -> Decimal | None:
    try:
        return amount(value)
    except ValueError:
        return None


def neutral(_before: str, _after: str) -> Class | None:
    """Always neutral. The reason of the direction says why."""
    return Class.NEUTRAL


def unknown(_before: str, _after: str) -> Class | None:
    """The direction is never known: somebody has to look."""
    return None


def not_root(before: str, after: str) -> Class | None:
    """Compare user ids: 0 is root, and all others are equal."""
    return _by_order(int(before != "0"), int(after != "0"))


def image(before: str, after: str) -> Class | None:
    """Compare images: a digest is stronger than a tag, which can move. Another repository is other software."""
    if _repository(before) != _repository(after):
        return None
    return _by_order(int("@sha256:" in before), int("@sha256:" in after))


def _repository(reference: str) -> str:
    name = reference.partition("@")[0]
    path, slash, last = name.rpartition("/")
    return path + slash + last.partition(":")[0]


def seal(before: str, after: str) -> Class | None:
    """Compare kinds of Vault's seal: a static key is weaker, since it lies beside the data that it opens."""
    if "static" in (before, after):
        return _by_order(int(before != "static"), int(after != "static"))
    return None


def day(before: str, after: str) -> Class | None:
    """Compare the days that exceptions are judged by: after a fixed day they never expire, and earlier is weaker."""
    if COMMIT_DAY in (before, after):
        return _by_order(int(before == COMMIT_DAY), int(after == COMMIT_DAY))
    return earlier_is_weaker(before, after)


def earlier_is_weaker(before: str, after: str) -> Class | None:
    """Compare two ISO dates: the earlier one is weaker."""
    return Class.WEAKER if after < before else Class.STRONGER


def later_is_weaker(before: str, after: str) -> Class | None:
    """Compare two ISO dates: the later one is weaker."""
    return Class.WEAKER if after > before else Class.STRONGER


def either(before: str, after: str) -> Class | None:
    """Compare values any of which will do, `off` as the weakest: fewer of them are stronger."""
    if "off" in (before, after):
        return switched(before, after)
    old, new = (frozenset(text.split(EITHER)) for text in (before, after))
    if old < new:
        return Class.WEAKER
    return Class.STRONGER if new < old else None


def token_claims(before: str, after: str) -> Class | None:
    """Compare the claims that a token needs, `claim=value|value; ...`: more claims and fewer values are stronger.

    Of several issuers each has its own, as `issuer: claim=value; ... or issuer: ...`; those of one alone are unnamed.
    """
    old, new = (_alternatives(text) for text in (before, after))
    less, more = _any_within(old, new), _any_within(new, old)
    if less == more:
        return Class.NEUTRAL if less else None
    return Class.STRONGER if more else Class.WEAKER


def _alternatives(text: str) -> dict[str, dict[str, frozenset[str]]]:
    parts = (re.fullmatch(r"(?:(https://\S+): )?(.*)", each, re.DOTALL) for each in text.split(EITHER))
    return {part[1] or "": _claims(part[2]) for part in parts if part}


def _any_within(narrow: dict[str, dict[str, frozenset[str]]], wide: dict[str, dict[str, frozenset[str]]]) -> bool:
    """Whether every token that one of the alternatives lets in is let in by the others."""
    return all(
        any(_within(claims, others) for name, others in wide.items() if "" in (issuer, name) or issuer == name)
        for issuer, claims in narrow.items()
    )


def _claims(text: str) -> dict[str, frozenset[str]]:
    parts = (part.partition("=") for part in text.split("; ") if part)
    return {claim: frozenset(values.split("|")) for claim, _, values in parts}


def _within(narrow: dict[str, frozenset[str]], wide: dict[str, frozenset[str]]) -> bool:
    """Whether every token that meets the requirements `narrow` also meets `wide`."""
    return all(claim in narrow and narrow[claim] <= values for claim, values in wide.items())
