"""A worker that fails, dies or talks nonsense is one typed error, and a restart is one call."""

from __future__ import annotations

import asyncio
import shlex
import sys
from pathlib import Path

import pytest

from tests.engine.worker.workers import SCRIPTED, WORKER, Start, is_alive, said, shift
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import (
    LoadRequest,
)
from trimtab.errors import EngineError, ModelError, ProtocolError, WorkerDied

pytestmark = pytest.mark.asyncio


async def test_an_error_of_loading_keeps_its_type_and_hint(start: Start) -> None:
    async with start() as engine:
        with pytest.raises(ModelError) as caught:
            await engine.load(LoadRequest(path="missing"))
    assert caught.value.hint == "Check the path."


async def test_a_bug_in_an_engine_is_one_line_and_its_traceback_is_in_the_log(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        with pytest.raises(EngineError) as caught:
            await said(engine, "bug")
        assert engine.log is not None
        log = engine.log.read_text()
        assert await said(engine, "on") == ["on"]
    assert len(str(caught.value).splitlines()) == 1
    assert "Traceback" in log


async def test_without_a_model_a_question_says_to_load_one(start: Start) -> None:
    async with start() as engine:
        with pytest.raises(EngineError, match="Load one first"):
            await said(engine, "hello")


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("signal=SIGSEGV", "crashed (SIGSEGV)"),
        ("abort", "crashed (SIGABRT)"),
        ("signal=SIGKILL", "was killed (SIGKILL)"),
        ("memory", "ran out of memory"),
        ("exit=9", "exit status 9"),
    ],
)
async def test_a_dead_worker_is_one_error_that_says_how(start: Start, word: str, what: str) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        with pytest.raises(WorkerDied) as caught:
            await said(engine, word)
        assert not engine.alive
    assert what in caught.value.what
    assert caught.value.hint


async def test_every_waiting_call_learns_of_a_death(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        dying, waiting = said(engine, "sleep=0.3 abort"), said(engine, "one")
        found = await asyncio.gather(dying, waiting, engine.tokenize("a"), return_exceptions=True)
        with pytest.raises(WorkerDied):
            await engine.ping()
    assert [type(error) for error in found] == [WorkerDied] * 3


async def test_what_native_code_said_last_is_in_the_error_without_control_codes(start: Start) -> None:
    async with start() as engine:
        await engine.load(LoadRequest(path="loud"))
        with pytest.raises(WorkerDied) as caught:
            await said(engine, "abort")
    assert "native assertion failed" in caught.value.log
    assert "written to 2: " in caught.value.log
    assert "\x1b" not in caught.value.log


async def test_what_native_code_prints_never_reaches_the_protocol(start: Start) -> None:
    async with start() as engine:
        await engine.load(LoadRequest(path="loud"))
        assert engine.log is not None
        assert "written to 1" in engine.log.read_text()


async def test_a_restart_is_one_call_and_can_reload(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        before = await said(engine, "pid")
        with pytest.raises(WorkerDied):
            await said(engine, "abort")
        info = await engine.restart(reload=True)
        assert info is not None and info.path == "scripted"
        assert await said(engine, "sum", shift(0.5)) == ["4"]
        assert await said(engine, "pid") != before


async def test_a_restart_alone_loads_nothing(start: Start) -> None:
    async with start() as engine:
        await engine.load(SCRIPTED)
        assert await engine.restart() is None
        with pytest.raises(EngineError, match="Load one first"):
            await said(engine, "hello")
        assert (await engine.reload()).path == "scripted"


NOISE = "echo 'Welcome to the box'; head -c 30000 /dev/urandom; exec "


async def test_a_worker_runs_over_any_command_line_that_makes_noise(start: Start) -> None:
    async with start(["sh", "-c", NOISE + shlex.join(WORKER)]) as engine:
        await engine.load(SCRIPTED)
        assert await said(engine, "from afar") == ["from", "afar"]


async def test_a_crash_far_away_brings_its_log_here_and_leaves_it_there(start: Start, tmp_path: Path) -> None:
    async with start(["sh", "-c", shlex.join(WORKER)]) as engine:
        await engine.load(LoadRequest(path="loud"))
        with pytest.raises(WorkerDied) as caught:
            await said(engine, "abort")
    assert "native assertion failed" in caught.value.log
    assert "SIGABRT" in caught.value.what
    (log,) = (tmp_path / "logs").iterdir()
    assert "native assertion failed" in log.read_text()


async def test_a_command_that_does_not_exist_is_named(start: Start) -> None:
    with pytest.raises(WorkerDied, match="no-such-command"):
        await start(["no-such-command"]).open()


async def test_a_command_that_ends_at_once_shows_what_it_said(start: Start) -> None:
    with pytest.raises(WorkerDied) as caught:
        await start(["sh", "-c", "echo permission denied >&2; exit 255"]).open()
    assert "could not be reached" in caught.value.what
    assert caught.value.log == "permission denied"


async def test_a_command_that_says_nothing_is_given_up(start: Start) -> None:
    with pytest.raises(ProtocolError, match="did not answer"):
        await start(["sleep", "60"], start_timeout=0.2).open()


async def test_a_command_that_only_makes_noise_is_given_up(start: Start) -> None:
    with pytest.raises(ProtocolError, match="none of Trimtab's protocol"):
        await start(["sh", "-c", "cat /dev/zero"]).open()


async def test_an_engine_that_cannot_be_imported_is_named(start: Start) -> None:
    async with EngineClient.start(engine="no.such.module:make") as engine:
        with pytest.raises(EngineError, match=r"no\.such\.module"):
            await engine.load(SCRIPTED)


BROKEN_PEER = """
import sys, time
from trimtab.engine import protocol
out = sys.stdout.buffer
out.write(protocol.opening()); out.flush()
sys.stdin.buffer.readline(); sys.stdin.buffer.read(4)
{}
out.flush()
time.sleep({})
"""


@pytest.mark.parametrize(
    ("answer", "stays"),
    [
        ("out.write(bytes(range(1, 256)) * 100)", 60),
        ("out.write(b'\\xff\\xff\\xff\\xff')", 60),
        ("out.write(b'\\x20\\x00\\x00\\x00abc')", 0),
        ("out.write(b'\\x05\\x00\\x00\\x00\\x00abcd')", 60),
        ("out.write(protocol.message_frame(protocol.Accepted(77)))", 60),
        ("out.write(protocol.message_frame(protocol.Arrays(1, ((2**40, 2**40),))))", 60),
        ("out.write(protocol.message_frame(protocol.result(1, 'no list')))", 60),
        ("out.write(b''.join(protocol.data_frames(1, b'unasked')))", 60),
    ],
    ids=["garbage", "4 GB", "truncated", "unknown", "wrong id", "huge", "wrong type", "unasked"],
)
async def test_a_broken_peer_is_one_error_and_no_hang(start: Start, answer: str, stays: int) -> None:
    async with start([sys.executable, "-c", BROKEN_PEER.format(answer, stays)]) as engine:
        with pytest.raises(ProtocolError):
            await asyncio.wait_for(engine.tokenize("a"), 5)
        pid = engine.pid
    assert pid is not None and not is_alive(pid)
