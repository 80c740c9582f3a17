"""Train, validation and test share nothing that is held out: by construction, and in the very text."""

from __future__ import annotations

from itertools import combinations, islice

import pytest

from trimtab.minnow import lexicon, questions, splits
from trimtab.minnow.corpus import documents
from trimtab.minnow.grammar import sentences
from trimtab.minnow.judges import read_dilemma
from trimtab.minnow.lexicon import VALUES, Name
from trimtab.minnow.reading import read
from trimtab.minnow.splits import SPLITS, Split, SplitError


def test_the_manifest_is_proven() -> None:
    assert len(splits.prove(splits.manifest())) == 64


def test_a_shared_member_is_named() -> None:
    families = splits.manifest()
    families["names"]["test"].append(families["names"]["train"][0])
    with pytest.raises(SplitError, match="names"):
        splits.prove(families)


def test_a_held_out_action_in_a_training_pairing_is_named() -> None:
    families = splits.manifest()
    families["pairings"]["train"].append(f"{families['dilemma actions']['test'][0]} security/home/0")
    with pytest.raises(SplitError, match="weighed in train"):
        splits.prove(families)


def test_one_action_in_five_of_every_value_is_held_out_of_dilemmas() -> None:
    for value in VALUES:
        mine = [action for action in lexicon.actions().values() if action.value == value]
        assert sum(map(splits.held_out, mine)) / len(mine) == 0.2


@pytest.mark.parametrize("split", SPLITS)
def test_every_pairing_that_a_split_weighs_belongs_to_it(split: Split) -> None:
    for document in islice(documents("splits", split, "base"), 1500):
        for turn in document.turns:
            weighed = read_dilemma(turn.text) if turn.role == "user" else None
            if weighed and len(weighed.options) == 2:
                assert splits.of_pairing(*weighed.options) == split
            elif weighed:
                assert {splits.of_pairing(*pair) for pair in combinations(weighed.options, 2)} <= {
                    "train",
                    split,
                }


@pytest.mark.parametrize("split", SPLITS)
def test_every_name_with_a_matter_that_a_split_tells_belongs_to_it(split: Split) -> None:
    for document in islice(documents("splits", split, "base"), 1500):
        for turn in document.turns:
            for part in sentences(turn.text):
                reading = read(part)
                who = reading.get("who") if reading else None
                if reading and isinstance(who, Name):
                    for action in reading.actions():
                        assert splits.of_combination(who, lexicon.topic_of(action)) == split


def test_training_stories_weigh_no_held_out_action() -> None:
    for document in islice(documents("splits", "train", "base"), 3000):
        for turn in document.turns:
            for part in sentences(turn.text):
                reading = read(part, prefer=("story.",))
                if reading and reading.group in ("story.weigh", "story.urge", "story.reply"):
                    assert not any(map(splits.held_out, reading.actions()))


@pytest.mark.parametrize("split", SPLITS)
def test_questions_to_measure_with_belong_to_their_split(split: Split) -> None:
    for question in questions.free_questions(split, 200):
        assert splits.of_pairing(question.dilemma.options[0], question.dilemma.options[1]) == split


def test_questions_say_what_is_new_about_them() -> None:
    fresh = questions.value_questions("security", "test", 40, held="action")
    known = questions.value_questions("security", "test", 40, held="pairing")
    assert all(any(map(splits.held_out, each.dilemma.options)) for each in fresh)
    assert not any(any(map(splits.held_out, each.dilemma.options)) for each in known)


def test_every_value_has_enough_test_pairings_against_every_rival() -> None:
    for value in VALUES:
        for held in ("pairing", "action"):
            questions_of = questions.value_questions(value, "test", 90, held=held)
            rivals = {other.value for each in questions_of for other in each.dilemma.options} - {value}
            assert len(rivals) == 9
