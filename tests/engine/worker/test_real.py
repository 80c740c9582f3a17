"""Real models in the worker: the same text as in this process, steered while they speak, refused in one line."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.worker.workers import collect, environment
from tests.tiny import TinyAdapter, TinyModel
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import (
    ActivationRequest,
    Done,
    Event,
    GenerateRequest,
    LoadRequest,
    Passage,
    Sampling,
    ScoreRequest,
    Steered,
    Token,
)
from trimtab.engine.loading import load_engine
from trimtab.engine.program import EMPTY, Adapter, Array, Program, Shift
from trimtab.errors import ModelError

KINDS = ("llama", "torch")


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(tmp_path / "logs").items():
        monkeypatch.setenv(name, value)


def request(model: TinyModel, kind: str, **options: Any) -> LoadRequest:
    path = model.gguf if kind == "llama" else model.safetensors
    return LoadRequest(path=str(path), threads=1, context=256, **options)


def push(width: int) -> Program:
    vector = np.random.default_rng(5).normal(size=width)
    return Program(interventions=(Shift(layer=1, vector=Array(vector), scale=2.0),))


def ask(program: Program = EMPTY, length: int = 16) -> GenerateRequest:
    sampling = Sampling(temperature=0.0, max_tokens=length)
    return GenerateRequest(text="plain words, and", program=program, sampling=sampling)


def tokens(events: list[Event]) -> list[int]:
    return [event.id for event in events if isinstance(event, Token)]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_worker_speaks_as_the_engine_does_in_this_process(tiny_llama: TinyModel, kind: str) -> None:
    load = request(tiny_llama, kind, exact=True)
    here = load_engine(load, lambda fraction: True)
    program = push(here.info.width)
    passages = ActivationRequest(passages=(Passage(text="some words"),), layers=(0, 1))
    pairs = ScoreRequest(pairs=(("plain words,", " and some more"),), program=program)
    try:
        async with EngineClient.start() as engine:
            assert await engine.load(load) == here.info
            for steering in (EMPTY, program):
                there = await collect(engine.generate(ask(steering)))
                assert tokens(there) == tokens(list(here.generate(ask(steering))))
            assert await engine.tokenize("plain words") == here.tokenize("plain words")
            np.testing.assert_array_equal(
                await engine.activations(passages), here.activations(passages, lambda fraction: True)
            )
            (scores,) = await engine.score(pairs)
            np.testing.assert_allclose(scores, here.score(pairs, lambda fraction: True)[0], atol=1e-6)
            np.testing.assert_array_equal(await engine.unembed([5, 6]), here.unembed([5, 6]))
    finally:
        here.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_an_adapter_works_from_where_the_worker_keeps_it(
    tiny_llama: TinyModel, tiny_llama_lora: TinyAdapter, kind: str
) -> None:
    adapter = Adapter.load(tiny_llama_lora.gguf if kind == "llama" else tiny_llama_lora.peft, scale=2.0)
    program = Program(interventions=(adapter,))
    load = request(tiny_llama, kind, exact=True)
    here = load_engine(load, lambda fraction: True)
    try:
        expected = tokens(list(here.generate(ask(program))))
        assert expected != tokens(list(here.generate(ask())))
    finally:
        here.close()
    async with EngineClient.start() as engine:
        await engine.load(load)
        assert tokens(await collect(engine.generate(ask(program)))) == expected


@pytest.mark.parametrize("kind", KINDS)
async def test_a_dial_moved_during_a_reply_acts_on_it(tiny_llama: TinyModel, kind: str) -> None:
    async with EngineClient.start() as engine:
        info = await engine.load(request(tiny_llama, kind))
        program = push(info.width)
        events: list[Event] = []
        async for event in engine.generate(ask(length=200)):
            events.append(event)
            if isinstance(event, Token) and len(tokens(events)) == 3:
                assert await engine.steer(program)
    assert any(isinstance(event, Steered) for event in events)
    done = events[-1]
    assert isinstance(done, Done)
    assert [fingerprint for _, fingerprint in done.receipt.steered] == [program.fingerprint]


async def test_a_stopped_reply_leaves_the_engine_ready(tiny_llama: TinyModel) -> None:
    async with EngineClient.start() as engine:
        await engine.load(request(tiny_llama, "llama"))
        plain = tokens(await collect(engine.generate(ask())))
        async for event in engine.generate(ask(length=200)):
            if isinstance(event, Token):
                break
        assert tokens(await asyncio.wait_for(collect(engine.generate(ask())), 10)) == plain


async def test_what_is_no_model_is_one_line_and_the_worker_lives(
    tiny_llama: TinyModel, tmp_path: Path
) -> None:
    whole = tiny_llama.gguf.read_bytes()
    bad = {
        "cut.gguf": whole[: len(whole) // 2],
        "head.gguf": whole[:100],
        "zero.gguf": b"",
        "text.gguf": b"not a model at all, only text",
        "wrong.gguf": b"GGUF" + bytes(200),
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    async with EngineClient.start() as engine:
        for path in [*bad, "missing.gguf", "."]:
            with pytest.raises(ModelError) as caught:
                await engine.load(LoadRequest(path=str(tmp_path / path), threads=1))
            assert len(str(caught.value).splitlines()) == 1
            assert caught.value.hint
        assert (await engine.load(request(tiny_llama, "llama"))).engine == "llama"


async def test_a_context_larger_than_memory_is_refused(tiny_llama: TinyModel) -> None:
    async with EngineClient.start() as engine:
        with pytest.raises(ModelError, match=r"needs .* GB beside the model's weights"):
            await engine.load(LoadRequest(path=str(tiny_llama.gguf), threads=1, context=2**30))
        assert engine.alive


async def test_a_load_that_cannot_be_leaves_the_model_before(tiny_llama: TinyModel, tmp_path: Path) -> None:
    (tmp_path / "head.gguf").write_bytes(tiny_llama.gguf.read_bytes()[:100])
    shutil.copytree(tiny_llama.safetensors, tmp_path / "folder")
    (tmp_path / "folder" / "config.json").write_text("{")
    async with EngineClient.start() as engine:
        info = await engine.load(request(tiny_llama, "llama"))
        plain = tokens(await collect(engine.generate(ask())))
        for path in ("mistyped.gguf", "head.gguf", "folder"):
            with pytest.raises(ModelError):
                await engine.load(LoadRequest(path=str(tmp_path / path)))
            assert engine.info == info
        assert tokens(await collect(engine.generate(ask()))) == plain


async def test_a_load_that_fails_late_leaves_no_model(tiny_llama: TinyModel) -> None:
    async with EngineClient.start() as engine:
        await engine.load(request(tiny_llama, "llama"))
        with pytest.raises(ModelError):
            await engine.load(LoadRequest(path=str(tiny_llama.gguf), threads=1, context=2**30))
        assert engine.info is None
