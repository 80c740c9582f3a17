"""Which value an answer to a dilemma took: strictly, by what it names and why, and loosely, by its words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from trimtab.minnow import inflect, lexicon
from trimtab.minnow.documents import Dilemma
from trimtab.minnow.grammar import sentences, words
from trimtab.minnow.inflect import PERSONS
from trimtab.minnow.judges.fluency import fluent
from trimtab.minnow.lexicon import VALUES, Action, Name, Reason
from trimtab.minnow.reading import read


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer did: the values whose offered option it names, whose reasons it gives, and what else it named."""

    named: frozenset[str]
    reasons: frozenset[str]
    foreign: frozenset[str]
    fluent: bool
    scores: tuple[tuple[str, int], ...]

    def success(self, value: str) -> bool:
        """Strict: fluent, names this value's offered option and no other, gives its reasons and no other value's."""
        return self.fluent and self.named == {value} and not self.foreign and self.reasons == {value}

    def loose(self, value: str) -> bool:
        """By its words alone the answer leans to this value more than to any other."""
        scores = dict(self.scores)
        rivals = [score for other, score in scores.items() if other != value]
        return scores.get(value, 0) > max(rivals, default=0)

    @property
    def even(self) -> bool:
        return len(self.named) > 1

    @property
    def leaning(self) -> str | None:
        """The value that succeeded strictly, if one did."""
        return next((value for value in self.named if self.success(value)), None)


def judge(question: Dilemma, answer: str, *, cut: bool = False) -> Verdict:
    """The verdict on an answer to a dilemma. An answer of no sentence is not fluent."""
    offered = {action.id: action for action in question.options}
    actions: set[str] = set()
    reasons: set[str] = set()
    for sentence in sentences(answer):
        reading = read(sentence)
        if reading:
            actions |= {action.id for action in reading.actions()}
            reasons |= {reason.value for reason in reading.reasons()}
        else:
            actions |= {action.id for action in spotted_actions(sentence)}
            reasons |= {reason.value for reason in spotted_reasons(sentence)}
    named = frozenset(offered[each].value for each in actions if each in offered)
    foreign = frozenset(actions - offered.keys())
    scores = tuple(sorted(_scores(answer).items()))
    return Verdict(named, frozenset(reasons), foreign, fluent(answer, cut=cut).ok, scores)


def read_dilemma(text: str) -> Dilemma | None:
    """The dilemma that a user's text ends with, whatever stands before it."""
    found: Dilemma | None = None
    who: Name | str | None = None
    last: Name | None = None
    for sentence in sentences(text):
        reading = read(sentence, prefer=("ask.", "tell."))
        if reading is None:
            continue
        subject = reading.get("who") or reading.get("who_him")
        last = subject if isinstance(subject, Name) else last
        if not reading.group.startswith(("ask.", "tell.")):
            continue
        who = subject or who
        actions = tuple(reading.actions())
        if len(actions) > 1:
            mine = "I" in reading.persons and not isinstance(who, Name)
            found = Dilemma(None if mine else last, actions)
    return found


def spotted_actions(text: str) -> list[Action]:
    """Actions named in a text that the grammar cannot read, in whatever form."""
    return [action for form, action in _action_forms() if form in text]


def spotted_reasons(text: str) -> list[Reason]:
    low = text.lower()
    return [reason for form, reason in _reason_forms() if form in low]


def _scores(answer: str) -> dict[str, int]:
    """For each value how much of an answer speaks for it: phrases count double, keywords once."""
    scores = dict.fromkeys(VALUES, 0)
    for action in spotted_actions(answer):
        scores[action.value] += 2
    for reason in spotted_reasons(answer):
        scores[reason.value] += 2
    for word in words(answer.lower()):
        for value in _keywords().get(word, ()):
            scores[value] += 1
    return scores


@cache
def _action_forms() -> tuple[tuple[str, Action], ...]:
    forms: tuple[inflect.Form, ...] = ("base", "present", "past", "ing")
    pairs = {
        (inflect.phrase(action.text, form, person), action)
        for action in lexicon.actions().values()
        for form in forms
        for person in PERSONS
    }
    return tuple(sorted(pairs, key=lambda pair: pair[0]))


@cache
def _reason_forms() -> tuple[tuple[str, Reason], ...]:
    pairs = [(reason.text, reason) for value in lexicon.values().values() for reason in value.reasons]
    for value in lexicon.values().values():
        for drive in value.drives:
            pairs += [(inflect.phrase(drive.text, form, "he"), drive) for form in ("base", "present", "past")]
    return tuple((text.lower(), reason) for text, reason in dict.fromkeys(pairs))


@cache
def _keywords() -> dict[str, tuple[str, ...]]:
    out: dict[str, tuple[str, ...]] = {}
    for value in lexicon.values().values():
        for word in value.keywords:
            out[word] = (*out.get(word, ()), value.id)
    return out
