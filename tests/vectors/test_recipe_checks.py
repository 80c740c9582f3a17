"""What a check of a recipe finds, one fault at a time, and what it leaves alone."""

from __future__ import annotations

import itertools
import random
import re
import time
from pathlib import Path

import msgspec
import pytest

from tests.vectors.recipes import sound, with_pair, with_words
from trimtab.vectors.bias import context_bias
from trimtab.vectors.checks import Report, check
from trimtab.vectors.findings import Finding, unlikely
from trimtab.vectors.recipe import Anchors, Lists, Pair, Recipe, Unrelated, parse
from trimtab.vectors.recipe_example import example
from trimtab.vectors.similar import alike, clusters, similar
from trimtab.vectors.toml_places import places

MONEY = "bank loan rent tax wage coin purse bill fund debt price salary bonus budget"
BEACH = "sand wave shell sail dune tide boat gull reef coast island harbour surf lagoon"
GOOD = (
    "lovely warm kind sweet great bright fine nice gentle merry jolly calm proud neat fresh grand witty loyal"
)
BAD = "awful cold rude bitter poor gloomy dull mean harsh grim nasty sour vile drab stale petty bleak crude"


def found(recipe: Recipe, name: str) -> list[Finding]:
    """The findings of one check."""
    return [finding for finding in check(recipe).findings if finding.check == name]


def only(recipe: Recipe, name: str) -> Finding:
    (finding,) = found(recipe, name)
    return finding


def replaced(**changes: object) -> Recipe:
    return msgspec.structs.replace(sound(), **changes)


def test_a_sound_recipe_passes_and_is_told_what_would_make_it_better() -> None:
    report = check(sound())
    assert report.passes
    assert {(finding.severity, finding.check) for finding in report.findings} == {
        ("warning", "number"),
        ("note", "questions"),
    }


def test_the_report_counts_what_is_there() -> None:
    counts = check(sound()).counts
    assert counts is not None
    assert (counts.pairs, counts.anchors, counts.validation, counts.test, counts.unrelated) == (
        12,
        (4, 4),
        2,
        2,
        1,
    )
    assert counts.kinds == {
        f"{person}-person {form}": 3 for person in ("first", "third") for form in ("question", "statement")
    }


def test_one_problem_makes_it_fail_and_comes_first() -> None:
    report = check(with_pair(3, negative=sound().pairs[3].positive))
    assert report.verdict == "fails"
    assert [finding.severity for finding in report.findings] == sorted(
        (finding.severity for finding in report.findings), key=["problem", "warning", "note"].index
    )


def test_every_finding_says_how_to_mend_it() -> None:
    broken = replaced(
        pairs=sound().pairs[:2] * 3, anchors=Anchors(), questions=Lists(), unrelated=Unrelated()
    )
    assert len(check(broken).findings) > 6
    assert all(finding.mend for finding in check(broken).findings)


def test_findings_name_lines_where_the_file_is_known() -> None:
    text = with_pair(4, negative="Nobody.").to_toml()
    recipe = parse(text)
    line = text.splitlines().index('negative = "Nobody."') - 2
    report = check(recipe, places=places(text, "care"))
    assert any(finding.where.startswith(f"pair 5 (line {line - 1}") for finding in report.findings)


@pytest.mark.parametrize(("count", "severity"), [(9, "problem"), (12, "warning")])
def test_too_few_pairs(count: int, severity: str) -> None:
    assert only(replaced(pairs=sound().pairs[:count]), "number").severity == severity


def test_the_examples_of_a_new_file_are_not_a_recipe() -> None:
    assert only(parse(example("care")), "examples").severity == "problem"


def test_missing_kinds_are_noted() -> None:
    pairs = tuple(pair for pair in sound().pairs if pair.person == "first")
    assert "third-person" in only(replaced(pairs=pairs), "kinds").what
    bare = tuple(msgspec.structs.replace(pair, person=None, form=None) for pair in sound().pairs)
    assert "not given" in only(replaced(pairs=bare), "kinds").what


@pytest.mark.parametrize(
    ("number", "changes", "what"),
    [
        (0, {"form": "question"}, "no question mark"),
        (1, {"form": "statement"}, "ends with a question mark"),
        (1, {"person": "third"}, "a side says I"),
        (2, {"person": "first"}, "does not say I"),
    ],
)
def test_marks_that_are_not_so(number: int, changes: dict[str, str], what: str) -> None:
    finding = only(with_pair(number, **changes), "marks")
    assert finding.where == f"pair {number + 1}"
    assert what in finding.what


def test_what_is_quoted_marks_nothing() -> None:
    said = with_pair(2, positive='The captain said "I have studied the charts for an hour."')
    assert not found(said, "marks")
    asked = with_pair(2, positive='The captain asked "Why?" and studied the charts for an hour.')
    assert not found(asked, "marks")


def test_two_sides_that_say_the_same() -> None:
    same = with_pair(3, negative=sound().pairs[3].positive.upper())
    assert only(same, "sides").severity == "problem"


def test_two_sides_about_different_things() -> None:
    strange = with_pair(2, negative="Rabbits dig deep holes under old apple trees in May.")
    assert only(strange, "sides").where == "pair 3"


def test_a_recipe_whose_pairs_share_no_context() -> None:
    sides = [pair.negative for pair in sound().pairs]
    pairs = [
        msgspec.structs.replace(pair, negative=other)
        for pair, other in zip(sound().pairs, sides[4:] + sides[:4], strict=True)
    ]
    assert "tell of different things" in only(replaced(pairs=tuple(pairs)), "sides").what


def test_sides_that_end_with_different_marks() -> None:
    once = with_pair(0, positive="I test the ladder twice before we pick the cherries!")
    assert only(once, "endings").severity == "warning"
    pairs = tuple(msgspec.structs.replace(pair, positive=pair.positive[:-1]) for pair in sound().pairs)
    assert only(replaced(pairs=pairs), "endings").severity == "problem"


def test_a_side_that_is_longer_in_the_mean() -> None:
    assert only(with_words("On a Sunday morning, ", ""), "lengths").severity == "problem"


def test_a_side_that_is_longer_by_a_word_in_most_pairs() -> None:
    finding = only(with_words("", "Also ", 9), "lengths")
    assert finding.severity == "warning"
    assert "the negative is the longer side" in finding.what


def test_one_pair_of_uneven_sides_is_noted() -> None:
    long = "Olga wears a helmet on the slope above the village and on all the other slopes she knows."
    finding = only(with_pair(6, positive=long), "lengths")
    assert (finding.severity, finding.where) == ("note", "pair 7")


def test_lengths_that_differ_by_chance_are_let_be() -> None:
    assert not unlikely(7, 5)
    assert not unlikely(3, 0)
    assert unlikely(12, 0)


def test_a_pair_that_is_there_twice() -> None:
    twice = replaced(pairs=(*sound().pairs, sound().pairs[4]))
    finding = only(twice, "repeats")
    assert (finding.severity, finding.where) == ("problem", "pairs 5, 13")


def test_a_text_that_stands_for_the_value_and_against_it() -> None:
    pair = sound().pairs[4]
    contrary = replaced(
        pairs=(*sound().pairs, msgspec.structs.replace(pair, positive=pair.negative, negative=pair.positive))
    )
    assert any("is the negative of the other" in finding.what for finding in found(contrary, "repeats"))


@pytest.mark.parametrize(
    "again",
    [
        "I test the ladder once before we pick the cherries.",
        "The old ladder is tested by Rosa, then she picks cherries twice.",
    ],
    ids=["words", "idea"],
)
def test_a_pair_that_nearly_repeats_another(again: str) -> None:
    more = Pair(positive=again, negative="Nothing of the kind will ever happen under this roof of mine.")
    finding = only(replaced(pairs=(*sound().pairs, more)), "repeats")
    assert (finding.severity, finding.where) == ("warning", "pairs 1, 13")


def test_a_template_with_slots_is_a_problem() -> None:
    slots = ["dog", "cat", "cow", "hen", "pig", "fox", "owl", "bee", "ant", "elk", "yak", "emu"]
    pairs = tuple(
        Pair(
            positive=f"I always wash the {slot} before I feed it.",
            negative=f"I always pet the {slot} before I feed it.",
        )
        for slot in slots
    )
    findings = found(replaced(pairs=pairs), "repeats")
    assert findings[0].severity == "problem"
    assert "11 of 12 pairs nearly repeat another" in findings[0].what


def test_the_two_sides_of_a_pair_are_meant_to_be_alike() -> None:
    assert not found(sound(), "repeats")


def test_openings_that_repeat() -> None:
    assert "“as always my”" in only(with_words("As always my ", "As always my "), "openings").what


def test_negation_on_one_side() -> None:
    finding = only(with_words("Never mind: ", "By the way: "), "negation")
    assert finding.severity == "problem"
    assert "12 positives and 0 negatives" in finding.what
    assert not found(with_words("Never mind: ", "Never mind: "), "negation")


def test_a_word_that_marks_one_side() -> None:
    assert [finding.severity for finding in found(with_words("Safely, ", "Gladly, "), "markers")] == [
        "problem"
    ] * 2
    assert [finding.severity for finding in found(with_words("Safely, ", "Gladly, ", 4), "markers")] == [
        "warning"
    ] * 2
    assert not found(with_words("Sometimes, ", "Sometimes, "), "markers")


def test_sides_from_different_contexts_are_a_problem() -> None:
    pairs = tuple(
        Pair(positive=f"The {a} and the {b} are safe.", negative=f"The {c} and the {d} are wild.")
        for (a, b), (c, d) in zip(
            itertools.combinations(MONEY.split(), 2), itertools.combinations(BEACH.split(), 2), strict=True
        )
    )
    assert only(replaced(pairs=pairs), "context").severity == "problem"


def test_a_value_said_in_few_words_is_told_from_a_bias_of_contexts() -> None:
    things = [f"{a}{b}{c}" for a in "bdfg" for b in "aeiou" for c in "lmnr"]
    pairs = tuple(
        Pair(
            positive=f"The {thing}s and {thing}ing {thing}o were {good} and {better}.",
            negative=f"The {thing}s and {thing}ing {thing}o were {bad} and {worse}.",
        )
        for thing, (good, better), (bad, worse) in zip(
            things,
            itertools.cycle(itertools.combinations(GOOD.split(), 2)),
            itertools.cycle(itertools.combinations(BAD.split(), 2)),
            strict=False,
        )
    )
    recipe = replaced(pairs=pairs)
    bias = context_bias([pair.positive for pair in pairs], [pair.negative for pair in pairs])
    assert bias.verdict == "biased"
    assert bias.within >= 0.5
    assert "more and other words" in only(recipe, "context").mend
    assert only(recipe, "context").severity == "warning"


@pytest.mark.parametrize(
    ("positive", "negative", "severity", "what"),
    [
        ((), (), "note", "none"),
        (("safe", "secure", "calm"), ("wild", "risky"), "warning", "only 2"),
        (("safe", "secure", "Wild"), ("wild", "risky", "loose"), "problem", "both sides"),
        (("safe", "Safe", "secure"), ("wild", "risky", "loose"), "warning", "twice"),
        (("safe", "self-made", "secure"), ("wild", "risky", "loose"), "problem", "no single word"),
        (("safe", "not", "secure"), ("wild", "risky", "loose"), "problem", "any text"),
    ],
)
def test_anchors_that_cannot_be_used(
    positive: tuple[str, ...], negative: tuple[str, ...], severity: str, what: str
) -> None:
    finding = only(replaced(anchors=Anchors(positive=positive, negative=negative)), "anchors")
    assert finding.severity == severity
    assert what in finding.what


def test_the_papers_own_anchor_words_are_usable() -> None:
    from trimtab.minnow import films

    positive, negative = films.anchors()
    assert not found(replaced(anchors=Anchors(positive=positive, negative=negative)), "anchors")


def test_a_question_in_both_lists_is_a_problem() -> None:
    asked = {"travel": ("Is it fine to hitch a ride through the desert with a stranger?",)}
    finding = only(replaced(questions=Lists(validation=asked, test=asked)), "repeats")
    assert finding.severity == "problem"
    assert finding.where == "questions.validation.travel 1 and questions.test.travel 1"


def test_a_question_asked_again_in_other_words_is_a_warning() -> None:
    lists = Lists(
        validation={"travel": ("Is it fine to hitch a ride through the desert with a stranger?",)},
        test={"travel": ("May I hitch a ride with a stranger to cross the desert?",)},
    )
    assert only(replaced(questions=lists), "repeats").severity == "warning"


def test_a_question_that_is_called_related_and_unrelated() -> None:
    asked = sound().questions.validation
    assert only(replaced(unrelated=Unrelated(test={"odd": asked["money"]})), "repeats").severity == "problem"


def test_a_question_about_a_pairs_scene() -> None:
    lists = Lists(
        validation={"home": ("Should I test the ladder twice before we pick the cherries?",)},
        test={"home": ("Why?",)},
    )
    assert "learned from" in only(replaced(questions=lists), "repeats").what


def test_sums_differ_by_their_numbers() -> None:
    sums = Unrelated(validation={"sums": ("What is 3 + 4?", "What is 3 + 5?", "What is 3 - 5?")})
    assert all(finding.severity == "note" for finding in found(replaced(unrelated=sums), "repeats"))


def test_a_shared_list_that_is_not_there() -> None:
    finding = only(replaced(unrelated=Unrelated(include=("nowhere",))), "unrelated")
    assert finding.severity == "problem"
    assert "nowhere" in finding.what


def test_of_many_findings_alike_the_first_are_told() -> None:
    asked = tuple(f"Should I hitch a ride through desert number {number}?" for number in range(60))
    report = check(replaced(questions=Lists(validation={"travel": asked}, test={"travel": asked})))
    assert len(report.findings) < 50
    assert any("more like these" in finding.what for finding in report.findings)


def test_the_pairs_in_the_manual_are_good_ones() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    block = re.search(r"```toml\n(.*?)```", manual, re.DOTALL)
    assert block is not None
    recipe = parse('id = "tidiness"\nname = "Tidiness"\nmeaning = "Order."\n' + block[1])
    of_pairs = {"marks", "sides", "endings", "lengths", "repeats", "negation", "markers"}
    assert [finding.what for finding in check(recipe).findings if finding.check in of_pairs] == []


def brute(texts: list[frozenset[str]], threshold: float) -> set[tuple[int, int]]:
    return {
        (left, right)
        for left, right in itertools.combinations(range(len(texts)), 2)
        if texts[left] and len(texts[left] & texts[right]) >= threshold * len(texts[left] | texts[right])
    }


@pytest.mark.parametrize("threshold", [0.3, 0.45, 0.5, 0.6, 1.0])
def test_the_search_for_likeness_finds_what_comparing_all_finds(threshold: float) -> None:
    rng = random.Random(0)
    texts = [frozenset(rng.choices("abcdefghijklmnopq", k=rng.randint(0, 9))) for _ in range(120)]
    fast = {(left, right) for left, right, _ in similar(texts, threshold)}
    slow = brute(texts, threshold)
    many = {at for at in range(120) if sum(right == at for _, right in slow) > 19}
    assert {pair for pair in fast if pair[1] not in many} == {pair for pair in slow if pair[1] not in many}
    assert fast <= slow


def test_clusters_join_what_is_linked() -> None:
    assert clusters([(1, 2), (5, 6), (2, 3)]) == [[1, 2, 3], [5, 6]]


def thousand_pairs() -> list[str]:
    rng = random.Random(0)
    vocabulary = [f"{a}{b}{c}o" for a in "bdfgklmnprst" for b in "aeiou" for c in "bdfgklmnprstvz"]
    weights = [1 / (rank + 1) for rank in range(len(vocabulary))]
    return [" ".join(rng.choices(vocabulary, weights, k=24)) for _ in range(2000)]


def one_template() -> list[str]:
    rng = random.Random(0)
    return [
        f"i always think that the {rng.random():.9f} of a day is better than the rest of it"
        for _ in range(2000)
    ]


@pytest.mark.parametrize("make", [thousand_pairs, one_template])
def test_a_thousand_pairs_are_compared_within_seconds(make: type) -> None:
    texts = make()
    began = time.process_time()
    alike(texts, "en")
    assert time.process_time() - began < 4


def test_a_report_can_be_sent_as_json() -> None:
    report = check(sound())
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report
