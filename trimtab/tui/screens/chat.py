"""The chat screen: chats on the left, the conversation between, the desk on the right."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from trimtab.errors import TrimtabError
from trimtab.tui.desk_edit import History
from trimtab.tui.keys import bindings
from trimtab.tui.screens.desk_actions import DeskActions
from trimtab.tui.screens.list_actions import ROOM_FOR_BOTH, ListActions
from trimtab.tui.screens.message_actions import MessageActions
from trimtab.tui.shown import line
from trimtab.tui.widgets.transcript_entry import Entry
from trimtab.tui.widgets.welcome import QUESTIONS, Welcome

if TYPE_CHECKING:
    from trimtab.engine.contract import ModelInfo, Token

TOLD = 0.2
"""Seconds between two looks at speed and meters."""


class ChatScreen(MessageActions, DeskActions, ListActions):
    """Paints first, then opens what lies behind it."""

    CSS = """
    ChatScreen {
        background: $background;
        & > #middle { height: 1fr; }
        & #talk { width: 1fr; min-width: 12; }
        & #transcript { height: 1fr; padding-top: 1; }
        & #welcome { height: 1fr; padding: 1 2; color: $foreground 80%; display: none; }
        &.-empty #welcome { display: block; }
        &.-empty #transcript { display: none; }
        & #sidebar { width: 24; }
        & #desk { width: 44; }
        &.-tiny #sidebar, &.-tiny #desk, &.-narrow #sidebar { display: none; }
        &.-narrow #desk { width: 33; }
        &.-narrow #desk .head { width: 16; }
        &.-narrow #desk DeskLineTail { width: 7; }
        &.-wide #sidebar { width: 32; }
        &.-wide #desk { width: 58; }
    }
    """
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [  # noqa: RUF012  (as Textual declares it)
        (0, "-tiny"), (70, "-narrow"), (ROOM_FOR_BOTH, "-normal"), (160, "-wide"),
    ]  # fmt: skip
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("anywhere", "desk", "messages"),
        Binding("escape", "to_desk", "desk", id="to-desk", show=False),
    ]
    AUTO_FOCUS = "#composer"

    def __init__(self) -> None:
        super().__init__()
        self.add_class("-empty")
        self._welcome = Welcome(id="welcome")
        self._told = 0.0
        self._left = False
        self._looked_at: int | None = None
        """The chat that the desk was shown for."""

    def compose(self) -> ComposeResult:
        yield self.top
        with Horizontal(id="middle"):
            yield self.sidebar
            with Vertical(id="talk"):
                yield self._welcome
                yield self.transcript
                yield self.composer
            yield self.panel
        yield self.keys

    def on_mount(self) -> None:
        look = self.trimtab.settings.look
        self.composer.cursor_blink = look.blink
        if not look.sidebar:
            self.sidebar.display = False
        if not look.desk:
            self.panel.display = False
        self.top.model = "starting…"
        self.composer.remember(list(QUESTIONS))
        self.call_after_refresh(lambda: self.run_worker(self._start(), name="start"))

    async def _start(self) -> None:
        """Opens store and engine, and loads the model, while the screen can be used."""
        try:
            self.backend = await self.trimtab.open_backend()
            from trimtab.tui.conversing import Conversing

            self.conversing = Conversing(self.backend, self.trimtab.settings, self)
            for notice in self.backend.notices:
                self.tell(notice, "warning")
            await self.list_chats()
            await self._recall_written()
            info = await self.backend.load(self._loading)
        except TrimtabError as error:
            self.top.model = line(error.what)
            self.trouble(error)
            self._settle_model(error)
            return
        await self._model_loaded(info)
        self._settle_model(info)

    def _settle_model(self, outcome: ModelInfo | TrimtabError) -> None:
        if self.model.done():
            self.model = asyncio.get_running_loop().create_future()
        if isinstance(outcome, TrimtabError):
            self.model.set_exception(outcome)
            self.model.exception()  # whoever sends something is told; nobody has to
        else:
            self.model.set_result(outcome)

    async def _model_loaded(self, info: ModelInfo) -> None:
        assert self.backend is not None and self.conversing is not None
        self.top.model = f"{line(info.name, 40)} · {_ENGINES[info.engine]} · {line(info.quantisation, 20)}"
        for warning in info.warnings:
            self.tell(warning, "warning")
        await self.panel.offer(self.backend.values)
        await self.conversing.values_known()
        self._show_desk()

    def _loading(self, fraction: float) -> None:
        self.top.model = f"loading the model {fraction:.0%}"

    async def _recall_written(self) -> None:
        """What Up goes back to: the questions to try, then what was said before."""
        assert self.backend is not None
        said = await self.backend.store.run(_said_before)
        self.composer.remember([*QUESTIONS, *said])

    # What the conversation tells

    def conversation_changed(self) -> None:
        if self._left:
            return
        entries = self.conversing.entries() if self.conversing is not None else []
        self.set_class(not entries, "-empty")
        self.transcript.show(entries)
        if self.conversing is None:
            return
        if self.conversing.id != self._looked_at:
            self._looked_at = self.conversing.id
            if self.panel.desk != self.conversing.desk:
                self._show_desk()
        self._tell_window()
        self.do(self.list_chats())

    def reply_grew(self, entry: Entry, token: Token | None) -> None:
        if self._left:
            return
        if self.transcript.entries and self.transcript.entries[-1].id == entry.id:
            self.transcript.grow(entry)
        now = time.monotonic()
        if token is not None and now - self._told > TOLD:
            self._told = now
            self.panel.read(token.watched)
            self._tell_window()

    def reply_ended(self) -> None:
        if not self._left:
            self._tell_window()

    def _show_desk(self) -> None:
        assert self.conversing is not None
        self.history = History(self.conversing.desk)
        self.panel.show_desk(self.conversing.desk)
        self.top.steering = f"desk: {self.conversing.steering}"

    def _tell_window(self) -> None:
        """How much of the window is used, and how fast it goes."""
        if self.conversing is None or self.backend is None or self.backend.engine.info is None:
            return
        self.top.steering = f"desk: {self.conversing.steering}"
        used, speed = self.conversing.used()
        self.top.window = f"ctx {used}/{self.backend.engine.info.context}" if used else ""
        self.top.speed = f"{speed:.0f} tok/s" if speed else ""

    # Keys of the whole screen

    def action_to_desk(self) -> None:
        if self.panel.display:
            self.panel.enter()
        else:
            self.set_focus(self.transcript)

    def action_help(self) -> None:
        self.trimtab.show_help()

    def action_settings(self) -> None:
        self.trimtab.show_settings()

    def action_next_theme(self) -> None:
        self.trimtab.next_theme()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self.call_after_refresh(self.keys.look)

    async def on_unmount(self) -> None:
        """However the app ends."""
        await self.close_behind()

    async def close_behind(self) -> None:
        """Keeps what is being said, and lets engine and store go; the screen shows nothing more."""
        self._left = True
        conversing, self.conversing = self.conversing, None
        backend, self.backend = self.backend, None
        if conversing is not None:
            await conversing.close()
        if backend is not None:
            await backend.close()


_ENGINES = {"llama": "llama.cpp", "torch": "PyTorch"}


def _said_before(store: object) -> list[str]:
    """What the user said last in the newest chats, the newest at the end."""
    from trimtab.chat.store import Store

    assert isinstance(store, Store)
    said: list[str] = []
    for summary in store.conversations(limit=20):
        said += [each.text for each in reversed(store.tree(summary.id).path()) if each.speaker == "user"]
    return list(dict.fromkeys(said[:200]))[::-1]
