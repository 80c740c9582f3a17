"""What an empty chat shows: questions to try, and how to steer."""

from __future__ import annotations

from rich.text import Text
from textual.widget import Widget

from trimtab.tui.markdown.rows import wrapped

QUESTIONS = (
    "Should I keep the steady job or join the travelling circus?",
    "I have a free Sunday. Should I rest in the garden or learn something new?",
    "Is it better to follow the customs of my village or to go my own way?",
)
"""To try the dials on; each can be answered from several values."""
_WIDEST = 76
_BEFORE = "Ask something. ↑ brings these to try:"
_AFTER = (
    "Then turn a dial and ask again: Esc leads to the desk, ← and → move a value, a number key turns one on or off.",
    "r answers anew, n answers without steering. F1 shows every key.",
)


class Welcome(Widget):
    """Fills the place of the conversation."""

    def render(self) -> Text:
        width = max(10, min(_WIDEST, self.content_size.width))
        lines = [_BEFORE, ""]
        for question in QUESTIONS:
            first, *others = wrapped([(question, "")], width - 2)
            lines += [f"• {first.text}", *(f"  {row.text}" for row in others)]
        for paragraph in _AFTER:
            lines += ["", *(row.text for row in wrapped([(paragraph, "")], width))]
        return Text("\n".join(lines), no_wrap=True)
