"""The shipped recipes: each parses, passes its check, and holds what a user is promised."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from trimtab.minnow import films
from trimtab.minnow.lexicon import VALUES
from trimtab.vectors.bias import context_bias
from trimtab.vectors.checking import check_all
from trimtab.vectors.checks import Report, check
from trimtab.vectors.recipe import Recipe, UnrelatedList
from trimtab.vectors.recipe_files import complete, folders, known
from trimtab.vectors.recipe_reading import read_file
from trimtab.vectors.similar import similar
from trimtab.vectors.words import words

PLACES = [place for place in known() if place.origin != "yours"]
FILES = {f"{place.origin}/{place.id}": place for place in PLACES}
SCHWARTZ = [name for name, place in FILES.items() if place.id in VALUES]
CHARACTER = [name for name, place in FILES.items() if place.id not in VALUES]
BY_HAND = [name for name, place in FILES.items() if place.origin == "shipped"]
SHARED = [
    path
    for origin, folder in folders().items()
    if origin != "yours"
    for path in sorted(folder.glob("unrelated/*.toml"))
]
FEW_WORDS = {"minnow/politeness"}
"""Manners are a few set phrases in minnow's language, so that these stand out whatever they are wrapped around."""


@cache
def read(name: str) -> Recipe:
    return read_file(FILES[name].path, Recipe)


@cache
def checked(name: str) -> Report:
    return check(read(name), name)


@pytest.mark.parametrize("name", FILES)
def test_it_parses_is_called_by_its_id_and_says_whose_it_is(name: str) -> None:
    recipe = read(name)
    assert recipe.id == FILES[name].id
    assert recipe.source and recipe.licence == "Apache-2.0"
    assert (recipe.language == "minnow") == (FILES[name].origin == "minnow")
    assert recipe.group == ("schwartz" if recipe.id in VALUES else "character")


@pytest.mark.parametrize("name", FILES)
def test_its_check_passes(name: str) -> None:
    assert not [finding for finding in checked(name).findings if finding.severity == "problem"]


@pytest.mark.parametrize("name", FILES)
def test_its_contexts_are_controlled(name: str) -> None:
    pairs = read(name).pairs
    bias = context_bias(
        [pair.positive for pair in pairs], [pair.negative for pair in pairs], read(name).language
    )
    if name in FEW_WORDS:
        assert bias.within >= 0.5
    else:
        assert bias.size == 25
        assert len(bias.shared) >= 15


@pytest.mark.parametrize("name", SCHWARTZ)
def test_a_basic_value_has_a_hundred_pairs_of_four_kinds(name: str) -> None:
    kinds = Counter((pair.person, pair.form) for pair in read(name).pairs)
    assert kinds == {
        (person, form): 25 for person in ("first", "third") for form in ("statement", "question")
    }


@pytest.mark.parametrize("name", CHARACTER)
def test_a_trait_of_character_has_sixty_pairs(name: str) -> None:
    assert len(read(name).pairs) >= 60


@pytest.mark.parametrize("name", BY_HAND)
def test_its_questions_come_from_ten_scenes_in_both_lists(name: str) -> None:
    questions = read(name).questions
    assert len(questions.validation) >= 10
    assert len(questions.test) >= 10
    if name in SCHWARTZ:
        assert len(questions.of("validation")) == len(questions.of("test")) == 50


@pytest.mark.parametrize("name", BY_HAND)
def test_no_pair_repeats_another(name: str) -> None:
    sides = [frozenset(words(side)) for pair in read(name).pairs for side in (pair.positive, pair.negative)]
    assert not [pair for *pair, _ in similar(sides, 0.4) if pair[0] // 2 != pair[1] // 2]


@pytest.mark.parametrize("name", FILES)
def test_its_anchors_are_enough(name: str) -> None:
    anchors = read(name).anchors
    assert 6 <= len(anchors.positive) <= 12
    assert 6 <= len(anchors.negative) <= 12


def test_all_ten_values_are_there_in_both_languages() -> None:
    ids = {
        origin: {place.id for place in PLACES if place.origin == origin} for origin in ("shipped", "minnow")
    }
    assert ids["minnow"] >= {*VALUES, "positivity", "politeness"}
    assert ids["shipped"] >= {*VALUES, "positivity", "honesty", "harmlessness", "helpfulness"}


@pytest.mark.parametrize("path", SHARED, ids=lambda path: path.stem)
def test_a_shared_list_is_called_by_its_id(path: object) -> None:
    from pathlib import Path

    assert isinstance(path, Path)
    assert read_file(path, UnrelatedList).id == path.stem


@pytest.mark.parametrize("name", FILES)
def test_a_gate_has_unrelated_questions_to_learn_from(name: str) -> None:
    whole = complete(read(name)).unrelated
    assert len(whole.of("validation")) >= 40
    assert len(whole.of("test")) >= 40


def test_no_recipe_tunes_on_what_another_tests() -> None:
    names = sorted({place.id for place in PLACES if place.origin == "shipped"})
    shared = [report for report in check_all(names) if report.name == "together"]
    assert not [finding for report in shared for finding in report.findings if finding.severity != "note"]


def test_minnows_reviews_have_the_papers_anchor_words() -> None:
    anchors = read("minnow/positivity").anchors
    assert (anchors.positive, anchors.negative) == films.anchors()
