"""How two values of a setting compare: which of them is the weaker one, as far as that can be said."""

import re
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum

from zt.diff_facts import COMMIT_DAY


class Class(StrEnum):
    """What a difference means for security: what needs a decision first, what needs none last."""

    WEAKER = "weaker"
    STRONGER = "stronger"
    NEUTRAL = "neutral"

    @property
    def reversed(self) -> "Class":
        """The class of the same difference the other way round."""
        return {Class.WEAKER: Class.STRONGER, Class.STRONGER: Class.WEAKER}.get(self, self)


Judge = Callable[[str, str], Class | None]
"""From the value before and the one after to a class; `None` where neither can be called the weaker one."""


def scale(*weakest_first: object) -> Judge:
    """Judge by the place on a scale; a value that is not on it has no direction."""
    words = [text_of(value) for value in weakest_first]

    def judge(before: str, after: str) -> Class | None:
        if before not in words or after not in words:
            return None
        return _by_order(words.index(before), words.index(after))

    return judge


def text_of(value: object) -> str:
    """A value of the posture as facts hold it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return "off" if value is None else str(value)


def _by_order(before: int | Decimal, after: int | Decimal) -> Class:
    if before == after:
        return Class.NEUTRAL
    return Class.WEAKER if after < before else Class.STRONGER


def more_is_stronger(before: str, after: str) -> Class | None:
    """Judge by the amount, in Kubernetes' spelling of quantities."""
    amounts = [_amount(value) for value in (before, after)]
    return None if None in amounts else _by_order(*(amount or Decimal(0) for amount in amounts))


def more_is_weaker(before: str, after: str) -> Class | None:
    """Judge by the amount, the other way round."""
    found = more_is_stronger(before, after)
    return found.reversed if found else None


def limit(before: str, after: str) -> Class | None:
    """Judge by the amount that is let through; no limit is more than any."""
    if "unlimited" in (before, after):
        return _by_order(int(before != "unlimited"), int(after != "unlimited"))
    return more_is_weaker(before, after)


def switched(before: str, after: str) -> Class | None:
    """Judge something that is off, or is one of many things; which of those is the stronger one cannot be said."""
    if "off" in (before, after):
        return _by_order(int(before != "off"), int(after != "off"))
    return None


_UNITS = {"m": Decimal("0.001"), "": Decimal(1)} | {
    f"{letter}{suffix}": Decimal(base) ** power
    for power, letters in enumerate(("kK", "M", "G", "T", "P"), start=1)
    for letter in letters
    for suffix, base in (("", 1000), ("i", 1024))
}


def _amount(value: str) -> Decimal | None:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([a-zA-Z]*)", value)
    return Decimal(found[1]) * _UNITS[found[2]] if found and found[2] in _UNITS else None


def neutral(_before: str, _after: str) -> Class | None:
    """Judge nothing: the reason has to say why there is nothing to judge."""
    return Class.NEUTRAL


def unknown(_before: str, _after: str) -> Class | None:
    """No direction: somebody has to look."""
    return None


def not_root(before: str, after: str) -> Class | None:
    """Judge a user id: 0 is root, and any other is as good as the next."""
    return _by_order(int(before != "0"), int(after != "0"))


def image(before: str, after: str) -> Class | None:
    """Judge an image: another repository is other software; a digest names one content, a tag whatever it points to."""
    if _repository(before) != _repository(after):
        return None
    return _by_order(int("@sha256:" in before), int("@sha256:" in after))


def _repository(reference: str) -> str:
    name = reference.partition("@")[0]
    path, slash, last = name.rpartition("/")
    return path + slash + last.partition(":")[0]


def seal(before: str, after: str) -> Class | None:
    """Judge the kind of Vault's seal: a static key lies beside the data that it opens."""
    if "static" in (before, after):
        return _by_order(int(before != "static"), int(after != "static"))
    return None


def day(before: str, after: str) -> Class | None:
    """Judge the day that exceptions are held against: a fixed one lets them outlive their end, an early one longer."""
    if COMMIT_DAY in (before, after):
        return _by_order(int(before == COMMIT_DAY), int(after == COMMIT_DAY))
    return earlier_is_weaker(before, after)


def earlier_is_weaker(before: str, after: str) -> Class | None:
    """Judge two ISO dates."""
    return Class.WEAKER if after < before else Class.STRONGER


def later_is_weaker(before: str, after: str) -> Class | None:
    """Judge two ISO dates the other way round."""
    return Class.WEAKER if after > before else Class.STRONGER


def asked_of_token(before: str, after: str) -> Class | None:
    """Judge what a token must hold: `claim=value|value; claim=value`. More claims and fewer values ask for more."""
    asked = [_asked(text) for text in (before, after)]
    less, more = _within(*asked), _within(*reversed(asked))
    if less == more:
        return Class.NEUTRAL if less else None
    return Class.STRONGER if more else Class.WEAKER


def _asked(text: str) -> dict[str, frozenset[str]]:
    parts = (part.partition("=") for part in text.split("; ") if part)
    return {claim: frozenset(values.split("|")) for claim, _, values in parts}


def _within(narrow: dict[str, frozenset[str]], wide: dict[str, frozenset[str]]) -> bool:
    """Whether what the first lets through, the second does too."""
    return all(claim in narrow and narrow[claim] <= values for claim, values in wide.items())
