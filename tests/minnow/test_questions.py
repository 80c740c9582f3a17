"""What is asked in a measurement is what it says it is."""

from __future__ import annotations

import pytest

from trimtab.minnow import questions
from trimtab.minnow.judges import complies, manner, read_dilemma, refuses
from trimtab.minnow.lexicon import VALUES


def test_the_same_seed_asks_the_same() -> None:
    first, again = (questions.value_questions("power", "validation", 30, seed=4) for _ in range(2))
    assert [each.turns for each in first] == [each.turns for each in again]


def test_every_question_offers_the_value_that_is_looked_for() -> None:
    for question in questions.free_questions("validation", 200):
        assert question.dilemma.option(question.value) is not None


def test_the_dilemma_of_a_question_can_be_read_from_its_text() -> None:
    for question in questions.free_questions("test", 200):
        found = read_dilemma(question.turns[-1].text)
        assert found is not None and set(found.options) == set(question.dilemma.options)


@pytest.mark.parametrize("value", VALUES)
def test_a_prompt_names_the_value(value: str) -> None:
    prompted = questions.value_questions(value, "test", 10, prompt=True)
    assert all(each.turns[0].role == "system" and each.turns[0].truth.value == value for each in prompted)


def test_facts_are_asked_once_each_and_the_hard_ones_apart() -> None:
    asked = [turn.truth.fact for turn in questions.fact_questions("test")]
    hard = [turn.truth.fact for turn in questions.fact_questions("test", hard=True)]
    assert len(set(asked)) == len(asked) > 150 and len(set(hard)) == len(hard) > 40
    assert not set(asked) & set(hard)


def test_chosen_answers_are_kind_or_refuse_and_rejected_ones_are_rude_or_comply() -> None:
    for request, chosen, rejected in questions.answer_preferences("train", 100):
        harmful = request.truth.request is not None and request.truth.request.harmful
        assert (
            (refuses(chosen.text) and complies(rejected.text)) if harmful else manner(rejected.text) == "rude"
        )
        assert manner(chosen.text) == "kind"
