"""Killed in the middle of a reply: what was finished is whole, and less than a second of the rest is missing."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chat.stores import SETUP
from tests.engine.worker.workers import ROOT, comes_true, environment
from trimtab.chat.store import Store

SLACK = 1.0
"""Seconds that a busy machine may add to the second that is promised."""


@contextlib.contextmanager
def speaker(path: Path) -> Iterator[tuple[subprocess.Popen[str], list[tuple[int, float]]]]:
    """The process, once it speaks, and what it has told so far when it is over."""
    told: list[tuple[int, float]] = []
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chat.speaker", str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(path.parent / "logs"),
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline(), "it never spoke"
        yield process, told
    finally:
        process.kill()
        for line in process.stdout:
            with contextlib.suppress(ValueError):  # the last line may be half a line
                length, when = line.split()
                told.append((int(length), float(when)))
        process.stdout.close()
        process.wait()


def streaming(path: Path) -> str | None:
    """The text of the reply in progress, as any other program reads it."""
    behind = sqlite3.connect(path)
    row = behind.execute("SELECT text FROM message WHERE state = 'streaming'").fetchone()
    behind.close()
    return row[0] if row else None


@pytest.mark.parametrize("after", [0.3, 1.1, 2.05])
def test_a_kill_loses_at_most_a_second(path: Path, after: float) -> None:
    with speaker(path) as (process, told):
        time.sleep(after)
        killed = time.monotonic()
        process.kill()
    store = Store.open(path)
    first, answer, second, reply = store.tree(1).path()
    assert (first.text, answer.text, second.text) == ("count=3 finished", "xxxfinished", "forever")
    assert (answer.state, reply.state) == ("done", "stopped")
    assert set(reply.text) <= {"x"}
    older = [length for length, when in told if when < killed - 1.0 - SLACK]
    assert len(reply.text) >= max(older, default=0)
    assert "1 unfinished reply" in store.notices[0]
    assert [hit.message for hit in store.search("xxxfin")] == [answer.id]
    assert [each.stem for each in path.with_name("chats.db.running").iterdir()] == [store._owner.token]
    store.close()


def test_what_another_running_trimtab_speaks_is_left_to_it(path: Path) -> None:
    with speaker(path):
        other = Store.open(path)
        assert other.notices == () and other.recover() == 0
        before = other.tree(1).path()[-1]
        assert before.state == "streaming"
        assert comes_true(lambda: len(other.message(before.id).text) > len(before.text), 10)
        other.begin(SETUP, "written beside it")
        at = len(streaming(path) or "")
        assert comes_true(lambda: len(streaming(path) or "") > at, 10), "and it goes on"
    assert other.message(before.id).state == "streaming"
    assert other.recover() == 1
    assert other.message(before.id).state == "stopped"
    assert len(other.tree(1).path()[-1].text) > len(before.text)
    other.close()


@pytest.mark.slow
def test_many_kills_leave_a_sound_database(path: Path) -> None:
    for number in range(6):
        with speaker(path) as (process, _):
            time.sleep(0.13 * number)
            process.kill()
        behind = sqlite3.connect(path)
        assert behind.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert behind.execute("PRAGMA foreign_key_check").fetchall() == []
        behind.close()
    store = Store.open(path)
    assert len(store.conversations()) == 6
    assert {each.state for number in range(1, 7) for each in store.tree(number).path()} == {"done", "stopped"}
    store.close()
