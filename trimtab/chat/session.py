"""A conversation that goes on: store, desk and engine joined, free of any interface."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Self

import msgspec

from trimtab.chat.async_store import AsyncStore
from trimtab.chat.desk import Desk
from trimtab.chat.errors import NotFound, SessionBusy
from trimtab.chat.live import LiveReply
from trimtab.chat.prompt import prompt
from trimtab.chat.records import Making, Message, Setup
from trimtab.chat.store import Store
from trimtab.chat.topic import gate_text
from trimtab.chat.tree import Tree
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import GenerateRequest, ModelInfo
from trimtab.engine.identity import identity_of
from trimtab.engine.program import Program
from trimtab.errors import EngineError

MakeProgram = Callable[[Desk], Program | Awaitable[Program]]
"""What the methods make of a desk, for the model that is loaded: `trimtab.chat.steering.Steering.program`."""


class Session:
    """One conversation, of which one reply at a time is spoken. It closes neither store nor engine."""

    def __init__(
        self,
        store: AsyncStore,
        engine: EngineClient,
        make_program: MakeProgram,
        setup: Setup | None = None,
        *,
        reread: bool = False,
    ) -> None:
        """A new conversation, which is stored once something is said in it.

        With `reread` the history is read anew where it was spoken under other dials.
        """
        self._store = store
        self._engine = engine
        self._make_program = make_program
        self._setup = setup or Setup()
        self._live: LiveReply | None = None
        self.reread = reread
        self.tree: Tree | None = None
        """The conversation as it was last read; None while nothing was said."""

    @classmethod
    async def open(
        cls,
        store: AsyncStore,
        engine: EngineClient,
        make_program: MakeProgram,
        conversation: int,
        *,
        reread: bool = False,
    ) -> Self:
        """A conversation of the store."""
        session = cls(store, engine, make_program, reread=reread)
        await session._read(conversation)
        assert session.tree is not None
        session._setup = session.tree.conversation.setup
        return session

    @property
    def id(self) -> int | None:
        """The conversation's number; None while nothing was said."""
        return self.tree.conversation.id if self.tree else None

    @property
    def setup(self) -> Setup:
        """What the next reply is spoken under."""
        return self._setup

    @property
    def live(self) -> LiveReply | None:
        """The reply that is being spoken."""
        return self._live if self._live is not None and self._live.speaking else None

    def path(self) -> list[Message]:
        """The messages that are being looked at."""
        return self.tree.path() if self.tree else []

    async def send(self, text: str) -> LiveReply:
        """Says something below the head; it is on disk before the reply begins."""
        await self._free()
        if self.tree is None:
            said = await self._store(Store.begin, self._setup, text)
            await self._read(await self._store(Store.conversation_of, said.id))
        else:
            about = self.tree.conversation
            said = await self._store(Store.say, about.id, text, about.head)
        return await self._answer(said.id, self._setup)

    async def regenerate(
        self, message: int | None = None, *, desk: Desk | None = None, seed: int | None = None
    ) -> LiveReply:
        """Another reply beside one, or the first to a user's turn; under other dials if they are given."""
        await self._free()
        setup = self._setup if desk is None else msgspec.structs.replace(self._setup, desk=desk)
        if seed is not None:
            sampling = msgspec.structs.replace(setup.sampling, seed=seed)
            setup = msgspec.structs.replace(setup, sampling=sampling)
        at = self._message(message)
        asked = at.id if at.speaker == "user" else at.parent
        if asked is None:
            raise NotFound("Nothing was asked before this reply.", "Say something first.")
        return await self._answer(asked, setup)

    async def resume(self, message: int | None = None) -> LiveReply:
        """Goes on with a reply that was stopped, cut off, or edited, in a copy beside it."""
        await self._free()
        at = self._message(message)
        if at.speaker != "assistant" or at.parent is None:
            raise NotFound("There is no reply to go on with.", "Send something first.")
        if not at.text:
            return await self._answer(at.parent, self._setup)
        return await self._answer(at.parent, self._setup, going_on=at)

    async def edit(self, message: int, text: str) -> LiveReply | None:
        """Another version of a message: the user's is answered, a reply's can be resumed."""
        await self._free()
        edited = await self._store(Store.edit, message, text)
        await self._read()
        return await self._answer(edited.id, self._setup) if edited.speaker == "user" else None

    async def branch(self, message: int | None = None) -> Session:
        """A conversation of its own with the path down to a message."""
        new = await self._store(Store.branch, self._message(message).id)
        return await Session.open(self._store, self._engine, self._make_program, new.id, reread=self.reread)

    async def show(self, message: int) -> None:
        """Looks at the path that a message is on."""
        await self._free()
        await self._store(Store.show, message)
        await self._read()

    async def stop(self) -> Message | None:
        """Ends the reply that is being spoken; what was said stays."""
        live = self.live
        if live is None:
            return None
        settled = await live.stop()
        await self._read()
        return settled

    async def steer(self, desk: Desk, *, save: bool = True) -> None:
        """Sets the dials, from the next token on; `save=False` while a slider is still moving."""
        self._setup = msgspec.structs.replace(self._setup, desk=desk)
        if (live := self.live) is not None:
            await live.steer(desk)
        if save:
            await self.set_up(self._setup)

    async def set_up(self, setup: Setup) -> None:
        """The system prompt, sampling and desk of what is said from now on."""
        self._setup = setup
        if self.id is not None:
            await self._store(Store.set_up, self.id, setup)
            await self._read()

    async def refresh(self) -> None:
        """Reads the conversation again, after a reply's end or another process's changes."""
        if self.tree is not None:
            await self._read()

    async def close(self) -> None:
        """Stops and keeps what is being spoken."""
        if self._live is not None:
            await (self._live.stop() if self._live.speaking else self._live.save())

    async def _answer(self, asked: int, setup: Setup, going_on: Message | None = None) -> LiveReply:
        await self._read()
        assert self.tree is not None
        info = await self._ready()
        program = await self._program(setup.desk)
        messages = prompt(setup.system, self.tree.path(asked), going_on.text if going_on else "")
        request = GenerateRequest(
            messages=messages,
            program=program,
            sampling=setup.sampling,
            reread=self.reread,
            resume=going_on is not None,
            gate_text=gate_text(messages),
        )
        making = Making(
            setup=setup,
            model=info.name,
            model_fingerprint=identity_of(info).fingerprint,
            program=program.fingerprint,
            seed=setup.sampling.seed,
        )
        begun = await self._store(
            Store.begin_reply, asked, making, going_on=going_on.id if going_on else None
        )
        self._live = LiveReply(self._store, self._engine, self._program, request, begun)
        await self._read()
        return self._live

    async def _program(self, desk: Desk) -> Program:
        made = self._make_program(desk)
        return await made if inspect.isawaitable(made) else made

    async def _ready(self) -> ModelInfo:
        """The model; a worker that has died is started again first."""
        if not self._engine.alive:
            await self._engine.restart(reload=True)
        if self._engine.info is None:
            raise EngineError("No model is loaded.", "Choose one.")
        return self._engine.info

    async def _free(self) -> None:
        """Makes sure that no reply is being spoken and that the last one is on disk."""
        if self._live is None:
            return
        if self._live.speaking:
            raise SessionBusy("A reply is being spoken.", "Stop it, or wait for its end.")
        await self._live.save()
        await self.refresh()

    def _message(self, message: int | None) -> Message:
        if self.tree is None or (message is None and self.tree.conversation.head is None):
            raise NotFound("Nothing was said yet.", "Send something first.")
        at = self.tree.conversation.head if message is None else message
        assert at is not None
        return self.tree[at]

    async def _read(self, conversation: int | None = None) -> None:
        number = self.id if conversation is None else conversation
        assert number is not None
        self.tree = await self._store(Store.tree, number)
