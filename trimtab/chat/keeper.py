"""Writes a reply to the store while it is spoken, less than a second behind."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from trimtab.chat.errors import StoreError

EVERY = 0.8
"""Seconds between two writes: with the time that writing takes, what a kill loses stays under a second."""


class Keeper:
    """Calls `save` soon after `touch`, however often that is called."""

    def __init__(self, save: Callable[[], Awaitable[None]], on_error: Callable[[StoreError], None]) -> None:
        self._save = save
        self._on_error = on_error
        self._touched = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def touch(self) -> None:
        self._touched.set()

    async def stop(self) -> None:
        """No more writes begin."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            await self._touched.wait()
            self._touched.clear()
            begun = time.monotonic()
            try:
                await self._save()
            except StoreError as error:
                self._touched.set()  # what could not be written is still to be
                self._on_error(error)
            await asyncio.sleep(begun + EVERY - time.monotonic())
