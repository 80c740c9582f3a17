"""What goes on in the worker: one thread reads, one writes, and the engine runs in the main one."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

from trimtab.engine import logs, protocol
from trimtab.engine.contract import Engine, LoadRequest, Progress
from trimtab.engine.jobs import Job, Runner
from trimtab.engine.loading import check, load_engine
from trimtab.engine.outbox import Outbox
from trimtab.engine.platforms import OUT_OF_MEMORY
from trimtab.engine.uploads import Incoming, Lacking, Store
from trimtab.errors import EngineError, ProtocolError, TrimtabError

GRACE = 1.0
"""How long a request may take to stop once the client is gone."""
_READ = 2**18
_BROKEN = 3

Loader = Callable[[LoadRequest, Progress], Engine]
_log = logging.getLogger("trimtab.worker")


def serve(incoming: int, outgoing: int, log: int, *, engine: str | None, files: Path | None) -> int:
    """Answers the client until it is gone; the status to end the process with."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    faulthandler.enable(file=log, all_threads=False)
    service = Service(incoming, outgoing, log, files, engine)
    return service.run()


class Service:
    """Receives messages; those that need the engine become jobs for the main thread."""

    def __init__(
        self, incoming: int, outgoing: int, log: int, files: Path | None, engine: str | None
    ) -> None:
        self._incoming = incoming
        self._log = log
        self._engine = engine
        self._store = Store(files)
        self._outbox = Outbox(outgoing, on_broken=self._on_broken)
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._runner = Runner(self._outbox, self._check, self._load)
        self._uploads: dict[int, Incoming] = {}
        self._status = 0
        self._finished = threading.Event()

    def run(self) -> int:
        self._outbox.put(protocol.opening())
        _log.info("worker %d started", os.getpid())
        threading.Thread(target=self._read, name="reader", daemon=True).start()
        try:
            while (job := self._jobs.get()) is not None:
                self._runner.run(job)
                logs.bound(self._log)
            self._outbox.send()
            self._runner.close()
        except MemoryError:
            # What is left of the process cannot be trusted; a fresh one has its memory back.
            self._status = OUT_OF_MEMORY
            with contextlib.suppress(MemoryError):
                _log.error("out of memory", exc_info=True)
        self._store.close()
        self._finished.set()
        return self._status

    def _check(self, request: LoadRequest) -> None:
        if self._engine is None:
            check(request)
        else:
            _loader(self._engine)

    def _load(self, request: LoadRequest, progress: Progress) -> Engine:
        return _loader(self._engine)(request, progress)

    def _read(self) -> None:
        """Reads until the client is gone, then sees to it that the process ends."""
        try:
            self._receive_all()
        except ProtocolError as error:
            self._status = _BROKEN
            _log.error("%s", error)
            self._outbox.put(protocol.message_frame(protocol.failed(0, error)))
        except BaseException:  # noqa: BLE001  # whatever it was, the process must end
            self._status = _BROKEN
            _log.exception("the reader failed")
        self._runner.stop()
        self._jobs.put(None)
        if not self._finished.wait(GRACE):
            # Native code that does not return must not keep a worker alive without its client.
            self._store.close()
            os._exit(self._status)

    def _receive_all(self) -> None:
        opening = protocol.OpeningReader("client", noise=0)
        frames = protocol.FrameReader()
        rest: bytes | None = None
        while data := os.read(self._incoming, _READ):
            if rest is None:
                rest = opening.feed(data)
                if rest is None:
                    continue
                data = rest
            for payload in frames.feed(data):
                message = protocol.to_worker(payload)
                if isinstance(message, protocol.Shutdown):
                    return
                self._receive_safely(message)
        frames.finish()

    def _receive_safely(self, message: protocol.ToWorker | protocol.Data) -> None:
        """What is wrong with one request is its answer; only what is wrong with the protocol is raised."""
        try:
            self._receive(message)
        except (ProtocolError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001  # whatever a request holds, those after it are served
            if not isinstance(error, TrimtabError | OSError):
                _log.exception("%s could not be taken", type(message).__name__)
            self._answer(protocol.failed(message.id, error))

    def _receive(self, message: protocol.ToWorker | protocol.Data) -> None:
        match message:
            case protocol.Data():
                self._take(message)
            case protocol.Upload():
                self._uploads[message.id] = self._store.receive(message)
                self._end_upload(message.id)
            case protocol.Ping():
                self._answer(protocol.result(message.id, None))
            case protocol.Cancel():
                self._runner.cancel(message.id)
            case protocol.Steer() | protocol.Generate() | protocol.Score():
                self._receive_program(message)
            case _:
                self._enqueue(Job(message))

    def _receive_program(self, message: protocol.Steer | protocol.Generate | protocol.Score) -> None:
        program = self._store.program(message.program)
        if isinstance(program, Lacking):
            self._answer(protocol.Missing(message.id, program.arrays, program.files))
        elif isinstance(message, protocol.Steer):
            self._runner.steer(message.id, message.target, program)
        else:
            self._answer(protocol.Accepted(message.id))
            self._enqueue(Job(message, program))

    def _enqueue(self, job: Job) -> None:
        self._runner.expect(job)
        self._jobs.put(job)

    def _take(self, data: protocol.Data) -> None:
        if data.id not in self._uploads:
            raise ProtocolError(f"Data came for request {data.id}, which has none.")
        self._uploads[data.id].write(data.content)
        self._end_upload(data.id)

    def _end_upload(self, id: int) -> None:
        if not self._uploads[id].complete:
            return
        error = self._uploads.pop(id).error
        self._answer(protocol.failed(id, error) if error else protocol.result(id, None))

    def _answer(self, message: protocol.ToClient) -> None:
        self._outbox.put(protocol.message_frame(message))

    def _on_broken(self) -> None:
        """Nobody listens any more: like the end of input."""
        self._runner.stop()
        self._jobs.put(None)


def _loader(name: str | None) -> Loader:
    if name is None:
        return load_engine
    module, _, factory = name.partition(":")
    try:
        return cast("Loader", getattr(import_module(module), factory))
    except (ImportError, AttributeError) as error:
        raise EngineError(f"The engine {name} cannot be found: {error}.", "Check the plugin.") from error
