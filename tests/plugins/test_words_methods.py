"""Prefaces and adapters put in place what they were given, on both engines."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from tests.plugins.support import answer, say, under
from tests.tiny import TinyAdapter
from trimtab.engine.contract import GenerateRequest, Message, Sampling
from trimtab.engine.generation import MachineEngine
from trimtab.engine.program import EMPTY, Adapter, Preface
from trimtab.plugins.context import MethodContext
from trimtab.plugins.errors import LineError
from trimtab.plugins.line import Line, Text
from trimtab.plugins.manager import Plugins
from trimtab.plugins.methods.ica import ica_text
from trimtab.plugins.programs import compose
from trimtab.vectors.pack import Pack
from trimtab.vectors.recipe_files import find

QUESTION = "Should Sarah spend her bonus or save it?"
GREEDY = Sampling(temperature=0, max_tokens=8)


async def preface_of(plugins: Plugins, context: MethodContext, line: Line) -> Preface:
    [preface] = (await compose((line,), plugins, context)).program.interventions
    assert isinstance(preface, Preface)
    return preface


def test_ica_says_the_papers_sentences() -> None:
    said = ica_text("Hedonism", "Pleasure and sensuous gratification for oneself.")
    assert said == (
        "You have a high level of hedonism. Hedonism means pleasure and sensuous gratification for oneself."
    )


def test_ica_keeps_what_is_written_in_capitals() -> None:
    assert ica_text("DIY", "I do it.") == "You have a high level of DIY. DIY means I do it."


def test_a_level_below_zero_is_a_low_one() -> None:
    assert ica_text("power", "rank", high=False).startswith("You have a low level of power.")


async def test_ica_stands_in_the_users_turn(
    plugins: Plugins, context: MethodContext, engine: MachineEngine, pack: Pack
) -> None:
    line = Line(source=pack, method="ica", gate=None)
    composed = await compose((line,), plugins, context, watch=False)
    text = ica_text(pack.name, pack.meaning)
    asked = GenerateRequest(
        messages=(Message(role="user", content=QUESTION),), program=composed.program, sampling=GREEDY
    )
    by_hand = GenerateRequest(
        messages=(Message(role="user", content=f"{text}\n\n{QUESTION}"),), sampling=GREEDY
    )
    assert answer(engine, asked).ids == answer(engine, by_hand).ids


async def test_ica_needs_no_pack(plugins: Plugins, context: MethodContext) -> None:
    recipe = find("hedonism", "en")
    preface = await preface_of(plugins, context, Line(source=recipe))
    assert preface.text == ica_text(recipe.name, recipe.meaning)
    assert preface.place == "user"


async def test_a_value_without_a_meaning_has_no_words(
    plugins: Plugins, context: MethodContext, pack: Pack
) -> None:
    silent = msgspec.structs.replace(pack, meaning="")
    with pytest.raises(LineError, match="Nothing says what Security means"):
        await preface_of(plugins, context, Line(source=silent, method="ica"))


async def test_any_text_can_stand_before_the_conversation(plugins: Plugins, context: MethodContext) -> None:
    line = Line(source=Text("You are a ship's cook."))
    assert await preface_of(plugins, context, line) == Preface(text="You are a ship's cook.", label="preface")
    turn = replace(line, options={"place": "user"})
    assert (await preface_of(plugins, context, turn)).place == "user"
    with pytest.raises(LineError, match="no opposite"):
        await preface_of(plugins, context, replace(line, level=-1.0))
    with pytest.raises(LineError, match="empty"):
        Text(" \n")


async def test_an_adapter_is_put_in_place_at_its_scale(
    plugins: Plugins, context: MethodContext, engine: MachineEngine, tiny_llama_lora: TinyAdapter
) -> None:
    file = tiny_llama_lora.gguf if engine.info.engine == "llama" else tiny_llama_lora.peft
    adapter = Adapter.load(file, label="polite")
    reply = await under(engine, plugins, context, Line(source=adapter, level=2.0, strength=0.5))
    [item] = (await compose((Line(source=adapter, level=3.0),), plugins, context)).program.interventions
    assert isinstance(item, Adapter) and item.scale == 3.0 and item.digest == adapter.digest
    assert reply.ids != say(engine, EMPTY).ids
