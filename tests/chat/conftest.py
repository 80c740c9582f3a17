"""What the tests of the chat share: a store in a real file, with a clock that can be set."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.chat.stores import Clock
from tests.engine.worker.workers import ENGINE, SCRIPTED, environment
from trimtab.chat.async_store import AsyncStore
from trimtab.chat.store import Store
from trimtab.engine.client import EngineClient


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chats.db"


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store.open(path, clock=clock)
    yield opened
    opened.close()


@pytest_asyncio.fixture
async def shelf(path: Path) -> AsyncIterator[AsyncStore]:
    async with await AsyncStore.open(path) as opened:
        yield opened


@pytest.fixture
def worker_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(tmp_path / "logs").items():
        monkeypatch.setenv(name, value)


@pytest_asyncio.fixture
async def engine(worker_environment: None) -> AsyncIterator[EngineClient]:
    """A worker whose engine does what it is told to say."""
    async with EngineClient.start(engine=ENGINE) as client:
        await client.load(SCRIPTED)
        yield client
