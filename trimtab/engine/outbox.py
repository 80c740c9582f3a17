"""What the worker has to say, in frames that never mix, whoever says it."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable


class Outbox:
    """Frames written in order: by the engine's thread at once, for the reader's thread by one of its own."""

    def __init__(self, fd: int, on_broken: Callable[[], None]) -> None:
        self._fd = fd
        self._on_broken = on_broken
        self._queue: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._gathered = threading.Semaphore(0)
        self._writing = threading.Lock()
        self._broken = False
        threading.Thread(target=self._write_gathered, name="outbox", daemon=True).start()

    def put(self, frame: bytes) -> None:
        """Takes the frame and returns at once, for who must not wait."""
        self._queue.put(frame)
        self._gathered.release()

    def send(self, frame: bytes = b"") -> None:
        """Returns when this frame and all before it are written, however slowly they are read."""
        with self._writing:
            waiting = self._take()
            self._write(b"".join((*waiting, frame)) if waiting else frame)

    def _write_gathered(self) -> None:
        while True:
            self._gathered.acquire()
            self.send()

    def _take(self) -> list[bytes]:
        frames = []
        while not self._queue.empty():
            frames.append(self._queue.get())
        return frames

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view and not self._broken:
                view = view[os.write(self._fd, view) :]
        except OSError:
            self._broken = True
            self._on_broken()
