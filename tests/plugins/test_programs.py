"""The lines of a desk become one program: each in its order, none dropped in silence, each known by its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.engine.worker.workers import environment
from tests.plugins.support import PROMPT, TOKENS, Asking
from tests.tiny import TinyModel
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import (
    Done,
    FloatArray,
    GenerateRequest,
    LoadRequest,
    ModelInfo,
    Sampling,
    Token,
)
from trimtab.engine.generation import MachineEngine
from trimtab.engine.program import EMPTY, Program
from trimtab.plugins.anchor_words import parse_anchors
from trimtab.plugins.context import MethodContext
from trimtab.plugins.errors import LineError, PluginError
from trimtab.plugins.line import Line, Text
from trimtab.plugins.manager import Plugins
from trimtab.plugins.programs import compose
from trimtab.vectors.pack import Pack

WORDS = Line(source=parse_anchors("+ good - year"), level=2.0)
PERSONA = Line(source=Text("You are a ship's cook."))


async def program_of(plugins: Plugins, context: MethodContext, *lines: Line) -> Program:
    return (await compose(lines, plugins, context)).program


async def test_every_kind_of_line_is_in_the_program(
    plugins: Plugins, context: MethodContext, pack: Pack
) -> None:
    program = await program_of(plugins, context, Line(source=pack), WORDS, PERSONA)
    assert [item.title for item in program.interventions] == [
        "Raise (security)", "Raise (security)", "Tune (anchors)", "Preface (preface)",
    ]  # fmt: skip


async def test_an_empty_desk_steers_nothing(plugins: Plugins, context: MethodContext) -> None:
    assert await program_of(plugins, context) == EMPTY


@pytest.mark.parametrize("still", [{"on": False}, {"level": 0.0}, {"strength": 0.0}])
async def test_a_dial_that_does_nothing_is_not_in_the_program_but_is_watched(
    plugins: Plugins, context: MethodContext, pack: Pack, still: dict[str, float]
) -> None:
    program = await program_of(plugins, context, replace(Line(source=pack), **still))  # type: ignore[arg-type]
    assert not program.interventions
    [watch] = program.watches
    assert (watch.name, watch.layer) == ("security", 2)


async def test_silence_steers_nothing_and_goes_on_watching(
    plugins: Plugins, context: MethodContext, pack: Pack
) -> None:
    lines = (Line(source=pack), WORDS)
    program = (await compose(lines, plugins, context, silenced=True)).program
    assert not program.interventions and program.watches
    assert (await compose(lines, plugins, context, silenced=True, watch=False)).program == EMPTY


async def test_a_pack_on_two_lines_is_watched_once_and_each_line_has_a_name(
    plugins: Plugins, context: MethodContext, pack: Pack
) -> None:
    program = await program_of(plugins, context, Line(source=pack), Line(source=pack, method="caa"))
    assert {item.label for item in program.interventions} == {"security", "security 2"}
    assert len(program.watches) == 1


async def test_the_same_desk_is_the_same_program(
    plugins: Plugins, context: MethodContext, pack: Pack
) -> None:
    lines = (Line(source=pack), WORDS, PERSONA)
    one, two = [await program_of(plugins, context, *lines) for _ in range(2)]
    assert one.fingerprint == two.fingerprint
    moved = await program_of(plugins, context, replace(lines[0], level=2.0), *lines[1:])
    assert moved.fingerprint != one.fingerprint


async def test_a_slider_moves_without_a_question_to_the_model(
    plugins: Plugins, engine: MachineEngine, pack: Pack
) -> None:
    asking = Asking(engine)
    context = MethodContext(asking)
    await program_of(plugins, context, Line(source=pack), WORDS)
    asked = asking.questions
    for level in (0.5, 1.5, 2.5):
        await program_of(plugins, context, Line(source=pack, level=level), replace(WORDS, level=level))
    assert asking.questions == asked


async def test_a_method_that_cannot_take_a_source_says_which_can(
    plugins: Plugins, context: MethodContext
) -> None:
    with pytest.raises(LineError) as caught:
        await program_of(plugins, context, replace(WORDS, method="conva"))
    assert caught.value.what == "The method conva cannot steer with anchor words (anchors); it takes a pack."
    assert caught.value.hint == "Use awot."


async def test_a_method_that_is_not_there_is_named_with_those_that_are(
    plugins: Plugins, context: MethodContext
) -> None:
    with pytest.raises(PluginError, match=r"no method magic\. There are: adapter, awot, caa, conva, ica"):
        await program_of(plugins, context, replace(WORDS, method="magic"))


async def test_the_engine_client_answers_what_methods_ask(
    plugins: Plugins, tiny_llama: TinyModel, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(tmp_path / "logs").items():
        monkeypatch.setenv(name, value)
    async with EngineClient.start() as client:
        await client.load(LoadRequest(path=str(tiny_llama.gguf), threads=1, context=256, exact=True))
        found = await compose((Line(source=pack, gate=None), WORDS), plugins, MethodContext(client))
        asked = GenerateRequest(
            text=PROMPT, program=found.program, sampling=Sampling(temperature=0, max_tokens=TOKENS)
        )
        events = [event async for event in client.generate(asked)]
    phis = [event.phi["anchors"] for event in events if isinstance(event, Token)]
    assert phis and isinstance(events[-1], Done)
    assert events[-1].receipt.fingerprint == found.program.fingerprint


@dataclass
class Changing:
    """A model that may be exchanged."""

    info: ModelInfo | None

    async def tokenize(self, text: str) -> list[int]:
        raise AssertionError("It must not be asked.")

    async def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        raise AssertionError("It must not be asked.")

    async def unembed(self, tokens: Sequence[int]) -> FloatArray:
        raise AssertionError("It must not be asked.")


async def test_the_answers_of_one_model_are_not_mixed_with_anothers(
    plugins: Plugins, engine: MachineEngine
) -> None:
    with pytest.raises(PluginError, match="No model is loaded"):
        MethodContext(Changing(None))
    model = Changing(engine.info)
    context = MethodContext(model)
    model.info = None
    with pytest.raises(PluginError, match="no longer the model that is loaded"):
        await program_of(plugins, context, WORDS)
