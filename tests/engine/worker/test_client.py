"""The client: what is asked reaches the engine in its own process, and what goes wrong comes back typed."""

from __future__ import annotations

import asyncio
import gc
import shlex
import weakref
from pathlib import Path

import numpy as np
import pytest

from tests.engine.worker.scripted import WIDTH
from tests.engine.worker.workers import SCRIPTED, WORKER, Start, ask, collect, said, shift
from trimtab.engine.contract import (
    ActivationRequest,
    Done,
    Passage,
    Prefill,
    ScoreRequest,
    Steered,
    Token,
)
from trimtab.engine.program import Adapter, Array, Probe, Program, Raise
from trimtab.errors import EngineError, ProgramError, WorkerDied

pytestmark = pytest.mark.asyncio


async def test_a_reply_comes_event_by_event(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        events = [event async for event in engine.generate(ask("prefill=2 one two"))]
    assert [type(event) for event in events] == [Prefill, Prefill, Token, Token, Done]


async def test_loading_tells_its_progress_and_what_was_loaded(start: Start) -> None:
    told: list[float] = []
    async with start() as engine:
        info = await engine.load(SCRIPTED, told.append)
        assert info == await engine.describe() == engine.info
    assert info.width == WIDTH
    assert told[-1] == 1.0


async def test_tokens_and_their_bytes(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        tokens = await engine.tokenize("hé", bos=True)
        assert await engine.pieces(tokens[1:]) == [bytes([byte]) for byte in "hé".encode()]


async def test_large_arrays_arrive_whole(start: Start) -> None:
    request = ActivationRequest(passages=(Passage(text="a", answer="4096"),) * 300, layers=(0, 1))
    told: list[float] = []
    async with start() as engine:
        await engine.load(SCRIPTED)
        found = await engine.activations(request, told.append)
    assert found.shape == (300, 2, 4096)
    assert np.array_equal(found.ravel(), np.arange(300 * 2 * 4096, dtype=np.float32))
    assert told


async def test_scores_keep_their_lengths(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        found = await engine.score(ScoreRequest(pairs=(("a", "bc"), ("a", ""), ("", "d")), program=shift(2)))
        nothing = await engine.score(ScoreRequest(pairs=()))
    assert [list(row) for row in found] == [[16, 16], [], [16]]
    assert nothing == []


async def test_rows_of_the_unembedding(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        assert (await engine.unembed([3, 4])).tolist() == [[3.0] * WIDTH, [4.0] * WIDTH]


async def test_a_program_arrives_with_its_vectors(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        events = [event async for event in engine.generate(ask("sum", shift(0.5)))]
    assert isinstance(events[0], Token) and events[0].text == "4"
    assert isinstance(events[-1], Done) and events[-1].receipt.fingerprint == shift(0.5).fingerprint


async def test_a_worker_that_lost_vectors_gets_them_again(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        assert engine._connection is not None
        engine._connection.held_arrays.update(shift(0.5).arrays())
        events = [event async for event in engine.generate(ask("sum", shift(0.5)))]
    assert isinstance(events[0], Token) and events[0].text == "4"


async def test_steering_acts_on_the_reply_in_progress(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        steered = None
        async for event in engine.generate(ask("forever")):
            if isinstance(event, Token) and event.id == 5:
                assert await engine.steer(shift(1))
            if isinstance(event, Steered):
                steered = event
                break
    assert steered is not None and steered.fingerprint == shift(1).fingerprint


async def test_steering_before_the_first_token_acts_on_the_second(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        reading = asyncio.create_task(collect(engine.generate(ask("sleep=0.5 count=3"))))
        await asyncio.sleep(0.05)
        assert await engine.steer(shift(1))
        events = await reading
    assert [type(event) for event in events] == [Token, Steered, Token, Token, Done]


async def test_steering_when_nothing_runs_says_so(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        await said(engine, "one")
        assert await engine.steer(shift(1)) is False


async def test_a_program_that_does_not_fit_is_refused_while_the_reply_goes_on(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        after = 0
        async for event in engine.generate(ask("forever")):
            if isinstance(event, Token) and event.id == 1:
                with pytest.raises(ProgramError):
                    await engine.steer(shift(1, width=5))
            after += 1
            if after == 50:
                break


async def test_a_moved_slider_sends_one_small_frame(start: Start, tmp_path: Path) -> None:
    """Ten values at thirty layers of width 4,096 are 4.9 MB of vectors, sent once."""
    rng = np.random.default_rng(0)
    probes = [[Probe(weight=Array(rng.normal(size=4096))) for _ in range(10)] for _ in range(30)]

    def desk(strength: float) -> Program:
        return Program(
            interventions=tuple(
                Raise(layer=layer, probes=tuple(row), targets=(2.2,) * 10, strengths=(strength,) * 10)
                for layer, row in enumerate(probes)
            )
        )

    sent = tmp_path / "sent"
    command = ["sh", "-c", f"tee {shlex.quote(str(sent))} | {shlex.join(WORKER)}"]
    async with start(command) as engine:
        await engine.load(SCRIPTED)
        sizes = []
        async for event in engine.generate(ask("forever", desk(0.5))):
            if isinstance(event, Token) and event.id in (1, 2):
                sizes.append(sent.stat().st_size)
                with pytest.raises(ProgramError):  # the scripted model is narrower
                    await engine.steer(desk(0.6 + event.id))
            if isinstance(event, Token) and event.id == 3:
                sizes.append(sent.stat().st_size)
                break
    assert sizes[0] > 30 * 10 * 4096 * 4
    assert max(np.diff(sizes)) < 65_536


async def test_an_adapter_travels_by_content(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "polite.gguf"
    path.write_text("content")
    adapter = Adapter.load(path)
    async with start() as engine:
        await engine.load(SCRIPTED)
        words = [
            event.text
            async for event in engine.generate(ask("files", Program(interventions=(adapter,))))
            if isinstance(event, Token)
        ]
    assert words == [f"{adapter.digest}:content"]


async def test_a_changed_adapter_is_refused(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "polite.gguf"
    path.write_text("content")
    program = Program(interventions=(Adapter.load(path),))
    path.write_text("other")
    async with start() as engine:
        await engine.load(SCRIPTED)
        with pytest.raises(ProgramError, match="changed"):
            await collect(engine.generate(ask("files", program)))
        assert await said(engine, "fine") == ["fine"]


async def test_a_vanished_adapter_is_named(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "polite.gguf"
    path.write_text("content")
    program = Program(interventions=(Adapter.load(path),))
    path.unlink()
    async with start() as engine:
        await engine.load(SCRIPTED)
        with pytest.raises(ProgramError, match=r"polite\.gguf"):
            await collect(engine.generate(ask("files", program)))


async def test_a_reply_that_nobody_begins_to_read_is_not_kept(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        replies = [weakref.ref(engine.generate(ask("one"))._reply) for _ in range(3)]
        gc.collect()
        assert [reply() for reply in replies] == [None] * 3


async def test_a_reply_may_be_read_after_another_one(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        first = engine.generate(ask("first"))
        await said(engine, "second")
        assert len(await collect(first)) == 2


async def test_an_open_client_is_not_opened_again(start: Start) -> None:
    async with start() as engine:
        pid = engine.pid
        with pytest.raises(EngineError, match="runs already"):
            await engine.open()
        assert engine.pid == pid


async def test_of_two_that_open_a_client_at_once_one_starts_a_worker(start: Start, tmp_path: Path) -> None:
    engine = start()
    found = await asyncio.gather(engine.open(), engine.open(), return_exceptions=True)
    await engine.close()
    assert sorted(map(type, found), key=str) == [type(None), EngineError]
    assert len(list((tmp_path / "logs").iterdir())) == 1


async def test_a_client_whose_worker_died_can_be_opened(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        with pytest.raises(WorkerDied):
            await said(engine, "abort")
        await engine.open()
        await engine.ping()
