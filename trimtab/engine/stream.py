"""A reply on its way from the worker: an asynchronous iterator of events that stops what nobody reads."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Self

import msgspec

from trimtab.engine import protocol
from trimtab.engine.connection import Call, Connection
from trimtab.engine.contract import Event, GenerateRequest
from trimtab.engine.program import EMPTY, Program, encode
from trimtab.engine.sending import offer
from trimtab.errors import TrimtabError


class Reply:
    """What the client knows of one reply, whether somebody reads it or not."""

    def __init__(self, connection: Connection, request: GenerateRequest) -> None:
        self.connection = connection
        self.loop = asyncio.get_running_loop()
        self.started = False
        self.call: Call | None = None
        self._request = request
        self._settled = asyncio.Event()
        """The worker has taken the request or refused it."""
        self._stop_wanted = False
        self._events: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None

    @property
    def running(self) -> bool:
        return self.started and not (self._settled.is_set() and (self.call is None or self.call.done))

    async def start(self) -> None:
        """Sends the request and what its program needs."""
        self.started = True
        data = encode(self._request.program)
        bare = msgspec.structs.replace(self._request, program=EMPTY)
        try:
            self.call = await offer(
                self.connection,
                self._request.program,
                lambda id: protocol.Generate(id, bare, data),
                on_event=self._take,
            )
        finally:
            self._settled.set()
        self.call.outcome.add_done_callback(lambda _: self._wake())
        if self._stop_wanted:
            self.stop()

    async def next(self) -> Event | None:
        """The next event; None after the last, or the error that ended the reply."""
        while not self._events:
            if self.call is None:
                return None
            if self.call.done:
                self.call.outcome.result()
                self.call = None
                return None
            self._waiter = self.loop.create_future()
            await self._waiter
        return self._events.popleft()

    async def steer(self, program: Program) -> bool:
        """Whether the reply was still there to be steered."""
        await self._settled.wait()
        if self.call is None or self.call.done:
            return False
        data, target = encode(program), self.call.id
        call = await offer(
            self.connection, program, lambda id: protocol.Steer(id, target, data), stoppable=False
        )
        taken: bool = await self.connection.answer(call, bool)
        return taken

    def stop(self) -> None:
        self._stop_wanted = True
        if self.call is not None:
            self.connection.stop(self.call)

    async def ended(self) -> None:
        """Returns when the worker is done with it."""
        await self._settled.wait()
        if self.call is not None:
            await asyncio.wait([self.call.outcome])

    def _take(self, event: Event) -> None:
        self._events.append(event)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class ReplyStream:
    """Events of one reply, the last being `Done`, also when it was stopped in the middle.

    One stopped before its turn came raises `Cancelled`. Whoever leaves the loop early, lets the stream go,
    or is cancelled while waiting, stops the reply in the worker.
    """

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        try:
            if not self._reply.started:
                await self._reply.start()
            event = await self._reply.next()
        except asyncio.CancelledError:
            self._reply.stop()
            raise
        if event is None:
            raise StopAsyncIteration
        return event

    async def aclose(self) -> None:
        """Stops the reply and returns when it has stopped."""
        if self._reply.running:
            self._reply.stop()
            with contextlib.suppress(TrimtabError):
                await self._reply.ended()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self) -> None:
        reply = self._reply
        if not reply.running or reply.loop.is_closed():
            return
        try:
            here = asyncio.get_running_loop() is reply.loop
        except RuntimeError:
            here = False
        if here:
            reply.stop()
        else:
            reply.loop.call_soon_threadsafe(reply.stop)
