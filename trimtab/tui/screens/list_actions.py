"""What keys do to the list of chats."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textual import work

from trimtab.tui.screens.parts import ChatParts
from trimtab.tui.widgets.sidebar import Listed, Sidebar

if TYPE_CHECKING:
    from trimtab.chat.store import Store

ROOM_FOR_BOTH = 110
"""Columns from which on chats and desk stand beside the conversation."""


class ListActions(ChatParts):
    """Opening, searching, renaming, deleting and bringing back."""

    _deleted: int | None = None

    def on_sidebar_opened(self, event: Sidebar.Opened) -> None:
        event.stop()
        if self.conversing is not None:
            self.transcript.cursor = None
            self.do(self.conversing.open(event.conversation))
            self.set_focus(self.composer)

    def on_sidebar_searched(self, event: Sidebar.Searched) -> None:
        event.stop()
        self.do(self.list_chats())

    async def list_chats(self) -> None:
        """Shows what fits the words in the search field, or all."""
        if self.backend is None:
            return
        query = self.sidebar.query_text
        chats = await self.backend.store.run(lambda store: _found(store, query))
        if query == self.sidebar.query_text:
            open_now = self.conversing.id if self.conversing is not None else None
            self.sidebar.show(chats, open_now, now=time.time())

    def action_new_chat(self) -> None:
        if self.conversing is not None:
            self.do(self.conversing.new())
            self.set_focus(self.composer)

    def action_search_chats(self) -> None:
        self._show_sidebar(shown=True)
        self.sidebar.search()

    def action_toggle_sidebar(self) -> None:
        self._show_sidebar(shown=not self.sidebar.display)

    def _show_sidebar(self, *, shown: bool) -> None:
        """On a narrow screen it takes the place of the desk."""
        self.sidebar.display = shown
        if self.size.width < ROOM_FOR_BOTH:
            self.panel.display = not shown

    @work
    async def action_rename(self) -> None:
        from trimtab.chat.store import Store
        from trimtab.tui.screens.dialogs import AskLine

        chat = self.sidebar.highlighted
        if self.backend is None or self.conversing is None or chat is None:
            return
        store = self.backend.store
        title = (await store(Store.conversation, chat)).title
        hint = "Empty goes back to the one made from the first message."
        typed = await self.app.push_screen_wait(AskLine("Rename the chat", title, hint))
        if typed is not None:
            await self._guarded(store(Store.rename, chat, typed))
            await self.conversing.session.refresh()
            await self.list_chats()

    def action_delete_chat(self) -> None:
        self.do(self._delete())

    async def _delete(self) -> None:
        from trimtab.chat.store import Store

        chat = self.sidebar.highlighted
        if self.backend is None or self.conversing is None or chat is None:
            return
        if chat == self.conversing.id:
            await self.conversing.stop()
            await self.conversing.new()
        await self.backend.store(Store.delete, chat)
        self._deleted = chat
        self.tell(f"deleted; {self.trimtab.key('restore')} in the list brings it back")
        await self.list_chats()

    def action_restore_chat(self) -> None:
        self.do(self._restore())

    async def _restore(self) -> None:
        from trimtab.chat.store import Store

        if self.backend is None:
            return
        if self._deleted is None:
            gone = await self.backend.store(Store.conversations, limit=1, deleted=True)
            self._deleted = gone[0].id if gone else None
        if self._deleted is None:
            self.tell("nothing was deleted")
            return
        chat, self._deleted = self._deleted, None
        await self.backend.store(Store.restore, chat)
        await self.list_chats()


def _found(store: Store, query: str) -> list[Listed]:
    if not query:
        return [Listed(each.id, each.title, each.changed) for each in store.conversations()]
    return [
        Listed(
            each.summary.id,
            each.summary.title,
            each.summary.changed,
            each.hit.snippet.text if each.hit else "",
        )
        for each in store.find(query)
    ]
