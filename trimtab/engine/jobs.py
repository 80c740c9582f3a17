"""The worker's requests to its engine, run one after the other, stopped and steered from another thread."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from trimtab.engine import protocol
from trimtab.engine.contract import Done, Engine, Event, FloatArray, LoadRequest, ModelInfo, Progress
from trimtab.engine.outbox import Outbox
from trimtab.engine.program import EMPTY, Program
from trimtab.errors import Cancelled, EngineError, ProtocolError

INSIST = 0.02
"""How often a cancelled engine is told again: one that is just beginning may have forgotten."""
PROGRESS = 0.05
"""Seconds between two reports of progress."""

_log = logging.getLogger("trimtab.worker")


@dataclass(eq=False)
class Job:
    """A request that needs the engine."""

    message: protocol.ToWorker
    program: Program = EMPTY
    cancelled: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    begun: bool = False
    """The engine has said something, so that it can be steered."""
    steers: list[tuple[int, Program]] = field(default_factory=list)
    """Asked for before that, each with the id of its request."""


class Runner:
    """Runs jobs in the main thread; `expect`, `cancel`, `steer` and `stop` may come from another."""

    def __init__(
        self,
        outbox: Outbox,
        check: Callable[[LoadRequest], object],
        load: Callable[[LoadRequest, Progress], Engine],
    ) -> None:
        self._outbox = outbox
        self._check = check
        self._load = load
        self._engine: Engine | None = None
        self._lock = threading.Lock()
        self._jobs: dict[int, Job] = {}
        self._current: Job | None = None

    def expect(self, job: Job) -> None:
        """Makes a job that waits for its turn known, so that it can be cancelled."""
        with self._lock:
            if job.message.id in self._jobs:
                raise ProtocolError(f"Two requests have the id {job.message.id}.")
            self._jobs[job.message.id] = job

    def cancel(self, id: int) -> None:
        with self._lock:
            job = self._jobs.get(id)
            if job is None or job.cancelled.is_set():
                return
            job.cancelled.set()
            waiting = job is not self._current
            if waiting:
                self._finish(job)
        if waiting:
            self._answer(protocol.failed(id, Cancelled("Stopped before it began.")))
        else:
            threading.Thread(target=self._insist, args=(job,), name="cancel", daemon=True).start()

    def stop(self) -> None:
        """Cancels everything; for when no more comes."""
        with self._lock:
            jobs = list(self._jobs)
        for id in jobs:
            self.cancel(id)

    def steer(self, id: int, target: int, program: Program) -> None:
        """Answers whether the reply was still there to be steered."""
        with self._lock:
            job = self._jobs.get(target)
            if job is not None and isinstance(job.message, protocol.Generate):
                if job.begun:
                    self._answer(self._steered(id, program))
                else:
                    job.steers.append((id, program))
                return
        self._answer(protocol.result(id, False))

    def run(self, job: Job) -> None:
        """Whatever happens to the request is its answer; only a lack of memory is raised."""
        id = job.message.id
        with self._lock:
            if job.ended.is_set():
                return
            self._current = job
        try:
            self._run(job)
            failure = None
        except MemoryError:
            raise
        except Cancelled as error:
            failure = protocol.failed(id, error)
        except BaseException as error:  # noqa: BLE001  # a plugin's engine may raise what it likes
            _log.exception("%s failed", type(job.message).__name__)
            failure = protocol.failed(id, error)
        with self._lock:
            self._current = None
            self._finish(job)
        if failure is not None:
            self._send(failure)

    def close(self) -> None:
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _run(self, job: Job) -> None:
        message, id = job.message, job.message.id
        match message:
            case protocol.Load():
                self._send(protocol.result(id, self._run_load(job, message.request)))
            case protocol.Describe():
                self._send(protocol.result(id, self._need().info))
            case protocol.Tokenize():
                tokens = self._need().tokenize(message.text, special=message.special, bos=message.bos)
                self._send(protocol.result(id, tokens))
            case protocol.Pieces():
                self._send(protocol.result(id, self._need().pieces(message.tokens)))
            case protocol.Unembed():
                self._send_arrays(job, [self._need().unembed(message.tokens)])
            case protocol.Activations():
                self._send_arrays(job, [self._need().activations(message.request, self._progress(job))])
            case protocol.Score():
                request = msgspec.structs.replace(message.request, program=job.program)
                self._send_arrays(job, self._need().score(request, self._progress(job)))
            case protocol.Generate():
                self._generate(job, message)
            case _:
                raise EngineError(f"The worker knows no {type(message).__name__}.")

    def _run_load(self, job: Job, request: LoadRequest) -> ModelInfo:
        """The model before is let go only for one that can probably be loaded."""
        self._check(request)
        self.close()
        engine = self._load(request, self._progress(job))
        if job.cancelled.is_set():
            engine.close()
            raise Cancelled("Loading was stopped.")
        self._engine = engine
        return engine.info

    def _generate(self, job: Job, message: protocol.Generate) -> None:
        request = msgspec.structs.replace(message.request, program=job.program)
        with contextlib.closing(_Closable(self._need().generate(request))) as events:
            for event in events:
                if not job.begun:
                    self._begin(job)
                self._send(protocol.Happened(message.id, event))
                if isinstance(event, Done):
                    return
        raise EngineError("The engine ended a reply without a receipt.", "The engine's log tells more.")

    def _finish(self, job: Job) -> None:
        """Forgets the job; whoever wanted to steer it came too late."""
        del self._jobs[job.message.id]
        job.ended.set()
        for id, _ in job.steers:
            self._answer(protocol.result(id, False))

    def _begin(self, job: Job) -> None:
        """Applies what was asked before the reply could be steered: the last is what counts."""
        with self._lock:
            job.begun = True
            steers, job.steers = job.steers, []
            for id, program in steers:
                self._answer(self._steered(id, program))

    def _steered(self, id: int, program: Program) -> protocol.ToClient:
        try:
            self._need().steer(program)
        except Exception as error:  # noqa: BLE001  # as above
            return protocol.failed(id, error)
        return protocol.result(id, True)

    def _insist(self, job: Job) -> None:
        while True:
            with self._lock:
                if self._current is job and self._engine is not None:
                    self._engine.cancel()
            if job.ended.wait(INSIST):
                return

    def _progress(self, job: Job) -> Progress:
        last = 0.0

        def told(fraction: float) -> bool:
            nonlocal last
            now = time.monotonic()
            if now - last >= PROGRESS or fraction >= 1:
                last = now
                self._send(protocol.Progressed(job.message.id, float(fraction)))
            return not job.cancelled.is_set()

        return told

    def _send_arrays(self, job: Job, arrays: Sequence[FloatArray]) -> None:
        id = job.message.id
        self._send(protocol.Arrays(id, tuple(tuple(array.shape) for array in arrays)))
        for frame in protocol.data_frames(id, _joined(arrays)):
            if job.cancelled.is_set():
                raise Cancelled("Stopped.")
            self._outbox.send(frame)

    def _need(self) -> Engine:
        if self._engine is None:
            raise EngineError("No model is loaded.", "Load one first.")
        return self._engine

    def _send(self, message: protocol.ToClient) -> None:
        """From the main thread, holding no lock."""
        self._outbox.send(protocol.message_frame(message))

    def _answer(self, message: protocol.ToClient) -> None:
        """From anywhere: what answers the reader's thread must not make it wait."""
        self._outbox.put(protocol.message_frame(message))


def _joined(arrays: Sequence[FloatArray]) -> memoryview | bytes:
    if not sum(array.size for array in arrays):
        return b""
    if len(arrays) == 1:
        return np.ascontiguousarray(arrays[0], dtype="<f4").data
    return np.concatenate([array.ravel() for array in arrays]).astype("<f4", copy=False).data


class _Closable:
    """An iterator that can be closed, whether the engine made it as a generator or not."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def close(self) -> None:
        close = getattr(self._events, "close", None)
        if close is not None:
            close()
