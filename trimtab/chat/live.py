"""A reply while it is spoken: what came so far, kept on disk, steered, stopped, and settled at its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

import msgspec

from trimtab.chat.async_store import AsyncStore
from trimtab.chat.desk import Desk
from trimtab.chat.errors import StoreError
from trimtab.chat.keeper import Keeper
from trimtab.chat.records import Making, Mark, Message, State, Timings
from trimtab.chat.store import Store
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import Done, Event, GenerateRequest, Prefill, Steered, Token
from trimtab.engine.program import Program
from trimtab.errors import Cancelled, TrimtabError


@dataclass(frozen=True)
class NotSaved:
    """The reply goes on, but could not be written; that is tried again."""

    error: StoreError


@dataclass(frozen=True)
class NotSteered:
    """The dials as they stand now make no program; the one before goes on."""

    error: TrimtabError


LiveEvent = Event | NotSaved | NotSteered
MakeProgram = Callable[[Desk], Awaitable[Program]]


class LiveReply:
    """Spoken in a task of its own, at the engine's pace, whether or not somebody reads its events."""

    def __init__(
        self,
        store: AsyncStore,
        engine: EngineClient,
        make_program: MakeProgram,
        request: GenerateRequest,
        message: Message,
    ) -> None:
        assert message.making is not None
        self.message = message
        """As it was begun; `finished` gives it as it ended."""
        self.text = message.text
        self.tokens: list[Token] = []
        self.prefill: Prefill | None = None
        self.error: TrimtabError | None = None
        """What ended it too early."""
        self._store = store
        self._engine = engine
        self._make_program = make_program
        self._stream = engine.generate(request)
        self._making = message.making
        self._state: State = "stopped"
        self._started = time.monotonic()
        self._begun = False
        self._stop_wanted = False
        self._settled: Message | None = None
        self._store_error: StoreError | None = None
        self._asked = {request.program.fingerprint: message.making.setup.desk}
        self._wanted: Desk | None = None
        self._last_wanted = message.making.setup.desk
        self._steering: asyncio.Task[None] | None = None
        self._events: asyncio.Queue[LiveEvent | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._run())

    @property
    def speaking(self) -> bool:
        return not self._task.done()

    @property
    def saved(self) -> bool:
        """Whether its end is on disk."""
        return self._settled is not None

    @property
    def making(self) -> Making:
        """How it is being made, as far as is known."""
        return self._making

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LiveEvent:
        event = await self._events.get()
        if event is None:
            self._events.put_nowait(None)
            raise StopAsyncIteration
        return event

    async def finished(self) -> Message:
        """The reply as it was settled; raises what kept it from being written, until `save` succeeds."""
        await asyncio.shield(self._task)
        if self._settled is None:
            assert self._store_error is not None
            raise self._store_error
        return self._settled

    async def stop(self) -> Message:
        """What was said stays."""
        self._stop_wanted = True
        await self._stream.aclose()
        return await self.finished()

    async def save(self) -> Message:
        """Writes the end of the reply, if that has not worked before."""
        await asyncio.shield(self._task)
        if self._settled is None:
            await self._settle()
        return await self.finished()

    async def steer(self, desk: Desk) -> None:
        """From the next token on the reply follows this desk; of several in a row the last counts."""
        self._wanted = self._last_wanted = desk
        if not self._begun:
            return  # the engine may still speak another's reply, which is not to be steered
        if self._steering is None:
            self._steering = asyncio.create_task(self._pass_on())
        await asyncio.shield(self._steering)

    async def _pass_on(self) -> None:
        try:
            while self._wanted is not None:
                desk, self._wanted = self._wanted, None
                program = await self._make_program(desk)
                self._asked[program.fingerprint] = desk
                if not self.speaking or not await self._engine.steer(program):
                    return
        except TrimtabError as error:
            self._events.put_nowait(NotSteered(error))
        finally:
            self._steering = None

    async def _run(self) -> None:
        keeper = Keeper(self._keep, lambda error: self._events.put_nowait(NotSaved(error)))
        try:
            if not self._stop_wanted:
                await self._listen(keeper)
        except Cancelled:
            self._state = "stopped"
        except TrimtabError as error:
            self._state, self.error = "error", error
            self._making = msgspec.structs.replace(self._making, error=str(error))
        finally:
            await keeper.stop()
            self._time()
            await asyncio.shield(self._settle())
            self._events.put_nowait(None)

    async def _listen(self, keeper: Keeper) -> None:
        async for event in self._stream:
            if not self._begun:
                self._begun = True
                if self._wanted is not None:
                    self._steering = asyncio.create_task(self._pass_on())
            self._take(event)
            self._events.put_nowait(event)
            keeper.touch()
            if self._stop_wanted and not isinstance(event, Done):
                await self._stream.aclose()

    def _take(self, event: Event) -> None:
        match event:
            case Token():
                self.tokens.append(event)
                self.text += event.text
                self._time()
            case Steered():
                self._mark(event)
            case Prefill():
                self.prefill = event
            case Done():
                self.text += event.text
                self._state = "stopped" if event.reason == "cancelled" else "done"
                self._making = msgspec.structs.replace(
                    self._making, ended=event.reason, seed=event.receipt.seed, receipt=event.receipt
                )

    def _mark(self, event: Steered) -> None:
        mark = Mark(
            offset=len(self.text),
            index=event.index,
            program=event.fingerprint,
            desk=self._last_wanted if event.failed else self._asked.get(event.fingerprint, Desk()),
            deferred=event.deferred,
            failed=event.failed,
        )
        self._making = msgspec.structs.replace(self._making, marks=(*self._making.marks, mark))

    def _time(self) -> None:
        passed = time.monotonic() - self._started
        first = self._making.timings.first_token
        timings = Timings(
            first_token=passed if first is None and self.tokens else first,
            seconds=passed,
            tokens=len(self.tokens),
        )
        self._making = msgspec.structs.replace(self._making, timings=timings)

    async def _keep(self) -> None:
        await self._store(Store.keep, self.message.id, self.text, self._making)

    async def _settle(self) -> None:
        """Never raises: whoever waits for the end is told there."""
        try:
            self._settled = await self._store(
                Store.settle, self.message.id, self.text, self._making, self._state, tuple(self.tokens)
            )
            self._store_error = None
        except StoreError as error:
            self._store_error = error
            self._events.put_nowait(NotSaved(error))
