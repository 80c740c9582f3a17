"""The recipes in minnow's language: what the grammar makes, from the splits that are meant for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.minnow.recipes import ANCHORS, OUT, files
from trimtab.minnow import files as models
from trimtab.minnow import lexicon, splits
from trimtab.minnow.grammar import sentences
from trimtab.minnow.grammar import words as spoken
from trimtab.minnow.judges import read_dilemma
from trimtab.minnow.lexicon import VALUES
from trimtab.minnow.reading import read
from trimtab.vectors.recipe import Recipe, UnrelatedList
from trimtab.vectors.recipe_reading import read_file

RECIPES = {path.stem: read_file(path, Recipe) for path in sorted(OUT.glob("*.toml"))}
SHARED = read_file(OUT / "unrelated" / "minnow.toml", UnrelatedList)


@pytest.mark.slow
def test_the_grammar_makes_them_as_they_are() -> None:
    there = {path.relative_to(OUT).as_posix(): path.read_text("utf-8") for path in OUT.rglob("*.toml")}
    assert there == files(), "Run: python -m tools.minnow.recipes"


@pytest.mark.parametrize("id", RECIPES)
def test_every_sentence_is_of_the_language(id: str) -> None:
    recipe = RECIPES[id]
    texts = [side for pair in recipe.pairs for side in (pair.positive, pair.negative)]
    texts += [text for lists in (recipe.questions, recipe.unrelated) for *_, text in lists.each()]
    assert [part for text in texts for part in sentences(text) if read(part) is None] == []


def test_every_shared_question_is_of_the_language() -> None:
    texts = [text for *_, text in SHARED.each()]
    assert [part for text in texts for part in sentences(text) if read(part) is None] == []


@pytest.mark.parametrize("id", VALUES)
def test_pairs_name_only_persons_of_training(id: str) -> None:
    held = {name.text for split in ("validation", "test") for name in splits.names(split)}
    sides = [side for pair in RECIPES[id].pairs for side in (pair.positive, pair.negative)]
    assert not [word for side in sides for word in spoken(side) if word in held]


@pytest.mark.parametrize("id", VALUES)
def test_questions_weigh_the_value_in_a_pairing_of_their_split(id: str) -> None:
    for split, _, _, text in RECIPES[id].questions.each():
        dilemma = read_dilemma(text)
        assert dilemma is not None
        assert dilemma.option(id) is not None
        assert splits.of_pairing(*dilemma.options) == split


@pytest.mark.parametrize("id", VALUES)
def test_dilemmas_of_other_values_are_among_the_unrelated(id: str) -> None:
    found = [read_dilemma(text) for *_, text in RECIPES[id].unrelated.each()]
    assert len(found) >= 30
    assert not [each for each in found if each is None or each.option(id) is not None]


def test_facts_with_words_of_values_are_among_the_unrelated() -> None:
    keywords = {word for value in lexicon.values().values() for word in value.keywords}
    facts = [text for _, scene, _, text in SHARED.each() if scene in ("facts", "requests")]
    assert sum(bool(keywords & set(spoken(text.lower()))) for text in facts) >= 5


def test_anchors_are_words_of_the_language() -> None:
    content = Path(models.__file__).parent / "content"
    known = {word.lower() for path in content.rglob("*.toml") for word in spoken(path.read_text("utf-8"))}
    assert not [
        word for sides in ANCHORS.values() for side in sides for word in side.split() if word not in known
    ]


@pytest.mark.skipif(not models.installed(), reason="the built-in weights are not installed")
def test_anchors_are_single_tokens_of_the_built_in_models() -> None:
    folder = models.path("safetensors")
    vocabulary = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    anchors = {word for sides in ANCHORS.values() for side in sides for word in side.split()}
    assert not [word for word in sorted(anchors) if f"Ġ{word}" not in vocabulary]
