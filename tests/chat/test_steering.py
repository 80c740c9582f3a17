"""Desks become programs by the methods' door, with what their dials name found for the model that is loaded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from tests.tiny import TinyAdapter, TinyModel
from tests.vectors import peers
from tests.vectors.packs import probe_pack
from trimtab.chat.async_store import AsyncStore
from trimtab.chat.desk import AnchorDial, Desk, Dial, FileDial, PrefaceDial
from trimtab.chat.presets import Preset, from_toml, to_toml
from trimtab.chat.records import Setup
from trimtab.chat.session import Session
from trimtab.chat.steering import Steering
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import LoadRequest, Sampling
from trimtab.engine.identity import identify
from trimtab.engine.math import target_logit
from trimtab.engine.program import EMPTY, Adapter, Array, Preface, Raise, Shift, Tune
from trimtab.errors import TrimtabError
from trimtab.plugins.anchor_words import parse_anchors
from trimtab.plugins.context import MethodContext
from trimtab.plugins.line import Line
from trimtab.plugins.manager import Plugins
from trimtab.plugins.programs import compose
from trimtab.vectors.library import Library
from trimtab.vectors.pack import Pack


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "packs")


@pytest.fixture
def pack(tiny_llama: TinyModel, library: Library) -> Pack:
    """In the library."""
    found = probe_pack(identify(tiny_llama.gguf))
    library.add(found)
    return found


@pytest_asyncio.fixture
async def client(worker_environment: None, tiny_llama: TinyModel) -> AsyncIterator[EngineClient]:
    async with EngineClient.start() as engine:
        await engine.load(LoadRequest(path=str(tiny_llama.gguf), threads=1, context=256))
        yield engine


@pytest.fixture
def steering(client: EngineClient, library: Library) -> Steering:
    return Steering(client, Plugins.built_in(), library)


def dial(**changes: Any) -> Dial:
    fields: dict[str, Any] = {"value": "security", "on": True, "level": 2.0}
    return Dial(**(fields | changes))


async def test_a_dial_is_steered_with_the_librarys_pack(steering: Steering, pack: Pack) -> None:
    program = await steering.program(Desk(dials=(dial(strength=0.5),)))
    raises = [item for item in program.interventions if isinstance(item, Raise)]
    assert [item.layer for item in raises] == list(pack.good)
    assert {(item.targets[0], item.strengths[0], item.label) for item in raises} == {
        (target_logit(2.0), 0.5, "security")
    }
    assert {item.gate.threshold for item in raises if item.gate} == {
        pack.gate.threshold if pack.gate else None
    }


async def test_the_program_is_the_one_that_the_methods_make(
    steering: Steering, client: EngineClient, pack: Pack
) -> None:
    desk = Desk(dials=(dial(),), anchors=AnchorDial(text="+ good - year", strength=3.0))
    lines = [Line(source=pack, level=2.0), Line(source=parse_anchors("+ good - year"), level=3.0)]
    made = await compose(lines, Plugins.built_in(), MethodContext(client))
    assert (await steering.program(desk)).fingerprint == made.program.fingerprint


@pytest.mark.parametrize(("gate", "threshold"), [(0.0, None), (0.9, 0.9)])
async def test_the_gate_slider_moves_the_gate_and_at_zero_there_is_none(
    steering: Steering, pack: Pack, gate: float, threshold: float | None
) -> None:
    program = await steering.program(Desk(dials=(dial(gate=gate),)))
    assert {item.gate.threshold if item.gate else None for item in program.interventions} == {threshold}


async def test_a_dial_names_its_method_and_its_settings(steering: Steering, pack: Pack) -> None:
    program = await steering.program(Desk(dials=(dial(method="caa", options=("layers=best",)),)))
    (shift,) = program.interventions
    assert isinstance(shift, Shift)


async def test_a_method_that_takes_recipes_needs_no_pack(steering: Steering) -> None:
    program = await steering.program(Desk(dials=(dial(method="ica"),)))
    (preface,) = program.interventions
    assert isinstance(preface, Preface) and preface.text.startswith("You have a high level of security.")


async def test_every_kind_of_dial_is_in_the_program(
    steering: Steering, pack: Pack, tiny_llama_lora: TinyAdapter, tmp_path: Path
) -> None:
    vector = tmp_path / "happy.gguf"
    vector.write_bytes(peers.repeng(peers.directions((1, 2), width=pack.model.width)))
    desk = Desk(
        dials=(dial(),),
        anchors=AnchorDial(text="+ good"),
        adapters=(FileDial(name="polite", path=str(tiny_llama_lora.gguf), scale=0.5),),
        vectors=(FileDial(name="happy", path=str(vector), scale=2.0),),
        preface=PrefaceDial(text="You are a cook.", place="user"),
    )
    program = await steering.program(desk)
    kinds = list(dict.fromkeys(type(item) for item in program.interventions))
    assert kinds == [Raise, Tune, Adapter, Shift, Preface]
    (adapter,) = program.adapters()
    assert (adapter.scale, adapter.label) == (0.5, "polite")
    assert {item.scale for item in program.interventions if isinstance(item, Shift)} == {2.0}
    assert from_toml(to_toml(Preset(name="all", desk=desk)).encode()).desk == desk
    silenced = await steering.program(msgspec.structs.replace(desk, silenced=True))
    assert not silenced.interventions and [watch.name for watch in silenced.watches] == ["security"]


@pytest.mark.parametrize("changes", [{"on": False}, {"level": 0.0}, {"strength": 0.0}])
async def test_what_does_nothing_needs_nothing(steering: Steering, changes: dict[str, Any]) -> None:
    assert await steering.program(Desk(dials=(dial(value="unheard-of", **changes),))) == EMPTY


async def test_a_value_without_a_pack_says_how_to_get_one(steering: Steering, tiny_llama: TinyModel) -> None:
    with pytest.raises(TrimtabError) as caught:
        await steering.program(Desk(dials=(dial(),)))
    assert caught.value.what == "There is no pack for security and Tiny random model yet."
    assert caught.value.hint == f"Build it: trimtab build security --model {tiny_llama.gguf}"


async def test_a_name_that_is_nobodys_is_told_with_the_nearest(steering: Steering) -> None:
    with pytest.raises(TrimtabError, match=r"Nothing is called securty.*Did you mean security\?"):
        await steering.program(Desk(dials=(dial(value="securty"),)))


async def test_a_pack_that_was_built_anew_is_read_anew(
    steering: Steering, pack: Pack, library: Library
) -> None:
    before = await steering.program(Desk(dials=(dial(),)))
    library.add(msgspec.structs.replace(pack, good=pack.good[-1:]), replace=True)
    after = await steering.program(Desk(dials=(dial(),)))
    assert len(after.interventions) == 1 < len(before.interventions)


async def test_a_file_that_was_changed_is_not_what_was_chosen(
    steering: Steering, pack: Pack, tmp_path: Path
) -> None:
    vector = tmp_path / "happy.gguf"
    vector.write_bytes(peers.repeng(peers.directions((1,), width=pack.model.width)))
    desk = Desk(vectors=(FileDial(name="happy", path=str(vector), digest="0" * 64),))
    with pytest.raises(TrimtabError, match="was changed since it was chosen"):
        await steering.program(desk)


async def test_a_shared_presets_file_has_to_be_chosen_again(steering: Steering) -> None:
    with pytest.raises(TrimtabError, match=r"Nobody knows where the adapter polite lies\."):
        await steering.program(Desk(adapters=(FileDial(name="polite"),)))


async def test_a_session_speaks_under_it_and_a_follow_up_keeps_its_topic(
    steering: Steering, client: EngineClient, shelf: AsyncStore, library: Library, pack: Pack
) -> None:
    assert pack.gate is not None
    doubtful = msgspec.structs.replace(pack.gate, weight=Array(pack.gate.weight.values * 0.01), bias=0.0)
    library.add(msgspec.structs.replace(pack, gate=doubtful), replace=True)
    setup = Setup(sampling=Sampling(temperature=0, max_tokens=3), desk=Desk(dials=(dial(),)))
    session = Session(shelf, client, steering.program, setup)
    scores = []
    for text in ("Should the sailors keep the old lock?", "Why?", "Where was the sea calm?"):
        message = await (await session.send(text)).finished()
        assert message.making is not None and message.making.receipt is not None
        (gate,) = message.making.receipt.gates
        scores.append(gate.score)
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    assert abs(scores[2] - scores[0]) > 1e-3
