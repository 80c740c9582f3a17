"""Ctrl-C while something is being done: the first ends it with what there is, the second at once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

STATUS = 130
"""What a process ends with that was interrupted."""


@contextlib.contextmanager
def interruptible(stop: Callable[[], object]) -> Iterator[None]:
    """Calls `stop` at the first Ctrl-C, and cancels the task at the next. Where signals cannot be had, cancels."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    asked = False

    def interrupted() -> None:
        nonlocal asked
        if asked:
            task.cancel()
        else:
            asked = True
            stop()

    try:
        loop.add_signal_handler(signal.SIGINT, interrupted)
    except (NotImplementedError, RuntimeError):  # Windows, or not the main thread
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
