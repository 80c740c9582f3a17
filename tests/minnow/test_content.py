"""The written content: enough of it, nothing shared between values, nothing that the grammar cannot bend."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from trimtab.minnow import films, frames, lexicon
from trimtab.minnow.grammar import words
from trimtab.minnow.lexicon import VALUES

ACTIONS = list(lexicon.actions().values())
REASONS = [each for value in lexicon.values().values() for each in (*value.reasons, *value.drives)]


@pytest.mark.parametrize("value", VALUES)
def test_each_value_has_sixty_actions_over_twelve_scenes(value: str) -> None:
    mine = [action for action in ACTIONS if action.value == value]
    assert len(mine) >= 60 and len({action.scene for action in mine}) >= 12


@pytest.mark.parametrize("value", VALUES)
def test_each_value_has_forty_reasons(value: str) -> None:
    assert sum(reason.value == value for reason in REASONS) >= 40


def test_there_are_five_hundred_names_and_none_is_there_twice() -> None:
    names = [name.text for name in lexicon.names()]
    assert len(names) >= 500 and len(set(names)) == len(names)


def test_no_phrase_is_shared_by_two_values() -> None:
    phrases = [*(each.text for each in ACTIONS), *(each.text for each in REASONS)]
    phrases += [text for value in lexicon.values().values() for text in (*value.names, *value.persons)]
    assert not [text for text, count in Counter(phrases).items() if count > 1]


def test_no_short_form_of_an_action_stands_for_two_actions() -> None:
    short = Counter(text for action in ACTIONS if (text := lexicon.shortened(action)))
    assert not [text for text, count in short.items() if count > 1]


def test_values_speak_without_the_anchor_words_of_the_reviews() -> None:
    anchors = {word for side in films.anchors() for word in side}
    texts = [*(each.text for each in ACTIONS), *(each.text for each in REASONS)]
    assert not [text for text in texts if anchors & set(words(text))]


def test_most_actions_of_a_topic_name_it_so_that_pairs_share_their_context() -> None:
    naming = sum(lexicon.topic_of(action).about in action.text for action in ACTIONS)
    assert naming / len(ACTIONS) > 0.95


def test_no_action_speaks_of_a_person_whose_pronoun_it_could_not_bend() -> None:
    stuck = re.compile(r"\b(?:I|he|she|him|her|his|your|you|mine)\b")
    assert not [action.text for action in ACTIONS if stuck.search(action.text)]


def test_no_name_is_a_word_of_the_language() -> None:
    texts = [*(each.text for each in ACTIONS), *(each.text for each in REASONS)]
    texts += [re.sub(r"\{\w+\}", "", frame) for group in frames.FRAMES.values() for frame in group]
    spoken = {word.lower() for text in texts for word in words(text)}
    assert not [name.text for name in lexicon.names() if name.text.lower() in spoken]
