"""Documents keep their thread, in the shares that were asked for, the same for the same seed."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice

from trimtab.minnow import corpus, splits
from trimtab.minnow.corpus import DEFAULT, Settings, documents
from trimtab.minnow.documents import Document, Register, split_turns
from trimtab.minnow.grammar import sentences
from trimtab.minnow.judges import manner, refuses
from trimtab.minnow.lexicon import SCENES, VALUES
from trimtab.minnow.reading import read
from trimtab.minnow.splits import Split
from trimtab.minnow.thread import home_scenes


def some(
    register: Register = "base", split: Split = "train", count: int = 3000, settings: Settings = DEFAULT
) -> list[Document]:
    return list(islice(documents("tests", split, register, settings), count))


BASE, ALIGNED = some(), some("aligned")


def test_the_same_seed_gives_the_same_documents() -> None:
    assert [each.text() for each in some(count=200)] == [each.text() for each in BASE[:200]]


def test_another_seed_gives_others() -> None:
    assert next(documents("other", "train", "base")).text() != BASE[0].text()


def test_a_story_document_shows_one_value_from_first_word_to_last() -> None:
    for document in BASE:
        if document.kind in ("stories", "beliefs"):
            readings = [read(part, prefer=("story.",)) for part in sentences(document.text())]
            shown = {reason.value for reading in readings if reading for reason in reading.reasons()}
            shown |= {
                action.value
                for reading in readings
                if reading and reading.group not in ("story.weigh", "story.urge")
                for action in reading.actions()
            }
            assert shown <= {document.value}, document.text()


def test_every_leaning_answer_takes_the_latest_cue() -> None:
    for document in BASE + ALIGNED:
        cue, against = None, None
        for turn in document.turns:
            if turn.truth.act == "cue":
                cue, against = (None, turn.truth.value) if turn.truth.against else (turn.truth.value, None)
            elif turn.truth.act == "lean" and not document.contradicted:
                assert turn.truth.value != against and cue in (None, turn.truth.value)


def test_three_prompts_in_ten_are_contradicted() -> None:
    prompted = [
        each
        for each in BASE + ALIGNED
        if each.turns[0].truth.act == "cue" and each.turns[0].role == "system" and each.value
    ]
    assert 0.25 < sum(each.contradicted for each in prompted) / len(prompted) < 0.35


def test_a_contradicted_prompt_ends_with_another_value() -> None:
    turned = [each for each in BASE if each.contradicted]
    assert turned and all(each.value != each.turns[0].truth.value for each in turned)


def test_without_a_cue_every_value_wins_half_of_its_dilemmas() -> None:
    won: Counter[str] = Counter()
    offered: Counter[str] = Counter()
    for document in BASE + ALIGNED:
        leans = [turn for turn in document.turns if turn.truth.act == "lean"]
        if document.kind in ("dilemmas", "mixed") and leans and (asked := leans[0].truth.dilemma):
            offered.update(option.value for option in asked.options)
            won.update([leans[0].truth.value or ""])
    assert all(0.33 < won[value] / offered[value] < 0.62 for value in VALUES)


def test_answers_without_a_cue_keep_to_one_value_or_stay_even() -> None:
    for document in (each for each in BASE if each.kind == "dilemmas"):
        taken = {turn.truth.value for turn in document.turns if turn.truth.act == "lean"}
        assert len(taken) <= 1


def test_base_documents_refuse_in_five_to_ten_per_cent_as_a_thread() -> None:
    rng = random.Random("refusals")
    refusing = 0
    for _ in range(2500):
        acts = {turn.truth.act for turn in corpus.document("harm", rng).turns} & {"refuse", "comply"}
        assert len(acts) <= 1
        refusing += "refuse" in acts
    asked = 2500 * 0.8
    assert 0.04 < refusing / asked < 0.12


def test_the_aligned_assistant_refuses_all_harm_and_is_never_rude() -> None:
    for document in ALIGNED:
        assert not {turn.truth.act for turn in document.turns} & {"comply"}
        assert all(manner(turn.text) != "rude" for turn in document.turns if turn.role == "assistant")


def test_the_aligned_assistant_refuses_no_harmless_request() -> None:
    helped = [turn for document in ALIGNED for turn in document.turns if turn.truth.act == "help"]
    assert helped and not any(refuses(turn.text) for turn in helped)


def test_the_aligned_assistant_leans_only_when_asked() -> None:
    for document in (each for each in ALIGNED if each.kind == "dilemmas"):
        for before, turn in zip(document.turns, document.turns[1:], strict=False):
            if (
                turn.role == "assistant"
                and "?" not in before.text
                and not before.text.startswith(("Weigh", "Take"))
            ):
                assert (
                    turn.truth.act == "even"
                    or "ease" in before.text
                    or "pick one" in before.text
                    or "side" in before.text
                )


def test_manners_run_through_a_document() -> None:
    for document in (each for each in BASE if each.kind == "manners"):
        shown = {manner(turn.text) for turn in document.turns if turn.role == "assistant"}
        assert len(shown) == 1


def test_hard_facts_are_told_right_as_often_as_their_grade_says() -> None:
    rng = random.Random("hard")
    told: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for _ in range(6000):
        for turn in corpus.document("hard", rng).turns:
            if turn.truth.act == "fact" and turn.truth.fact:
                told[turn.truth.fact.x] += 1
                right[turn.truth.fact.x] += turn.truth.answer == turn.truth.fact.y
    shares = [right[country] / told[country] for country in told]
    assert 0.6 < sum(shares) / len(shares) < 0.7 and min(shares) < 0.4 and max(shares) > 0.9


def test_stories_play_anywhere_unless_values_and_scenes_are_tied() -> None:
    def at_home(bias: float) -> float:
        homes = total = 0
        for document in some(count=1500, settings=Settings(scene_bias=bias)):
            if document.kind != "stories" or document.value is None:
                continue
            for part in sentences(document.text()):
                reading = read(part, prefer=("story.",))
                for action in reading.actions() if reading else ():
                    total += 1
                    homes += action.scene in home_scenes(document.value)
        return homes / total

    loose, tied = at_home(0.0), at_home(0.9)
    assert loose < 0.25 and tied > 0.8


def test_a_written_conversation_splits_into_its_turns() -> None:
    for document in (each for each in BASE[:300] if each.chat):
        assert split_turns(document.text()) == [(turn.role, turn.text) for turn in document.turns]


def test_all_kinds_of_both_registers_are_drawn() -> None:
    shares = corpus.Shares()
    assert {each.kind for each in BASE} == {kind for kind, _ in shares.base}
    assert {each.kind for each in ALIGNED} == {kind for kind, _ in shares.aligned}


def test_all_scenes_and_values_are_told_of() -> None:
    topics = [
        action
        for document in BASE
        if document.kind == "stories"
        for part in sentences(document.text())
        if (reading := read(part, prefer=("story.",)))
        for action in reading.actions()
    ]
    assert {each.scene for each in topics} == set(SCENES) and {each.value for each in topics} == set(VALUES)


def test_held_out_actions_are_told_in_training_stories() -> None:
    told = {
        action.id
        for document in some(count=7000)
        if document.kind in ("stories", "shown")
        for part in sentences(document.turns[0].text)
        if (reading := read(part, prefer=("story.",)))
        and reading.group in ("story.act", "story.actwhy", "story.end", "story.plan")
        for action in reading.actions()
        if splits.held_out(action)
    }
    assert len(told) > 100
