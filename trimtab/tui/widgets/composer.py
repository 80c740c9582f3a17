"""Where messages are written: Enter sends, several keys make a new line, and what was written before comes back."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import TextArea

from trimtab.tui.keys import bindings

MOST_KEPT = 500
"""Messages that Up goes back to."""


class Composer(TextArea):
    """Grows with what is written in it, up to a third of the screen."""

    DEFAULT_CSS = """
    Composer {
        height: auto; min-height: 3; max-height: 33vh;
        border: none; border-top: solid $foreground 20%; padding: 0 1;
        background: $background;
        scrollbar-size-vertical: 1;
        & .text-area--cursor-line { background: $background; }
        &:focus { border: none; border-top: solid $primary; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("writing")]

    class Sent(Message):
        """The user wants this said."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, *, placeholder: str = "", blink: bool = False, id: str | None = None) -> None:
        super().__init__(
            soft_wrap=True,
            tab_behavior="focus",
            show_line_numbers=False,
            highlight_cursor_line=False,
            placeholder=placeholder,
            id=id,
        )
        self.cursor_blink = blink
        self.enter_sends = True
        """Unless the settings give sending to other keys."""
        self._written: list[str] = []
        self._at: int | None = None
        """Which earlier message is shown."""
        self._draft = ""

    def remember(self, written: list[str]) -> None:
        """What Up goes back to, the newest last."""
        self._written = [text for text in written if text.strip()][-MOST_KEPT:]
        self._at = None

    def put(self, text: str) -> None:
        """The text to go on writing at, the cursor behind it."""
        self.text = text
        self.move_cursor(self.document.end)

    async def _on_key(self, event: events.Key) -> None:
        # TextArea would take Enter for a new line before its bindings are asked.
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            if self.enter_sends:
                self.action_send()
            else:
                self.insert("\n")

    def action_send(self) -> None:
        text = self.text
        if not text.strip():
            return
        self._written.append(text)
        self._at = None
        self.text = ""
        self.post_message(self.Sent(text))

    def action_newline(self) -> None:
        self.insert("\n")

    def action_older(self) -> None:
        if self.cursor_location[0] or not self._written or self._at == 0:
            self.action_cursor_up()
            return
        if self._at is None:
            self._draft = self.text
            self._at = len(self._written)
        self._at -= 1
        self.put(self._written[self._at])
        self.move_cursor((0, 0))

    def action_newer(self) -> None:
        if self._at is None or self.cursor_location[0] < self.document.line_count - 1:
            self.action_cursor_down()
            return
        self._at = self._at + 1 if self._at + 1 < len(self._written) else None
        self.put(self._draft if self._at is None else self._written[self._at])
