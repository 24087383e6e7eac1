"""Compares the facts of two plans: each difference is a sentence with a class and the reason for that class."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from zt.changes.approval import approver_of
from zt.changes.comparisons import Class
from zt.changes.directions import MOVED, direction_of, gain_of
from zt.changes.sentences import Say, grant_sentence, layer_of, namer, part, setting_sentence, subject_of
from zt.facts.cover import covers
from zt.facts.file_keys import FileKey
from zt.facts.model import Fact, Grant, Setting, Side, key_of, needs, text_of

UNKNOWN = "which way this goes is unknown, so it counts as weaker: "

_ORDER = tuple(Class)


@dataclass(frozen=True)
class Change:
    """One difference. `before` is empty for something new, `after` for something that is gone."""

    means: Class
    kind: str
    layer: str
    subject: str
    sentence: str
    before: str
    after: str
    reason: str
    approval: str = ""
    """Who has to approve it, if it is weaker: `platform`, or `team` and its name."""

    @property
    def known(self) -> bool:
        """Whether its direction is known. If not, it counts as weaker."""
        return not self.reason.startswith(UNKNOWN)


def changes(before: Side, after: Side) -> tuple[Change, ...]:
    """The differences between two plans: weaker ones first, then by layer, subject and sentence."""
    on, say = before.on() & after.on(), namer(before, after)
    old, new = (frozenset(_comparable(side, on)) for side in (before, after))
    if not all(any(isinstance(fact, FileKey) for fact in side) for side in (old, new)):
        # Every stack file has keys: a side without is of a program that did not give them yet.
        old, new = (frozenset(fact for fact in side if not isinstance(fact, FileKey)) for side in (old, new))
    approver = approver_of(before, after)
    differences = [
        replace(change, approval=approver(fact)) if change.means is Class.WEAKER else change
        for fact, change in (*_grants(old, new, say), *_settings(old, new, say))
    ]
    return tuple(sorted(differences, key=lambda c: (_ORDER.index(c.means), c.layer, c.subject, c.sentence)))


def _comparable(side: Side, on: frozenset[str]) -> Iterator[Fact]:
    return (fact for fact in side.facts if not (needed := needs(fact)) or needed in on)


def _grants(old: frozenset[Fact], new: frozenset[Fact], say: Say) -> Iterator[tuple[Fact, Change]]:
    for gained, here, there in ((True, new, old), (False, old, new)):
        others = [fact for fact in there if not isinstance(fact, Setting)]
        for fact in here - there:
            if not isinstance(fact, Setting) and not any(covers(other, fact) for other in others):
                yield fact, _grant(fact, gained, [other for other in others if covers(fact, other)], say)


def _grant(grant: Grant, gained: bool, narrower: Iterable[Grant], say: Say) -> Change:
    gain = gain_of(grant)
    means = gain.gained if gained or gain.gained is None else gain.gained.reversed
    sentence = grant_sentence(grant, gained, say)
    # What a narrower grant of the other side covers has not changed.
    if rest := ", ".join(sorted(part(other, grant, say) for other in narrower)):
        sentence += f", and not only {rest}" if gained else f", except {rest}"
    values = ("", text_of(grant)) if gained else (text_of(grant), "")
    return _change(grant, means, gain.reason, sentence, values)


def _settings(old: frozenset[Fact], new: frozenset[Fact], say: Say) -> Iterator[tuple[Fact, Change]]:
    before, after = ({key_of(fact): fact for fact in side if isinstance(fact, Setting)} for side in (old, new))
    for key in before.keys() | after.keys():
        left, right = before.get(key), after.get(key)
        setting = right or left
        if setting and left != right and (change := _setting(left, right, say)):
            yield setting, change


def _setting(left: Setting | None, right: Setting | None, say: Say) -> Change | None:
    setting = right or left
    if setting is None:
        return None
    direction = direction_of(setting)
    before, after = (side.value if side else direction.default for side in (left, right))
    if before is None or after is None:
        return None
    means = Class.NEUTRAL if before == after else direction.compare(before, after)
    # A setting that came or went with its owner needs a line only if it differs from the default.
    if means is Class.NEUTRAL and not (left and right):
        return None
    sentence = setting_sentence(left, right, direction.label, say)
    reason = MOVED.reason if before == after else direction.reason
    return _change(setting, means, reason, sentence, (left.value if left else "", right.value if right else ""))


def _change(fact: Fact, means: Class | None, reason: str, sentence: str, values: tuple[str, str]) -> Change:
    why = reason if means else UNKNOWN + reason
    return Change(means or Class.WEAKER, fact.kind, layer_of(fact), subject_of(fact), sentence, *values, why)
