"""The conversation that is open: what the user does to it, and what the screen is told of it. Free of widgets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from trimtab.chat.desk import Desk, summary
from trimtab.chat.live import LiveReply, NotSaved, NotSteered
from trimtab.chat.records import Setup
from trimtab.chat.session import Session
from trimtab.chat.store import Store
from trimtab.engine.contract import Sampling, Token
from trimtab.errors import TrimtabError
from trimtab.settings import Settings
from trimtab.tui import entries
from trimtab.tui.backend import Backend
from trimtab.tui.desk_edit import complete
from trimtab.tui.widgets.transcript_entry import Entry

SOONEST = 0.001
"""Seconds of speech from which on a speed says something."""


class View(Protocol):
    """The screen, as far as a conversation is concerned."""

    def conversation_changed(self) -> None:
        """The messages that are looked at are others now."""

    def reply_grew(self, entry: Entry, token: Token | None) -> None: ...

    def reply_ended(self) -> None: ...

    def trouble(self, error: TrimtabError) -> None: ...


class Conversing:
    """One session at a time; a reply that is still spoken in another one goes on there."""

    def __init__(self, backend: Backend, settings: Settings, view: View) -> None:
        self._backend = backend
        self._settings = settings
        self._view = view
        self._elsewhere: dict[int, Session] = {}
        """Conversations that are not looked at and still spoken in."""
        self._listening: set[asyncio.Task[None]] = set()
        self.session = self._new(Desk())

    @property
    def id(self) -> int | None:
        return self.session.id

    @property
    def title(self) -> str:
        return self.session.tree.conversation.title if self.session.tree else ""

    @property
    def desk(self) -> Desk:
        return self.session.setup.desk

    @property
    def live(self) -> LiveReply | None:
        return self.session.live

    def entries(self) -> list[Entry]:
        shown = entries.entries(self.session.tree)
        if self.live is not None and shown and shown[-1].id == self.live.message.id:
            shown[-1] = entries.growing(self.live, shown[-1].version)
        return shown

    # Which conversation

    async def new(self) -> None:
        self._put_aside()
        self.session = self._new(Desk())
        self._view.conversation_changed()

    async def open(self, conversation: int) -> None:
        if conversation == self.id:
            return
        session = self._elsewhere.pop(conversation, None)
        if session is None:
            session = await Session.open(
                self._backend.store, self._backend.engine, self._backend.make_program, conversation,
                reread=self._settings.chat.reread,
            )  # fmt: skip
        else:
            await session.refresh()
        self._put_aside()
        self.session = session
        self._view.conversation_changed()

    async def branch(self, message: int) -> None:
        session = await self.session.branch(message)
        self._put_aside()
        self.session = session
        self._view.conversation_changed()

    # What is said in it

    async def send(self, text: str) -> None:
        await self._speaks(self.session.send(text))

    async def regenerate(self, message: int | None = None, *, unsteered: bool = False) -> None:
        """Another reply; unsteered it has the seed of the one it is beside, so that steering is all that differs."""
        seed = None
        if unsteered and message is not None and self.session.tree is not None:
            making = self.session.tree[message].making
            seed = making.seed if making else None
        await self._speaks(self.session.regenerate(message, desk=Desk() if unsteered else None, seed=seed))

    async def resume(self, message: int | None = None) -> None:
        await self._speaks(self.session.resume(message))

    async def edit(self, message: int, text: str) -> None:
        live = await self.session.edit(message, text)
        if live is not None:
            self._listen(live)
        self._view.conversation_changed()

    async def stop(self) -> None:
        await self.session.stop()
        self._view.conversation_changed()

    async def version(self, message: int, step: int) -> int | None:
        """Looks at another version of a message; which one, if there is one."""
        if self.session.tree is None:
            return None
        versions = list(self.session.tree.versions(message))
        at = versions.index(message) + step
        if not 0 <= at < len(versions):
            return None
        await self.session.show(versions[at])
        self._view.conversation_changed()
        return versions[at]

    # How it is said

    async def steer(self, desk: Desk, *, rests: bool) -> None:
        await self.session.steer(desk, save=rests)

    async def set_up(self, setup: Setup) -> None:
        await self.session.set_up(setup)

    async def values_known(self) -> None:
        """With a dial for each value of the model that was loaded; that is no change worth storing."""
        desk = complete(self.desk, self._backend.values)
        if desk != self.desk:
            await self.session.steer(desk, save=False)

    def used(self) -> tuple[int, float]:
        """Tokens in the window, and tokens a second, of the reply that is or was spoken last."""
        live = self.live
        if live is not None:
            making, read = live.making, live.prefill.total if live.prefill else 0
            used = read + len(live.tokens)
        else:
            last = next((each for each in reversed(self.session.path()) if each.making), None)
            if last is None or last.making is None:
                return 0, 0.0
            making, receipt = last.making, last.making.receipt
            used = receipt.prompt_tokens + receipt.reply_tokens if receipt else 0
        timings = making.timings
        spoken = timings.seconds - (timings.first_token or 0.0)
        return used, (timings.tokens - 1) / spoken if timings.tokens > 1 and spoken > SOONEST else 0.0

    async def rename(self, title: str) -> None:
        if self.id is not None:
            await self._backend.store(Store.rename, self.id, title)
            await self.session.refresh()

    async def close(self) -> None:
        for session in (*self._elsewhere.values(), self.session):
            await session.close()
        for task in list(self._listening):
            await asyncio.wait([task])

    @property
    def steering(self) -> str:
        """What the desk does, in a line."""
        if self.desk.silenced:
            return "silenced"
        return summary(self.desk) or "unsteered"

    def _new(self, desk: Desk) -> Session:
        chosen = self._settings.chat
        sampling = Sampling(
            temperature=chosen.temperature,
            top_p=chosen.top_p,
            top_k=chosen.top_k,
            min_p=chosen.min_p,
            max_tokens=chosen.max_tokens or None,
        )
        setup = Setup(system=chosen.system, sampling=sampling, desk=complete(desk, self._backend.values))
        return Session(
            self._backend.store, self._backend.engine, self._backend.make_program, setup, reread=chosen.reread
        )

    def _put_aside(self) -> None:
        if self.session.live is not None and self.id is not None:
            self._elsewhere[self.id] = self.session

    async def _speaks(self, begun: Awaitable[LiveReply]) -> None:
        try:
            live = await begun
        finally:
            self._view.conversation_changed()
        self._listen(live)

    def _listen(self, live: LiveReply) -> None:
        session = self.session
        task = asyncio.create_task(self._follow(session, live))
        self._listening.add(task)
        task.add_done_callback(self._listening.discard)

    async def _follow(self, session: Session, live: LiveReply) -> None:
        """Tells the screen of a reply while its conversation is looked at."""
        version = next((each.version for each in self.entries() if each.id == live.message.id), (1, 1))
        async for event in live:
            if isinstance(event, NotSaved | NotSteered):
                self._view.trouble(event.error)
            elif session is self.session:
                token = event if isinstance(event, Token) else None
                self._view.reply_grew(entries.growing(live, version), token)
        try:
            await live.finished()
            await session.refresh()
        except TrimtabError as error:
            self._view.trouble(error)
        if session is self.session:
            self._view.conversation_changed()
        elif session.id is not None:
            self._elsewhere.pop(session.id, None)
        self._view.reply_ended()
        if live.error is not None:
            self._view.trouble(live.error)
