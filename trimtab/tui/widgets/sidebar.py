"""The list of chats: by date, or by what is searched for."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from trimtab.tui.keys import bindings
from trimtab.tui.shown import line

SOON = 0.15
"""Seconds after the last letter until it is searched."""


@dataclass(frozen=True)
class Listed:
    """A chat in the list."""

    id: int
    title: str
    changed: float
    snippet: str = ""
    """What was found in it."""


class Sidebar(Vertical):
    """Asks for what it shows, so that it knows no store."""

    DEFAULT_CSS = """
    Sidebar {
        border-right: solid $foreground 20%; padding: 0 1 0 1;
        & > Input { height: 1; border: none; padding: 0; background: $background; margin-bottom: 1; }
        & > Input:focus { background: $foreground 7%; }
        & > OptionList {
            height: 1fr; border: none; padding: 0; background: $background; scrollbar-size-vertical: 1;
            text-wrap: nowrap; text-overflow: ellipsis;
        }
        & > OptionList:focus { border: none; background-tint: $foreground 0%; }
        & > OptionList > .option-list--option-disabled { color: $foreground 55%; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("chats")]

    class Opened(Message):
        """The user wants this chat."""

        def __init__(self, conversation: int) -> None:
            super().__init__()
            self.conversation = conversation

    class Searched(Message):
        """The list is to show what fits these words, or all."""

        def __init__(self, query: str) -> None:
            super().__init__()
            self.query = query

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._search = Input(placeholder="search", compact=True, id="search")
        self._list = OptionList(markup=False, id="chats")
        self._waiting: Timer | None = None
        self._open: int | None = None

    def compose(self) -> ComposeResult:
        yield self._search
        yield self._list

    @property
    def query_text(self) -> str:
        return self._search.value.strip()

    @property
    def highlighted(self) -> int | None:
        """The chat under the cursor of the list, else the one that is open."""
        option = self._list.highlighted_option if self._list.has_focus else None
        return int(option.id) if option is not None and option.id else self._open

    def search(self) -> None:
        self.screen.set_focus(self._search)

    def show(self, chats: Sequence[Listed], open: int | None, *, now: float) -> None:
        """The chats, newest first; `open` is marked."""
        self._open = open
        at = self._list.highlighted_option if self._list.has_focus else None
        kept = at.id if at is not None else None
        self._list.clear_options()
        self._list.add_options(list(_options(chats, open, now)))
        for wanted in (kept, str(open)):
            if wanted is not None and any(str(each.id) == wanted for each in chats):
                self._list.highlighted = self._list.get_option_index(wanted)
                break

    @on(Input.Changed, "#search")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._waiting is not None:
            self._waiting.stop()
        self._waiting = self.set_timer(SOON, lambda: self.post_message(self.Searched(self.query_text)))

    @on(Input.Submitted, "#search")
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.screen.set_focus(self._list)
        if self._list.highlighted is None:
            self._list.action_first()

    @on(OptionList.OptionSelected, "#chats")
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option.id:
            self.post_message(self.Opened(int(event.option.id)))


def _options(chats: Sequence[Listed], open: int | None, now: float) -> Iterator[Option]:
    heading = ""
    for chat in chats:
        if (day := when(chat.changed, now)) != heading:
            if heading:
                yield Option(Content(""), disabled=True)
            heading = day
            yield Option(Content(day), disabled=True)
        mark = "▸ " if chat.id == open else "  "
        text = f"{mark}{line(chat.title, 80)}"
        if chat.snippet:
            text += f"\n    {line(chat.snippet, 80)}"
        yield Option(Content(text), id=str(chat.id))


def when(changed: float, now: float) -> str:
    """The heading of a time: today, yesterday, this week, or its month."""
    then, today = (datetime.datetime.fromtimestamp(each).astimezone().date() for each in (changed, now))
    days = (today - then).days
    if days <= 0:
        return "today"
    if days == 1:
        return "yesterday"
    if days < 7:
        return "this week"
    return f"{then:%B}" if then.year == today.year else f"{then:%B %Y}"
