"""The store from asynchronous code: one thread for all of it, and nothing begun is left undone."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from tests.chat.stores import SETUP
from trimtab.chat.async_store import AsyncStore
from trimtab.chat.errors import NotFound, StoreTooNew
from trimtab.chat.store import Store


async def test_everything_happens_in_one_other_thread(shelf: AsyncStore) -> None:
    threads = await asyncio.gather(*(shelf.run(lambda _: threading.get_ident()) for _ in range(20)))
    assert len(set(threads)) == 1 and threads[0] != threading.get_ident()


async def test_many_at_once_take_turns(shelf: AsyncStore) -> None:
    await asyncio.gather(*(shelf(Store.begin, SETUP, f"number {each}") for each in range(20)))
    assert len(await shelf(Store.conversations, limit=100)) == 20


async def test_errors_come_back_typed(shelf: AsyncStore) -> None:
    with pytest.raises(NotFound):
        await shelf(Store.tree, 9)


async def test_what_was_begun_is_finished_though_nobody_waits(shelf: AsyncStore) -> None:
    blocked = threading.Event()
    holding = asyncio.create_task(shelf.run(lambda _: blocked.wait(10)))
    begun = asyncio.Event()

    def say(store: Store) -> None:
        loop.call_soon_threadsafe(begun.set)
        store.begin(SETUP, "said")

    loop = asyncio.get_running_loop()
    task = asyncio.create_task(shelf.run(say))
    await asyncio.sleep(0.05)
    blocked.set()
    await begun.wait()
    task.cancel()
    await holding
    assert len(await shelf(Store.conversations)) == 1


async def test_a_store_that_cannot_be_opened_leaves_no_thread(path: Path) -> None:
    behind = sqlite3.connect(path)
    behind.execute("CREATE TABLE a (b)")
    behind.execute("PRAGMA application_id = 1953655149")
    behind.execute("PRAGMA user_version = 99")
    behind.commit()
    behind.close()
    with pytest.raises(StoreTooNew):
        await AsyncStore.open(path)
    for _ in range(100):
        if not any(thread.name.startswith("trimtab-store") for thread in threading.enumerate()):
            break
        await asyncio.sleep(0.02)
    assert not any(thread.name.startswith("trimtab-store") for thread in threading.enumerate())


async def test_after_closing_it_is_closed(path: Path) -> None:
    shelf = await AsyncStore.open(path)
    await shelf(Store.begin, SETUP, "one")
    await shelf.close()
    await shelf.close()
    with pytest.raises(RuntimeError, match="closed"):
        await shelf(Store.conversations)
    again = await AsyncStore.open(path)
    assert len(await again(Store.conversations)) == 1
    await again.close()
