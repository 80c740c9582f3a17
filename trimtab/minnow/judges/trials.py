"""Trials of the judges: generated texts with known truth, and the same texts spoilt in known ways."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from trimtab.minnow import films, lexicon
from trimtab.minnow.corpus import documents
from trimtab.minnow.documents import END, START, Document, Turn
from trimtab.minnow.grammar import capital, sentences, words
from trimtab.minnow.inflect import PERSONS, Form, phrase
from trimtab.minnow.judges.answers import (
    complies,
    declines,
    manner,
    refuses,
    right_choice,
    right_fact,
    right_sum,
)
from trimtab.minnow.judges.coherence import coherent
from trimtab.minnow.judges.fluency import fluent
from trimtab.minnow.judges.values import judge, read_dilemma
from trimtab.minnow.reading import read
from trimtab.minnow.splits import Split


@dataclass(slots=True)
class Score:
    """How often a judge was right, by what was judged."""

    right: Counter[str] = field(default_factory=Counter)
    tried: Counter[str] = field(default_factory=Counter)

    def note(self, what: str, right: bool) -> None:
        self.right[what] += right
        self.tried[what] += 1

    def accuracy(self) -> dict[str, float]:
        return {what: self.right[what] / tried for what, tried in sorted(self.tried.items())}


def known(split: Split, count: int, seed: int = 0) -> Score:
    """Judges `count` documents of each register whose truth the grammar knows."""
    score = Score()
    for document in _documents(split, count, seed):
        score.note("coherent", coherent(document.text()).ok)
        for before, turn in zip((None, *document.turns), document.turns, strict=False):
            _turn(score, before, turn)
    rng = random.Random(f"reviews {seed}")
    for _ in range(count):
        review = films.review(rng, split)
        score.note("sentiment", (films.log_odds(review.text) > 0) == review.good)
    return score


def spoilt(split: Split, count: int, seed: int = 0) -> Score:
    """How many spoilt texts the judge meant for the damage catches: salad and loops by fluency, swaps by coherence."""
    rng = random.Random(f"spoilt {seed}")
    score = Score()
    every = list(_documents(split, count, seed))
    texts = [
        turn.text
        for document in every
        for turn in document.turns
        if turn.truth.act not in ("outside", "choice")
    ]
    texts = [text for text in texts if len(words(text)) > 7 and "\n" not in text]
    for text in rng.sample(texts, min(count * 2, len(texts))):
        score.note("salad", not fluent(salad(rng, text)).ok)
        score.note("loop", not fluent(loop(rng, text)).ok)
    told = [
        document for document in every if document.kind == "stories" and len(sentences(document.text())) > 3
    ]
    for document in told:
        other = rng.choice([each for each in told if each is not document])
        score.note("swapped sentences", not coherent(swap_sentences(rng, document.text(), other.text())).ok)
    asked = [document for document in every if any(turn.truth.act == "lean" for turn in document.turns)]
    for document in asked:
        other = rng.choice([each for each in asked if each is not document])
        score.note("swapped answers", not coherent(swap_answer(rng, document, other)).ok)
        for turn in document.turns:
            if turn.truth.act == "lean":
                _wrong(score, rng, turn)
    return score


def salad(rng: random.Random, text: str) -> str:
    """The words of one sentence in another order."""
    parts = sentences(text)
    at = max(range(len(parts)), key=lambda index: len(parts[index]))
    body = parts[at].rstrip('.?!"').split()
    shuffled = body[:]
    while shuffled == body:
        rng.shuffle(shuffled)
    line = " ".join(shuffled)
    parts[at] = line[0].upper() + line[1:] + "."
    return " ".join(parts)


def loop(rng: random.Random, text: str) -> str:
    """A sentence said again, or its last words over and over."""
    parts = sentences(text)
    at = rng.randrange(len(parts))
    if rng.random() < 0.5:
        return " ".join([*parts[: at + 1], *[parts[at]] * rng.randint(1, 3), *parts[at + 1 :]])
    body = parts[at].rstrip('.?!"').split()
    tail = body[-rng.randint(1, min(4, len(body))) :]
    parts[at] = " ".join(body + tail * rng.randint(2, 5)) + "."
    return " ".join(parts)


def swap_sentences(rng: random.Random, text: str, other: str) -> str:
    """Half of a story's sentences replaced by those of another story."""
    parts, foreign = sentences(text), sentences(other)
    count = min(len(parts) // 2, len(foreign))
    for at, line in zip(rng.sample(range(len(parts)), count), rng.sample(foreign, count), strict=True):
        parts[at] = line
    return " ".join(parts)


def swap_answer(rng: random.Random, document: Document, other: Document) -> str:
    """A conversation in which one weighing answer comes from another conversation."""
    at = rng.choice([index for index, turn in enumerate(document.turns) if turn.truth.act == "lean"])
    foreign = rng.choice([turn for turn in other.turns if turn.truth.act == "lean"])
    turns = [*document.turns[:at], foreign, *document.turns[at + 1 :]]
    return "".join(f"{START}{turn.role}\n{turn.text}{END}\n" for turn in turns)


_FORMS: tuple[Form, ...] = ("base", "present")


def _wrong(score: Score, rng: random.Random, turn: Turn) -> None:
    """An answer with the reasons of another value, with another option, with an option that nobody offered."""
    dilemma, value = turn.truth.dilemma, turn.truth.value
    assert dilemma and value
    action = dilemma.option(value)
    assert action
    rival = next(option for option in dilemma.options if option.value != value)
    text = phrase(action.text, "base", dilemma.person)
    stray = rng.choice([each for each in lexicon.actions().values() if each not in dilemma.options])
    spoiled = {
        "wrong reason": other_reasons(rng, turn.text, rival.value),
        "wrong option": turn.text.replace(text, phrase(rival.text, "base", dilemma.person)),
        "strange option": turn.text.replace(text, phrase(stray.text, "base", dilemma.person)),
        "no reason": f"It is better to {text}.",
    }
    for what, answer in spoiled.items():
        score.note(what, not judge(dilemma, answer).success(value))


def other_reasons(rng: random.Random, text: str, value: str) -> str:
    """The text with each reason exchanged for one of another value."""
    reasons = lexicon.values()[value]
    for part in sentences(text):
        reading = read(part, prefer=("lean.",))
        for reason in reading.reasons() if reading else ():
            new = rng.choice(reasons.drives if reason.drive else reasons.reasons).text
            for form in _FORMS:
                for person in PERSONS:
                    old = phrase(reason.text, form, person) if reason.drive else reason.text
                    fresh = phrase(new, form, person) if reason.drive else new
                    text = text.replace(old, fresh).replace(capital(old), capital(fresh))
    return text


def _documents(split: Split, count: int, seed: int) -> Iterator[Document]:
    yield from islice(documents(f"trials {seed}", split, "base"), count)
    yield from islice(documents(f"trials {seed}", split, "aligned"), count)


def _turn(score: Score, before: Turn | None, turn: Turn) -> None:
    truth, text = turn.truth, turn.text
    if truth.act != "outside":
        score.note("fluent", fluent(text).ok)
    if turn.role == "user" and truth.dilemma:
        found = read_dilemma(text)
        same = found is not None and found.name == truth.dilemma.name
        score.note(
            "question read", same and found is not None and set(found.options) == set(truth.dilemma.options)
        )
    elif truth.act == "lean" and truth.dilemma and truth.value:
        verdict = judge(truth.dilemma, text)
        score.note("value, strict", verdict.leaning == truth.value)
        score.note("value, loose", verdict.loose(truth.value))
    elif truth.act == "even" and truth.dilemma:
        verdict = judge(truth.dilemma, text)
        score.note("even", verdict.even and verdict.leaning is None)
    elif truth.act == "fact" and truth.fact and turn.role == "assistant":
        score.note("fact", right_fact(truth.fact, text) == (truth.answer == truth.fact.y))
    elif truth.act == "sum" and truth.sum:
        score.note("sum", right_sum(truth.sum, text))
    elif truth.act == "choice" and before:
        score.note("choice", right_choice(truth.answer, before.text, text))
        wrong = next(line[2:] for line in before.text.split("\n")[1:] if line[2:] != truth.answer)
        score.note("choice", not right_choice(wrong, before.text, text))
    elif truth.act in ("help", "refuse", "comply"):
        score.note(
            "refusal", refuses(text) == (truth.act == "refuse") and complies(text) == (truth.act != "refuse")
        )
        score.note("manner", manner(text) == truth.manner)
    elif truth.act == "decline":
        score.note("outside", declines(text))
