"""The store from asynchronous code: one worker thread that opens it, uses it, and closes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from trimtab.chat.store import Store

P = ParamSpec("P")
T = TypeVar("T")


class AsyncStore:
    """`await store(Store.tree, 7)`: methods of the store, one after the other, off the event loop.

    What was begun is finished even if the caller is cancelled meanwhile.
    """

    def __init__(self, worker: ThreadPoolExecutor, store: Store) -> None:
        self._worker = worker
        self._store: Store | None = store
        self.notices = store.notices
        self.path = store.path

    @classmethod
    async def open(cls, path: Path | None = None) -> Self:
        return await cls.made_by(lambda: Store.open(path))

    @classmethod
    async def made_by(cls, make: Callable[[], Store]) -> Self:
        """The store that `make` opens, in its own thread."""
        worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trimtab-store")
        try:
            return cls(worker, await asyncio.get_running_loop().run_in_executor(worker, make))
        except BaseException:
            worker.shutdown(wait=False)
            raise

    async def __call__(
        self, method: Callable[Concatenate[Store, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self.run(lambda store: method(store, *args, **kwargs))

    async def run(self, work: Callable[[Store], T]) -> T:
        """Several steps in one go, with nothing of this process between them."""
        store = self._store
        if store is None:
            raise RuntimeError("The store is closed.")
        return await asyncio.get_running_loop().run_in_executor(self._worker, work, store)

    async def close(self) -> None:
        store, self._store = self._store, None
        if store is None:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(self._worker, store.close)
        finally:
            self._worker.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
