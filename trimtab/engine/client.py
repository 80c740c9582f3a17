"""The engine as the rest of Trimtab sees it: typed, asynchronous, with the model in another process."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from trimtab.engine import protocol
from trimtab.engine.connection import STOP_GRACE, Connection
from trimtab.engine.contract import (
    ActivationRequest,
    FloatArray,
    GenerateRequest,
    LoadRequest,
    ModelInfo,
    ScoreRequest,
)
from trimtab.engine.process import WorkerProcess
from trimtab.engine.program import EMPTY, Program, encode
from trimtab.engine.sending import offer
from trimtab.engine.stream import Reply, ReplyStream
from trimtab.errors import EngineError, TrimtabError

START_TIMEOUT = 60.0
"""Seconds until a worker must have spoken; ssh to a sleeping machine takes a while."""

OnProgress = Callable[[float], None]


class EngineClient:
    """An engine worker and the requests it answers, one after the other.

    `info` and `pid` belong to the worker that runs now; after a `WorkerDied` every request fails until
    `restart`.
    """

    def __init__(
        self,
        command: Sequence[str] | None,
        log_dir: str | Path | None,
        engine: str | None,
        start_timeout: float,
        stop_grace: float,
    ) -> None:
        self._command = command
        self._log_dir = log_dir
        self._engine = engine
        self._start_timeout = start_timeout
        self._stop_grace = stop_grace
        self._connection: Connection | None = None
        self._last_load: LoadRequest | None = None
        self._opening = asyncio.Lock()
        self._replies: list[weakref.ref[Reply]] = []
        self.info: ModelInfo | None = None

    @classmethod
    def start(
        cls,
        command: Sequence[str] | None = None,
        *,
        log_dir: str | Path | None = None,
        engine: str | None = None,
        start_timeout: float = START_TIMEOUT,
        stop_grace: float = STOP_GRACE,
    ) -> Self:
        """A client of a new worker: `async with EngineClient.start() as engine`.

        `command` runs a worker elsewhere, as `["ssh", "box", "trimtab", "worker"]`; `engine` names the
        `module:factory` that makes the engine, instead of the built-in ones.
        """
        return cls(command, log_dir, engine, start_timeout, stop_grace)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        async with self._opening:
            if self.alive:
                raise EngineError("The engine runs already.", "Use it, or restart it.")
            await self._close()
            await self._open()

    async def _open(self) -> None:
        worker = await WorkerProcess.start(self._command, log_dir=self._log_dir, engine=self._engine)
        self._connection = await Connection.open(
            worker, timeout=self._start_timeout, stop_grace=self._stop_grace
        )

    async def close(self) -> None:
        """Ends the worker: asked, then told, then made to."""
        async with self._opening:
            await self._close()

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        self.info = None
        if connection is not None:
            await asyncio.shield(connection.close())

    async def restart(self, *, reload: bool = False) -> ModelInfo | None:
        """A fresh worker in place of the old one, dead or alive; with `reload`, its model too."""
        async with self._opening:
            await self._close()
            await self._open()
        return await self.reload() if reload and self._last_load is not None else None

    @property
    def alive(self) -> bool:
        return self._connection is not None and self._connection.alive

    @property
    def pid(self) -> int | None:
        return self._connection.pid if self._connection else None

    @property
    def log(self) -> Path | None:
        """The log of a worker on this machine."""
        return self._connection.log if self._connection else None

    async def load(self, request: LoadRequest, on_progress: OnProgress | None = None) -> ModelInfo:
        """Loads a model in place of the one before, which stays if a look at the files tells that it cannot."""
        connection = self._connected()
        self.info = None
        call = connection.call(lambda id: protocol.Load(id, request), on_progress=on_progress)
        try:
            self.info = await connection.answer(call, ModelInfo)
        except TrimtabError:
            self.info = await self._still_loaded()
            raise
        self._last_load = request
        return self.info

    async def reload(self, on_progress: OnProgress | None = None) -> ModelInfo:
        """Loads again what was last loaded with success."""
        if self._last_load is None:
            raise EngineError("No model was loaded before.", "Load one.")
        return await self.load(self._last_load, on_progress)

    async def describe(self) -> ModelInfo:
        connection = self._connected()
        return await connection.answer(connection.call(protocol.Describe), ModelInfo)  # type: ignore[no-any-return]

    async def tokenize(self, text: str, *, special: bool = False, bos: bool = False) -> list[int]:
        connection = self._connected()
        call = connection.call(lambda id: protocol.Tokenize(id, text, special, bos))
        return await connection.answer(call, list[int])  # type: ignore[no-any-return]

    async def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        """The bytes each token stands for."""
        connection = self._connected()
        call = connection.call(lambda id: protocol.Pieces(id, tuple(tokens)))
        return await connection.answer(call, list[bytes])  # type: ignore[no-any-return]

    def generate(self, request: GenerateRequest) -> ReplyStream:
        """The events of a reply, to be read with `async for`; the last is `Done`."""
        reply = Reply(self._connected(), request)
        waiting = [other for other in self._known_replies() if other.running or not other.started]
        self._replies = [weakref.ref(other) for other in (*waiting, reply)]
        return ReplyStream(reply)

    async def steer(self, program: Program) -> bool:
        """From the next token on, the reply in progress follows this program. False if none is."""
        running = next((reply for reply in self._known_replies() if reply.running), None)
        return running is not None and await running.steer(program)

    async def cancel(self) -> None:
        """Stops whatever the engine does, and returns when it has stopped."""
        replies = [reply for reply in self._known_replies() if reply.running]
        for reply in reversed(replies):  # the last first, lest one that waits begins when another ends
            reply.stop()
        if self._connection is not None:
            await self._connection.stop_all()
        for reply in replies:
            await reply.ended()

    async def activations(
        self, request: ActivationRequest, on_progress: OnProgress | None = None
    ) -> FloatArray:
        """Shape (passages, layers, width)."""
        connection = self._connected()
        call = connection.call(lambda id: protocol.Activations(id, request), on_progress=on_progress)
        return (await connection.arrays(call))[0]

    async def score(self, request: ScoreRequest, on_progress: OnProgress | None = None) -> list[FloatArray]:
        """For each pair the log-probability of each token of the continuation."""
        connection = self._connected()
        data = encode(request.program)
        bare = msgspec.structs.replace(request, program=EMPTY)
        call = await offer(
            connection, request.program, lambda id: protocol.Score(id, bare, data), on_progress=on_progress
        )
        return await connection.arrays(call)

    async def unembed(self, tokens: Sequence[int]) -> FloatArray:
        """Shape (tokens, width): rows of the unembedding matrix."""
        connection = self._connected()
        call = connection.call(lambda id: protocol.Unembed(id, tuple(tokens)))
        return (await connection.arrays(call))[0]

    async def ping(self) -> None:
        """Returns if the worker hears, whatever its engine is doing."""
        connection = self._connected()
        await connection.outcome(connection.call(protocol.Ping, stoppable=False))

    def _known_replies(self) -> list[Reply]:
        """Those that run, or that somebody may still begin to read."""
        return [reply for known in self._replies if (reply := known()) is not None]

    async def _still_loaded(self) -> ModelInfo | None:
        try:
            return await self.describe()
        except TrimtabError:
            return None

    def _connected(self) -> Connection:
        if self._connection is None:
            raise EngineError("The engine is not running.", "Start it first.")
        return self._connection
