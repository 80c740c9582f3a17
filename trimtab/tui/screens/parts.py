"""What all actions of the chat screen stand on: its widgets, what lies behind it, and how errors are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from trimtab.chat.desk import Desk
from trimtab.errors import TrimtabError
from trimtab.tui.desk_edit import History
from trimtab.tui.shown import line
from trimtab.tui.widgets.composer import Composer
from trimtab.tui.widgets.desk_panel import DeskPanel
from trimtab.tui.widgets.lines import KeyLine, TopLine
from trimtab.tui.widgets.sidebar import Sidebar
from trimtab.tui.widgets.transcript import Transcript

if TYPE_CHECKING:
    from trimtab.engine.contract import ModelInfo
    from trimtab.tui.app import TrimtabApp
    from trimtab.tui.backend import Backend
    from trimtab.tui.conversing import Conversing


class ChatParts(Screen[None]):
    """Knows what is on the screen, and nothing of what keys do."""

    def __init__(self) -> None:
        super().__init__()
        self.top = TopLine()
        self.sidebar = Sidebar(id="sidebar")
        self.transcript = Transcript(id="transcript")
        self.composer = Composer(placeholder="ask something…", id="composer")
        self.panel = DeskPanel(id="desk")
        self.keys = KeyLine()
        self.backend: Backend | None = None
        self.conversing: Conversing | None = None
        self.model: asyncio.Future[ModelInfo] = asyncio.get_running_loop().create_future()
        """The model, or why there is none."""
        self.history = History(Desk())
        self.editing: int | None = None
        """The message that what is written will be another version of."""

    @property
    def trimtab(self) -> TrimtabApp:
        from trimtab.tui.app import TrimtabApp

        assert isinstance(self.app, TrimtabApp)
        return self.app

    def conversation_changed(self) -> None:
        """The messages that are looked at are others now."""
        raise NotImplementedError

    def do(self, work: Awaitable[object]) -> None:
        """In the background; what goes wrong is told."""
        self.run_worker(self._guarded(work))

    async def _guarded(self, work: Awaitable[object]) -> None:
        try:
            await work
        except TrimtabError as error:
            self.trouble(error)

    def trouble(self, error: TrimtabError) -> None:
        self.tell(str(error), "error")

    def tell(self, what: str, severity: Any = "information") -> None:
        self.app.notify(
            line(what, 600), severity=severity, markup=False, timeout=8 if severity == "error" else 4
        )
