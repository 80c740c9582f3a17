"""Stop really stops: leaving, cancelling, closing; and no worker is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from tests.engine.worker.workers import SCRIPTED, WORKER, Start, ask, collect, is_alive, said
from trimtab.engine.contract import (
    ActivationRequest,
    Done,
    LoadRequest,
    Passage,
    Token,
)
from trimtab.engine.program import Adapter, Program
from trimtab.errors import Cancelled, EngineError, WorkerDied

pytestmark = pytest.mark.asyncio


async def test_leaving_the_loop_stops_the_reply(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        async for event in engine.generate(ask("forever")):
            if isinstance(event, Token):
                break
        assert await asyncio.wait_for(said(engine, "next"), 2) == ["next"]
        assert engine.alive


async def test_cancelling_the_task_stops_the_reply(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        task = asyncio.create_task(said(engine, "forever"))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.wait_for(said(engine, "next"), 2) == ["next"]


@pytest.mark.parametrize("word", ["forever", "prefill=1000", "sleep=60"])
async def test_a_stopped_reply_keeps_what_was_said_and_its_receipt(start: Start, word: str) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        reading = asyncio.create_task(collect(engine.generate(ask(f"said {word}"))))
        await asyncio.sleep(0.15)
        began = time.monotonic()
        await engine.cancel()
        assert time.monotonic() - began < 3
        events = await reading
    assert isinstance(events[0], Token) and events[0].text == "said"
    assert isinstance(events[-1], Done) and events[-1].reason == "cancelled"


async def test_a_reply_stopped_before_its_turn_says_cancelled(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        first = asyncio.create_task(said(engine, "sleep=60 first"))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(said(engine, "second"))
        await asyncio.sleep(0.05)
        second.cancel()
        third = engine.generate(ask("third"))
        reading = asyncio.create_task(collect(third))
        await asyncio.sleep(0.05)
        await engine.cancel()
        await first
        with pytest.raises(Cancelled):
            await reading


async def test_loading_can_be_stopped(start: Start) -> None:
    async with start() as engine:
        loading = asyncio.create_task(engine.load(LoadRequest(path="slow")))
        await asyncio.sleep(0.1)
        await engine.cancel()
        with pytest.raises(Cancelled):
            await loading
        assert (await engine.load(SCRIPTED)).name == "scripted"


async def test_reading_activations_can_be_stopped(start: Start) -> None:
    request = ActivationRequest(passages=(Passage(text="slow"),) * 1000, layers=(0,))
    async with start() as engine:
        await engine.load(SCRIPTED)
        task = asyncio.create_task(engine.activations(request))
        await asyncio.sleep(0.1)
        await engine.cancel()
        with pytest.raises(Cancelled):
            await task


async def test_an_engine_that_does_not_stop_is_ended(start: Start) -> None:
    async with start(stop_grace=0.3) as engine:
        await engine.load(SCRIPTED)
        reading = asyncio.create_task(said(engine, "deaf=60"))
        await asyncio.sleep(0.1)
        pid = engine.pid
        await asyncio.wait_for(engine.cancel(), 3)
        with pytest.raises(WorkerDied, match="did not stop"):
            await reading
    assert pid is not None and not is_alive(pid)


async def test_a_busy_worker_still_hears(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        reading = asyncio.create_task(said(engine, "sleep=60"))
        await asyncio.sleep(0.1)
        await asyncio.wait_for(engine.ping(), 3)
        await engine.cancel()
        await reading


async def test_closing_ends_the_worker_and_its_files(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        pid = engine.pid
    assert pid is not None and not is_alive(pid)
    with pytest.raises(EngineError, match="not running"):
        await engine.ping()


async def test_closing_does_not_wait_for_a_deaf_engine(start: Start) -> None:
    engine = start()
    await engine.open()
    await engine.load(SCRIPTED)
    reading = asyncio.create_task(said(engine, "deaf=60"))
    await asyncio.sleep(0.1)
    pid = engine.pid
    await asyncio.wait_for(engine.close(), 5)
    with pytest.raises(EngineError, match="closed"):
        await reading
    assert pid is not None and not is_alive(pid)


async def test_the_worker_has_a_process_group_of_its_own(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        assert engine.pid is not None
        assert os.getpgid(engine.pid) != os.getpgid(0)
        os.kill(engine.pid, signal.SIGINT)
        assert await said(engine, "here") == ["here"]


@pytest.mark.parametrize("end", ["close", "kill"])
async def test_no_adapter_is_left_behind(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    path = tmp_path / "polite.gguf"
    path.write_text("content")
    async with start() as engine:
        await engine.load(SCRIPTED)
        await said(engine, "files", Program(interventions=(Adapter.load(path),)))
        assert [held for held in place.rglob("*") if held.is_file()]
        if end == "kill":
            assert engine.pid is not None
            os.kill(engine.pid, signal.SIGKILL)
            with pytest.raises(WorkerDied):
                await said(engine, "forever")
    assert not list(place.rglob("*"))


async def test_a_folder_given_for_files_keeps_what_was_in_it(start: Start, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "mine").write_text("mine")
    path = tmp_path / "polite.gguf"
    path.write_text("content")
    async with start([*WORKER, "--files", str(tmp_path / "files")]) as engine:
        await engine.load(SCRIPTED)
        await said(engine, "files", Program(interventions=(Adapter.load(path),)))
        assert len(list((tmp_path / "files").iterdir())) == 2
    assert [left.name for left in (tmp_path / "files").iterdir()] == ["mine"]
