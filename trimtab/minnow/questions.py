"""What the model is asked when it is measured: questions of a split with the truth beside them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from trimtab.minnow import chats, dilemmas, films, lexicon, splits, trivia
from trimtab.minnow.documents import Dilemma, Truth, Turn
from trimtab.minnow.lexicon import VALUES, Action, Topic
from trimtab.minnow.splits import Split
from trimtab.minnow.thread import Thread
from trimtab.minnow.trivia import RELATIONS

Held = Literal["pairing", "action"]


@dataclass(frozen=True, slots=True)
class Question:
    """The turns up to where the assistant speaks, a dilemma among them, and the value that is looked for."""

    turns: tuple[Turn, ...]
    dilemma: Dilemma
    value: str


def value_questions(
    value: str, split: Split, count: int, seed: int = 0, *, held: Held = "pairing", prompt: bool = False
) -> list[Question]:
    """Dilemmas that touch a value, each against a rival in turn, without a cue or after a prompt that names it.

    `held` chooses what is new about them outside of train: their pairing only, or an action that no training
    dilemma weighs.
    """
    rng = random.Random(f"questions {value} {split} {seed} {held}")
    pool = [
        pair
        for topic in lexicon.topics()
        for pair in splits.pairings_with(topic, value, split)
        if _fits(pair, split, held)
    ]
    rivals = [other for other in VALUES if other != value]
    out = []
    for number in range(count):
        rival = rivals[number % len(rivals)]
        pair = rng.choice([each for each in pool if each[1].value == rival] or pool)
        out.append(_question(rng, split, pair, value, prompt))
    return out


def free_questions(split: Split, count: int, seed: int = 0, *, held: Held = "pairing") -> list[Question]:
    """Dilemmas without a cue in which every value is looked for equally often."""
    per_value = -(-count // len(VALUES))
    every = [
        question for value in VALUES for question in value_questions(value, split, per_value, seed, held=held)
    ]
    random.Random(seed).shuffle(every)
    return every[:count]


def fact_questions(split: Split, seed: int = 0, *, hard: bool = False) -> list[Turn]:
    """Every fact once (the hard ones on their own), asked in a phrasing of the split."""
    rng = random.Random(f"facts {split} {seed}")
    relations = ("hard",) if hard else tuple(each for each in RELATIONS if each != "hard")
    return [chats.fact_question(rng, split, fact) for each in relations for fact in trivia.facts(each)]


def sum_questions(split: Split, count: int, seed: int = 0) -> list[Turn]:
    rng = random.Random(f"sums {split} {seed}")
    return [chats.sum_question(rng, split, each) for each in rng.sample(trivia.sums(), count)]


def choice_questions(split: Split, count: int, seed: int = 0) -> list[tuple[Turn, Turn]]:
    """Four-choice questions with their right answers."""
    rng = random.Random(f"choices {split} {seed}")
    return [chats.choice(rng, split) for _ in range(count)]


def harmful_requests(split: Split, seed: int = 0) -> list[Turn]:
    rng = random.Random(f"harm {split} {seed}")
    return [chats.ask_for(rng, split, bad) for bad, _ in trivia.refusals()]


def harmless_twins(split: Split, seed: int = 0) -> list[Turn]:
    """Requests that share their words with harmful ones and should be answered."""
    rng = random.Random(f"twins {split} {seed}")
    return [chats.ask_for(rng, split, fine) for _, fine in trivia.refusals()]


def everyday_requests(split: Split, seed: int = 0) -> list[Turn]:
    rng = random.Random(f"everyday {split} {seed}")
    return [chats.ask_for(rng, split, each) for each in trivia.requests()]


def outside_texts(split: Split, count: int, seed: int = 0) -> list[Turn]:
    rng = random.Random(f"outside {split} {seed}")
    return [Turn("user", chats.outside_text(rng, split), Truth("outside")) for _ in range(count)]


def review_openings(split: Split, count: int, seed: int = 0) -> list[str]:
    """Neutral beginnings of reviews, to continue from as plain text."""
    rng = random.Random(f"reviews {split} {seed}")
    return [films.opening(rng, split) for _ in range(count)]


def review_preferences(split: Split, count: int, seed: int = 0) -> list[tuple[str, str, str]]:
    """An opening with a chosen (praising) and a rejected (blaming) continuation."""
    rng = random.Random(f"preferences {split} {seed}")
    out = []
    for prefix in review_openings(split, count, seed):
        chosen, rejected = (films.review(rng, split, prefix, start, stay=1.0) for start in (True, False))
        out.append(
            (prefix, chosen.text.removeprefix(prefix).strip(), rejected.text.removeprefix(prefix).strip())
        )
    return out


def answer_preferences(split: Split, count: int, seed: int = 0) -> list[tuple[Turn, Turn, Turn]]:
    """A request with a chosen and a rejected answer: kind against rude, refused against done where it would harm."""
    rng = random.Random(f"answers {split} {seed}")
    out = []
    for number in range(count):
        if number % 2:
            bad, _ = rng.choice(trivia.refusals())
            out.append((chats.ask_for(rng, split, bad), chats.refuse(rng, bad), chats.comply(rng, bad)))
        else:
            request = rng.choice(trivia.requests())
            kind, rude = (chats.help_with(rng, request, manner) for manner in ("kind", "rude"))
            out.append((chats.ask_for(rng, split, request), kind, rude))
    return out


def _fits(pair: tuple[Action, Action], split: Split, held: Held) -> bool:
    fresh = any(splits.held_out(action) for action in pair)
    return split == "train" or fresh == (held == "action")


def _question(
    rng: random.Random, split: Split, pair: tuple[Action, Action], value: str, prompt: bool
) -> Question:
    topic: Topic = lexicon.topic_of(pair[0])
    name = rng.choice(splits.names_for(topic, split)) if rng.random() < 0.65 else None
    options = list(pair)
    rng.shuffle(options)
    asked = Dilemma(name, tuple(options))
    thread = Thread(rng, split, value)
    turns = [Turn("user", dilemmas.ask(thread, asked), Truth("ask", dilemma=asked))]
    if prompt:
        turns.insert(0, Turn("system", thread.line("persona.care"), Truth("cue", value)))
    return Question(tuple(turns), asked, value)
