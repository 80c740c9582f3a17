"""What the worker has to say, written by a thread of its own so that nobody waits for a slow reader."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable

_Item = tuple[bytes, threading.Event | None]


class Outbox:
    """Writes frames in the order they come; what has gathered meanwhile goes out in one piece."""

    def __init__(self, fd: int, on_broken: Callable[[], None]) -> None:
        self._fd = fd
        self._on_broken = on_broken
        self._queue: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._broken = False
        threading.Thread(target=self._write, name="outbox", daemon=True).start()

    def put(self, frame: bytes) -> None:
        """Takes the frame and returns at once."""
        self._queue.put((frame, None))

    def send(self, frame: bytes) -> None:
        """Returns when the frame is written, so that large answers do not pile up."""
        written = threading.Event()
        self._queue.put((frame, written))
        written.wait()

    def flush(self, timeout: float) -> None:
        """Waits until all that was put is written."""
        written = threading.Event()
        self._queue.put((b"", written))
        written.wait(timeout)

    def _write(self) -> None:
        while True:
            items = [self._queue.get()]
            while not self._queue.empty():
                items.append(self._queue.get())
            if not self._broken:
                self._write_all(items[0][0] if len(items) == 1 else b"".join(frame for frame, _ in items))
            for _, written in items:
                if written is not None:
                    written.set()

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            self._broken = True
            self._on_broken()
