"""Which tokens stand for a word, counted by the tokenizers of real, if tiny, models."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.engine.machines import load_machine
from tests.plugins.support import Asking
from tests.tiny import TinyModel
from trimtab.engine.generation import MachineEngine
from trimtab.plugins.anchor_tokens import resolve
from trimtab.plugins.anchor_words import parse_anchors
from trimtab.plugins.context import MethodContext
from trimtab.plugins.errors import AnchorError


@pytest.fixture(scope="module")
def pieces_engine(tiny_pieces: TinyModel) -> Iterator[MachineEngine]:
    engine = MachineEngine(load_machine("llama", tiny_pieces))
    yield engine
    engine.close()


def texts(engine: MachineEngine, tokens: tuple[int, ...]) -> set[str]:
    return {piece.decode() for piece in engine.pieces(tokens)}


async def test_a_word_stands_for_all_its_forms_that_are_one_token(
    engine: MachineEngine, context: MethodContext
) -> None:
    found = await resolve(parse_anchors("+ she - he"), context)
    assert texts(engine, found.anchors.positive) == {" she", " She", "she", "She"} & one_token(engine)
    assert " she" in texts(engine, found.anchors.positive)


async def test_without_forms_a_word_stands_for_itself_within_a_sentence(
    engine: MachineEngine, context: MethodContext
) -> None:
    found = await resolve(parse_anchors("+ she"), context, forms=False)
    assert texts(engine, found.anchors.positive) == {" she"}


async def test_a_word_counts_the_same_however_many_forms_it_has(
    engine: MachineEngine, context: MethodContext
) -> None:
    found = await resolve(parse_anchors("+ she:3 home"), context)
    anchors = found.anchors
    shares = dict(zip(anchors.positive, anchors.positive_weights, strict=True))
    of_she = {token for token in shares if texts(engine, (token,)) & {" she", " She", "she", "She"}}
    assert sum(shares[token] for token in of_she) == pytest.approx(3)
    assert sum(shares[token] for token in shares.keys() - of_she) == pytest.approx(1)


async def test_the_first_token_stands_for_a_word_of_several_and_that_is_said(
    engine: MachineEngine, context: MethodContext
) -> None:
    whole = tuple(engine.tokenize(" strongest"))
    assert len(whole) > 1
    found = await resolve(parse_anchors("+ strongest"), context)
    assert found.anchors.positive == whole[:1]
    [note] = found.notes
    assert f"“strongest” is {len(whole)} tokens here" in note and "the first stands for it" in note


async def test_all_tokens_can_stand_for_a_word_or_a_phrase(
    engine: MachineEngine, context: MethodContext
) -> None:
    whole = engine.tokenize(" not nice at all")
    found = await resolve(parse_anchors('+ "not nice at all"'), context, parts="all")
    assert set(found.anchors.positive) == set(whole)
    assert sum(found.anchors.positive_weights) == pytest.approx(1)
    assert "each stands for it in part" in found.notes[0]


async def test_the_blank_that_sentencepiece_puts_first_is_no_part_of_a_word(
    pieces_engine: MachineEngine,
) -> None:
    context = MethodContext(Asking(pieces_engine))
    found = await resolve(parse_anchors("+ she - unputdownable"), context)
    for piece in pieces_engine.pieces((*found.anchors.positive, *found.anchors.negative)):
        assert piece.strip()


async def test_tokens_that_both_sides_share_belong_to_neither(
    engine: MachineEngine, context: MethodContext
) -> None:
    one, other = engine.tokenize(" strongest"), engine.tokenize(" strongly")
    shared = set(one) & set(other)
    assert shared and set(one) != shared != set(other)
    found = await resolve(parse_anchors("+ strongest - strongly"), context, parts="all")
    assert not shared & {*found.anchors.positive, *found.anchors.negative}
    assert "left out of both" in found.notes[-1]


async def test_a_word_of_which_nothing_is_left_is_named(context: MethodContext) -> None:
    with pytest.raises(AnchorError, match=r"Nothing is left of “strongest”.* begins with “ strong” too"):
        await resolve(parse_anchors("+ strongest - strongly"), context)


async def test_the_direction_is_the_difference_of_the_weighted_means(
    engine: MachineEngine, context: MethodContext
) -> None:
    found = await resolve(parse_anchors("+ she:2 home - the"), context, forms=False)
    (she,), (home,), (the,) = (engine.tokenize(f" {word}") for word in ("she", "home", "the"))
    rows = engine.unembed([she, home, the]).astype(np.float64)
    np.testing.assert_allclose(found.direction, (2 * rows[0] + rows[1]) / 3 - rows[2], atol=1e-6)
    assert found.gain == pytest.approx(float(found.direction @ found.direction))


async def test_special_tokens_that_are_typed_are_words(engine: MachineEngine, context: MethodContext) -> None:
    found = await resolve(parse_anchors('+ "<|im_end|>"'), context, parts="all")
    assert engine.tokenize("<|im_end|>", special=True)[0] not in found.anchors.positive


async def test_what_was_asked_once_is_not_asked_again(engine: MachineEngine) -> None:
    asking = Asking(engine)
    context = MethodContext(asking)
    sides = parse_anchors("+ good:2 - bad awful")
    first = await resolve(sides, context)
    asked = asking.questions
    assert asked > 0
    second = await resolve(sides, context)
    assert asking.questions == asked
    assert second.anchors == first.anchors


def one_token(engine: MachineEngine) -> set[str]:
    return {piece.decode("utf-8", "replace") for piece in engine.pieces(range(engine.info.vocabulary))}
