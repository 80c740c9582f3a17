"""Whatever the grammar writes it reads back, and what it would not write it does not read."""

from __future__ import annotations

import random

import pytest

from trimtab.minnow import corpus
from trimtab.minnow.grammar import sentences
from trimtab.minnow.kinds import KINDS
from trimtab.minnow.lexicon import Name
from trimtab.minnow.reading import read
from trimtab.minnow.splits import SPLITS


@pytest.mark.parametrize("kind", KINDS)
def test_every_sentence_of_a_kind_is_read_back(kind: str) -> None:
    rng = random.Random(kind)
    written = [
        part
        for split in SPLITS
        for _ in range(60)
        for turn in corpus.document(kind, rng, split, "aligned" if kind == "outside" else "base").turns
        if turn.truth.act != "outside"
        for part in sentences(turn.text)
    ]
    assert not [part for part in written if read(part) is None]


def test_reading_recovers_who_did_what_and_why() -> None:
    reading = read("Ana fitted a strong lock to the front door, because safety comes before everything else.")
    assert reading is not None and reading.group == "story.actwhy"
    who, (action,), (reason,) = reading.get("who"), reading.actions(), reading.reasons()
    assert isinstance(who, Name) and who.text == "Ana"
    assert action.id == "security/home/0"
    assert reason.value == "security"


def test_a_shortened_action_is_recovered_whole() -> None:
    reading = read("Should Ana fit a strong lock to the front door or paint a roaring tiger on it?")
    assert reading is not None and [action.value for action in reading.actions()] == [
        "security",
        "stimulation",
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "Ana made up his mind and fitted a strong lock to the front door.",
        "She painted his own mask for the office party yesterday.",
        "Ana fitted strong a lock to the front door yesterday.",
        "ana fitted a strong lock to the front door yesterday.",
        "Ana fitted a strong lock to the front door yesterday",
        "Ana fitted a strong lock to the front door , yesterday.",
        "Ana fit a strong lock to the front door yesterday.",
        "The plot was good good.",
        "It is a awful film about two brothers at war.",
        "It is an good film about two brothers at war.",
        "",
    ],
)
def test_broken_english_is_not_read(sentence: str) -> None:
    assert read(sentence) is None


def test_a_sentence_that_stops_short_is_read_only_when_that_is_allowed() -> None:
    short = "Ana should fit a strong lo"
    assert read(short) is None and read(short, cut=True) is not None


def test_salad_that_stops_short_is_not_read_even_so() -> None:
    assert read("Ana should lock strong a fi", cut=True) is None


def test_a_reader_who_expects_an_answer_gets_it_where_a_story_could_say_the_same() -> None:
    sentence = "After all, heritage is a treasure."
    told, said = read(sentence, prefer=("story.",)), read(sentence, prefer=("lean.",))
    assert told is not None and told.group == "story.why"
    assert said is not None and said.group == "lean.why"
