"""One worker as its client sees it: requests out, answers matched to them, and one error when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import numpy as np

from trimtab.engine import protocol
from trimtab.engine.contract import Done, Event, FloatArray
from trimtab.engine.process import WorkerProcess
from trimtab.errors import EngineError, ProtocolError, TrimtabError, WorkerDied

STOP_GRACE = 5.0
"""Seconds a cancelled request may take to end before the worker is."""
_READ = 2**18
_MAX_ANSWER = 2**34

Outcome = msgspec.Raw | list[FloatArray] | protocol.Missing | None


class Call:
    """A request on its way: what comes back for it."""

    def __init__(
        self,
        id: int,
        on_event: Callable[[Event], None] | None = None,
        on_progress: Callable[[float], None] | None = None,
        stoppable: bool = True,
    ) -> None:
        self.id = id
        self.stoppable = stoppable
        self.on_event = on_event
        self.on_progress = on_progress
        self.begun = asyncio.Event()
        """The worker has taken the request, or it has ended."""
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.stopping: asyncio.TimerHandle | None = None
        self._shapes: tuple[tuple[int, ...], ...] = ()
        self._pieces: list[bytes] = []
        self._left = 0

    @property
    def done(self) -> bool:
        return self.outcome.done()

    @property
    def missing(self) -> protocol.Missing | None:
        """What the worker lacked to take the request."""
        if not self.done or self.outcome.exception() is not None:
            return None
        outcome = self.outcome.result()
        return outcome if isinstance(outcome, protocol.Missing) else None

    def end(self, outcome: Outcome | TrimtabError) -> None:
        if not self.outcome.done():
            if isinstance(outcome, TrimtabError):
                self.outcome.set_exception(outcome)
                self.outcome.exception()  # an error that nobody waits for is no cause for a warning
            else:
                self.outcome.set_result(outcome)
        self.begun.set()
        if self.stopping is not None:
            self.stopping.cancel()

    def take(self, message: protocol.ToClient | protocol.Data) -> None:
        match message:
            case protocol.Happened():
                if self.on_event is None:
                    raise ProtocolError("An event came for a request that has none.")
                self.on_event(message.event)
                if isinstance(message.event, Done):
                    self.end(None)
            case protocol.Accepted():
                self.begun.set()
            case protocol.Progressed():
                if self.on_progress is not None:
                    asyncio.get_running_loop().call_soon(self.on_progress, message.fraction)
            case protocol.Result():
                self.end(message.value)
            case protocol.Missing():
                self.end(message)
            case protocol.Failed():
                self.end(protocol.raised(message))
            case protocol.Arrays():
                self._expect(message.shapes)
            case protocol.Data():
                self._gather(message.content)

    def _expect(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        size = 4 * sum(math.prod(shape) for shape in shapes)
        if self._left or any(side < 0 for shape in shapes for side in shape) or size > _MAX_ANSWER:
            raise ProtocolError("The worker announces arrays that cannot be.")
        self._shapes, self._left = shapes, size
        if not size:
            self.end(self._arrays())

    def _gather(self, content: bytes) -> None:
        if len(content) > self._left:
            raise ProtocolError("More data came than was announced.")
        self._pieces.append(content)
        self._left -= len(content)
        if not self._left:
            self.end(self._arrays())

    def _arrays(self) -> list[FloatArray]:
        flat = np.frombuffer(bytearray().join(self._pieces), dtype="<f4").astype(np.float32, copy=False)
        found, at = [], 0
        for shape in self._shapes:
            size = math.prod(shape)
            found.append(flat[at : at + size].reshape(shape))
            at += size
        self._pieces.clear()
        return found


class Connection:
    """A running worker and all calls that wait for it."""

    def __init__(self, worker: WorkerProcess, stop_grace: float) -> None:
        self._worker = worker
        self._stop_grace = stop_grace
        self._calls: dict[int, Call] = {}
        self._next = 1
        self._failure: TrimtabError | None = None
        self._reading: asyncio.Task[None] | None = None
        self.held_arrays: set[str] = set()
        self.held_files: set[str] = set()
        self.uploading = asyncio.Lock()

    @classmethod
    async def open(cls, worker: WorkerProcess, *, timeout: float, stop_grace: float) -> Connection:
        """The connection once both sides know each other; else the worker is ended."""
        self = cls(worker, stop_grace)
        frames = protocol.FrameReader()
        try:
            worker.stdin.write(protocol.opening())
            try:
                rest = await asyncio.wait_for(self._greet(), timeout)
            except TimeoutError:
                raise ProtocolError(
                    f"The engine worker did not answer within {timeout:g} s.",
                    "Check the command that starts it" + (": does it wait for a password?" * worker.wrapped),
                ) from None
            if rest is None:
                raise await self._why_ended()
        except BaseException:
            await worker.end(polite=False)
            raise
        self._reading = asyncio.create_task(self._read(frames, rest), name="engine worker")
        return self

    @property
    def alive(self) -> bool:
        return self._failure is None

    @property
    def pid(self) -> int:
        return self._worker.pid

    @property
    def log(self) -> Path | None:
        return self._worker.log

    def call(
        self,
        make: Callable[[int], protocol.ToWorker],
        *,
        on_event: Callable[[Event], None] | None = None,
        on_progress: Callable[[float], None] | None = None,
        stoppable: bool = True,
    ) -> Call:
        """Sends a request; the call tells what becomes of it."""
        if self._failure is not None:
            raise _again(self._failure)
        call = Call(self._next, on_event, on_progress, stoppable)
        frame = protocol.message_frame(make(call.id))
        self._next += 1
        self._calls[call.id] = call
        self._write(frame)
        return call

    async def outcome(self, call: Call) -> Outcome:
        """Waits for the call; a task cancelled meanwhile stops the request in the worker too."""
        try:
            return await asyncio.shield(call.outcome)
        except asyncio.CancelledError:
            self.stop(call)
            raise

    async def answer(self, call: Call, type: Any) -> Any:
        """What the call is answered with, checked to be of this type."""
        outcome = await self.outcome(call)
        if not isinstance(outcome, msgspec.Raw):
            self._confused("The worker answered with something else than was asked for.")
        try:
            return msgspec.msgpack.decode(outcome, type=type)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._confused(f"The worker's answer cannot be read: {error}")

    async def arrays(self, call: Call) -> list[FloatArray]:
        outcome = await self.outcome(call)
        if not isinstance(outcome, list):
            self._confused("The worker answered with something else than arrays.")
        return outcome

    async def send_data(self, call: Call, content: bytes) -> None:
        """Sends content that the call has announced, no faster than it is taken."""
        for frame in protocol.data_frames(call.id, content):
            if call.done:
                return
            self._write(frame)
            with contextlib.suppress(OSError):
                await self._worker.stdin.drain()

    def stop(self, call: Call) -> None:
        """Asks the worker to stop the request, and ends the worker if it does not."""
        if call.done or not call.stoppable or call.stopping is not None or not self.alive:
            return
        self._write(protocol.message_frame(protocol.Cancel(call.id)))
        call.stopping = asyncio.get_running_loop().call_later(self._stop_grace, self._lose_patience)

    async def stop_all(self) -> None:
        """Returns when nothing runs any more."""
        calls = [call for call in self._calls.values() if call.stoppable]
        for call in reversed(calls):
            self.stop(call)
        if calls:
            await asyncio.wait([call.outcome for call in calls])

    async def close(self) -> None:
        """Ends the worker, politely at first."""
        if self.alive:
            self._fail(EngineError("The engine was closed.", "Start it again."))
            with contextlib.suppress(OSError, RuntimeError):
                self._worker.stdin.write(protocol.message_frame(protocol.Shutdown(self._next)))
            await self._worker.end(polite=True)
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=5.0)

    async def _greet(self) -> bytes | None:
        opening = protocol.OpeningReader("engine worker")
        while data := await self._worker.stdout.read(_READ):
            rest = opening.feed(data)
            if rest is not None:
                return rest
        return None

    async def _read(self, frames: protocol.FrameReader, data: bytes) -> None:
        """Reads until the worker is gone or says what it should not; then tells all that wait."""
        error: TrimtabError = EngineError("The connection to the engine failed.", "Restart the engine.")
        try:
            while True:
                for payload in frames.feed(data):
                    self._dispatch(protocol.to_client(payload))
                data = await self._worker.stdout.read(_READ)
                if not data:
                    break
            error = await self._why_ended(frames)
        except TrimtabError as broken:
            error = broken
        except asyncio.CancelledError:
            error = EngineError("The program that used the engine ended.")
            raise
        finally:
            self._fail(error)
            await self._worker.end(polite=False)

    def _dispatch(self, message: protocol.ToClient | protocol.Data) -> None:
        if isinstance(message, protocol.Failed) and message.id == 0:
            raise protocol.raised(message)
        call = self._calls.get(message.id)
        if call is None:
            raise ProtocolError(f"An answer came for request {message.id}, which does not wait for one.")
        call.take(message)
        if call.done:
            del self._calls[message.id]

    async def _why_ended(self, frames: protocol.FrameReader | None = None) -> TrimtabError:
        """The error for a worker whose output has ended."""
        if not await self._worker.ended(2.0):
            self._worker.kill()
            await self._worker.ended(5.0)
        if frames is not None and self._worker.clean:
            try:
                frames.finish()
            except ProtocolError as error:
                return error
        return self._worker.died()

    def _fail(self, error: TrimtabError) -> None:
        """The first error is the one that all calls get, now and later."""
        if self._failure is not None:
            return
        self._failure = error
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.end(_again(error))

    def _lose_patience(self) -> None:
        self._fail(
            WorkerDied(
                f"The engine did not stop within {self._stop_grace:g} s and was ended.",
                "Restart the engine.",
                self._worker.tail,
            )
        )
        self._worker.kill()

    def _confused(self, what: str) -> NoReturn:
        self._fail(ProtocolError(what))
        self._worker.kill()
        raise ProtocolError(what)

    def _write(self, frame: bytes) -> None:
        # A worker that is gone is noticed by the reader, which knows more about why.
        with contextlib.suppress(OSError, RuntimeError):
            self._worker.stdin.write(frame)


def _again(error: TrimtabError) -> TrimtabError:
    """The same error anew, so that tracebacks of several waiters do not mix."""
    return type(error)(*error.args)
