"""The conversation on the screen: Markdown that streams, drawn row by row, so that its length costs nothing.

Messages are laid out when they come near the screen. While one is being spoken it is laid out a few times a
second at most, and less often the longer that takes.
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.timer import Timer

from trimtab.tui.markdown.blocks import Code
from trimtab.tui.markdown.rows import Row, width_of
from trimtab.tui.widgets.parts import part_style
from trimtab.tui.widgets.transcript_entry import Entry, EntryLayout, Laid
from trimtab.tui.widgets.transcript_styles import COMPONENTS, CSS, Palette

PAGE = 30
"""Messages that are laid out at once."""
PACE = 1 / 12
"""Seconds between two looks at a growing text."""
SHARE = 0.2
"""Of the time that may go into laying out."""
WIDEST = 100
"""Columns of text; longer lines are hard to read."""
GUTTER = 2


class Transcript(ScrollView, can_focus=True):
    """Messages, the last at the bottom; it follows the end unless the reader has scrolled away from it."""

    ALLOW_SELECT = True
    COMPONENT_CLASSES: ClassVar[set[str]] = COMPONENTS
    DEFAULT_CSS = CSS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,shift+down", "choose(1)", "next message", id="transcript.next", show=False),
        Binding("k,shift+up", "choose(-1)", "previous message", id="transcript.previous", show=False),
        Binding("t", "fold", "fold thinking", id="transcript.fold", show=False),
        Binding("end,G", "end", "newest", id="transcript.end", show=False),
        Binding("home,g", "start", "oldest", id="transcript.start", show=False),
    ]

    cursor: reactive[int | None] = reactive(None)
    """The id of the message that was chosen."""

    class Chosen(Message):
        """Another message was chosen, or none."""

        def __init__(self, transcript: Transcript, message: int | None) -> None:
            super().__init__()
            self.transcript = transcript
            self.message = message

    def __init__(self, *, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._entries: list[Entry] = []
        self._first = 0
        """The first entry that is laid out; all after it are."""
        self._laid: list[Laid] = []
        self._ends: list[int] = []
        """For each that is laid out the row after its last."""
        self._unfolded: set[int] = set()
        self._width = 0
        self._palette = Palette(self._component)
        self._growing: EntryLayout | None = None
        self._latest: Entry | None = None
        """The live entry as it will be laid out next."""
        self._timer: Timer | None = None
        self._pace = PACE
        self.layouts = 0
        """How often a growing text was laid out, for those who measure."""

    # What it shows

    @property
    def entries(self) -> Sequence[Entry]:
        return self._entries

    def show(self, entries: Sequence[Entry]) -> None:
        """All messages anew; those that did not change keep their layout, and the reader the place."""
        following = self.is_vertical_scroll_end or not self._entries
        self._stop_growing()
        # Before it was ever on the screen, nothing is laid out.
        known = dict(zip(self._entries[self._first :], self._laid, strict=False))
        same = bool(entries and self._entries and entries[0].id == self._entries[0].id)
        self._entries = list(entries)
        self._first = min(self._first, max(0, len(entries) - PAGE)) if same else max(0, len(entries) - PAGE)
        if self.cursor is not None and all(entry.id != self.cursor for entry in entries):
            self.cursor = None
        self._lay_out_all({} if not same else known)
        if following or not same:
            self._to_end()

    def grow(self, entry: Entry) -> None:
        """The last message, with more text than before: shown soon, not at once."""
        assert self._entries and self._entries[-1].id == entry.id
        self._latest = entry
        if self._timer is None and self._width:
            self._timer = self.set_timer(self._pace, self._draw_growing)

    def update_last(self, entry: Entry) -> None:
        """The last message as it is now, at once."""
        self._latest = entry
        self._draw_growing()

    def chosen(self) -> Entry | None:
        """The message under the cursor, or else the last one."""
        if self.cursor is None:
            return self._entries[-1] if self._entries else None
        return next((entry for entry in self._entries if entry.id == self.cursor), None)

    def codes(self, message: int) -> Sequence[Code]:
        """The code blocks of a message that is laid out."""
        for entry, laid in zip(self._entries[self._first :], self._laid, strict=False):
            if entry.id == message:
                return laid.codes
        return ()

    def lines(self) -> list[str]:
        """What is laid out, as text."""
        return [row.text for laid in self._laid for row in laid.rows]

    # Layout

    def _lay_out_all(self, known: dict[Entry, Laid] | None = None) -> None:
        if not self._width:
            return
        known = known or {}
        self._laid = [known.get(entry) or self._lay_out(entry) for entry in self._entries[self._first :]]
        self._measure()

    def _lay_out(self, entry: Entry, layout: EntryLayout | None = None) -> Laid:
        return (layout or EntryLayout(self._width)).lay_out(entry, unfolded=entry.id in self._unfolded)

    def _measure(self, since: int = 0) -> None:
        del self._ends[since:]
        end = self._ends[-1] if self._ends else self._above
        for laid in self._laid[since:]:
            end += len(laid.rows)
            self._ends.append(end)
        self.virtual_size = Size(self.size.width, end)
        self.refresh()

    @property
    def _above(self) -> int:
        """Rows before the first entry that is laid out."""
        return 2 if self._first else 0

    def _draw_growing(self) -> None:
        self._timer = None
        entry, self._latest = self._latest, None
        if entry is None or not self._laid:
            return
        following = self.is_vertical_scroll_end
        began = time.perf_counter()
        if self._growing is None or self._growing.width != self._width:
            self._growing = EntryLayout(self._width)
        before = len(self._laid[-1].rows)
        self._entries[-1] = entry
        self._laid[-1] = self._lay_out(entry, self._growing)
        self.layouts += 1
        if before != len(self._laid[-1].rows):
            self._measure(len(self._laid) - 1)
        else:
            self.refresh()
        if following:
            self._to_end()
        self._pace = max(PACE, (time.perf_counter() - began) / SHARE)

    def _stop_growing(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self._growing = self._latest = None
        self._pace = PACE

    def on_resize(self) -> None:
        width = max(8, min(WIDEST, self.size.width - GUTTER - 1))
        if width == self._width:
            return
        following = self.is_vertical_scroll_end or not self._width
        anchor = self._at(self.scroll_offset.y)
        self._width = width
        if anchor is not None and not following:
            self._first = min(anchor[0], max(0, len(self._entries) - PAGE))
        else:
            self._first = max(0, len(self._entries) - PAGE)
        self._lay_out_all()
        if following:
            self._to_end()
        elif anchor is not None:
            self._show_entry(anchor[0])

    # Scrolling

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if self._first and new_value < old_value and new_value < self.size.height:
            self.call_later(self._earlier)

    def _earlier(self, count: int = PAGE) -> None:
        """Lays out the page before; what is on the screen stays where it is."""
        if not self._first:
            return
        before, above = self.virtual_size.height, self.scroll_offset.y
        first = max(0, self._first - count)
        self._laid[:0] = [self._lay_out(entry) for entry in self._entries[first : self._first]]
        self._first = first
        self._measure()
        if self.text_selection is not None:
            self.screen.clear_selection()  # it counted rows from above
        self.scroll_to(y=above + self.virtual_size.height - before, animate=False, force=True, immediate=True)

    def _to_end(self) -> None:
        self.scroll_to(y=self.max_scroll_y, animate=False, force=True, immediate=True)

    def action_end(self) -> None:
        self._to_end()

    def action_start(self) -> None:
        self._earlier(len(self._entries))
        self.scroll_to(y=0, animate=False, force=True, immediate=True)

    # Choosing

    def action_choose(self, step: int) -> None:
        """The message before or after; past the last none is chosen."""
        if not self._entries:
            return
        at = next(
            (at for at, entry in enumerate(self._entries) if entry.id == self.cursor), len(self._entries)
        )
        at = max(0, at + step)
        self.choose(self._entries[at].id if at < len(self._entries) else None)

    def choose(self, message: int | None) -> None:
        """Puts the cursor on a message and brings it on the screen."""
        self.cursor = message
        self.post_message(self.Chosen(self, message))
        at = next((at for at, entry in enumerate(self._entries) if entry.id == message), None)
        if at is None:
            self._to_end()
            return
        if at < self._first:
            self._earlier(self._first - at)
        self._show_entry(at)

    def _show_entry(self, at: int) -> None:
        if not self._first <= at < self._first + len(self._laid):
            return
        start = self._start(at - self._first)
        height = len(self._laid[at - self._first].rows)
        top, room = self.scroll_offset.y, self.size.height
        if start < top or height >= room:
            self.scroll_to(y=start, animate=False, force=True, immediate=True)
        elif start + height > top + room:
            self.scroll_to(y=start + height - room, animate=False, force=True, immediate=True)

    def action_fold(self) -> None:
        if (entry := self.chosen()) is not None:
            self._fold(entry)

    def _fold(self, entry: Entry) -> None:
        self._unfolded ^= {entry.id}
        at = self._entries.index(entry) - self._first
        if at >= 0:
            self._laid[at] = self._lay_out(entry)
            self._measure(at)

    def on_click(self, event: events.Click) -> None:
        found = self._at(self.scroll_offset.y + event.y)
        if found is None:
            return
        entry = self._entries[found[0]]
        if self._laid[found[0] - self._first].rows[found[1]].fold:
            self._fold(entry)
        else:
            self.cursor = entry.id
            self.post_message(self.Chosen(self, entry.id))

    def code_at(self, y: int) -> Code | None:
        """The code block on a row of the screen."""
        found = self._at(self.scroll_offset.y + y)
        if found is None:
            return None
        laid = self._laid[found[0] - self._first]
        number = laid.rows[found[1]].code
        return None if number is None else laid.codes[number]

    def _at(self, y: int) -> tuple[int, int] | None:
        """Which entry, and which of its rows, lies in a row of the whole."""
        if y < self._above or not self._ends or y >= self._ends[-1]:
            return None
        at = bisect.bisect_right(self._ends, y)
        return self._first + at, y - self._start(at)

    def _start(self, at: int) -> int:
        return self._ends[at - 1] if at else self._above

    # Drawing

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._palette.forget()

    def _component(self, name: str) -> Style:
        return part_style(self, name)

    def render_line(self, y: int) -> Strip:
        row_y = self.scroll_offset.y + y
        width, plain = self.size.width, self.rich_style
        found = self._at(row_y)
        if found is None:
            if self._first and row_y == 0:
                note = f"  ↑ {self._first} earlier messages"
                return Strip([Segment(note, plain + self._palette("faint"))]).adjust_cell_length(width, plain)
            return Strip.blank(width, plain)
        entry = self._entries[found[0]]
        row = self._laid[found[0] - self._first].rows[found[1]]
        chosen = entry.id == self.cursor and bool(
            row.runs or found[1] < len(self._laid[found[0] - self._first].rows) - 1
        )
        gutter = Segment("▌ " if chosen else "  ", plain + self._palette("chosen"))
        segments = [
            gutter,
            *(Segment(text, plain + self._palette(style)) for text, style in row.runs if text),
        ]
        strip = Strip(segments).adjust_cell_length(width, plain)
        return self._selected(strip, row, row_y).apply_offsets(0, row_y)

    def _selected(self, strip: Strip, row: Row, y: int) -> Strip:
        selection = self.text_selection
        span = None if selection is None else selection.get_span(y)
        if span is None:
            return strip
        text = " " * GUTTER + row.text
        start, end = span[0], len(text) if span[1] == -1 else span[1]
        left, right = (width_of(text[:at]) for at in (max(start, GUTTER), end))
        if left >= right:
            return strip
        style = self.screen.get_component_rich_style("screen--selection")
        before, inside, after = (
            strip.crop(0, left), strip.crop(left, right), strip.crop(right, strip.cell_length),
        )  # fmt: skip
        return Strip.join([before, inside.apply_style(style), after])

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Copied text has no gutter."""
        above = [""] * self._above
        whole = "\n".join([*above, *(" " * GUTTER + line for line in self.lines())])
        lines = selection.extract(whole).split("\n")
        start = 0 if selection.start is None else selection.start.x
        lines[0] = lines[0][max(0, GUTTER - start) :]
        return "\n".join([lines[0], *(line[GUTTER:] for line in lines[1:])]), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()
