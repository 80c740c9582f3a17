"""The line above the screen and the one below it: how things stand, and which keys act."""

from __future__ import annotations

from rich.text import Text
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, TextArea

from trimtab.tui.keys import KEYS, shown
from trimtab.tui.shown import line

_EVERYWHERE = {key.id for key in KEYS if key.where == "anywhere"}


class TopLine(Widget):
    """The model, the steering, the window and the speed."""

    DEFAULT_CSS = """
    TopLine { height: 1; padding: 0 1; background: $surface; color: $foreground 80%; }
    """
    model: reactive[str] = reactive("")
    steering: reactive[str] = reactive("")
    window: reactive[str] = reactive("")
    speed: reactive[str] = reactive("")

    def render(self) -> Text:
        """What does not fit is left out from the left of the right side, the steering last."""
        width = self.content_size.width
        left = Text.assemble(("trimtab", "bold"), "  ", line(self.model))
        parts = [part for part in (line(self.steering), self.window, self.speed) if part]
        room = width - left.cell_len - 3
        while len(parts) > 1 and sum(map(len, parts)) + 3 * (len(parts) - 1) > room:
            parts.pop()
        right = Text("   ".join(parts))
        if right.cell_len > room:
            right.truncate(max(0, room), overflow="ellipsis")
        gap = max(1, width - left.cell_len - right.cell_len)
        whole = Text.assemble(left, " " * gap, right, no_wrap=True)
        whole.truncate(width, overflow="ellipsis")
        return whole


class KeyLine(Widget):
    """The keys that act where the focus is."""

    DEFAULT_CSS = """
    KeyLine { height: 1; padding: 0 1; background: $surface; color: $foreground 65%; }
    """
    keys: reactive[tuple[tuple[str, str], ...]] = reactive(())

    def look(self) -> None:
        """Takes the bindings that are live on the screen."""
        found: dict[str, tuple[str, bool]] = {}
        writing = isinstance(self.screen.focused, TextArea | Input)
        for _, binding, enabled, _ in self.screen.active_bindings.values():
            key = shown(binding.key)
            typed = writing and len(key) == 1 and key.isprintable() and key.isascii()
            if binding.show and enabled and not typed and binding.description not in found:
                found[binding.description] = (key, binding.id in _EVERYWHERE)
        self.keys = tuple(
            (key, name) for name, (key, last) in sorted(found.items(), key=lambda each: each[1][1])
        )

    def render(self) -> Text:
        width = self.content_size.width
        whole = Text(no_wrap=True)
        for key, name in self.keys:
            part = Text.assemble((key, "bold"), " ", name)
            gap = 2 if whole.cell_len else 0
            if whole.cell_len + gap + part.cell_len > width:
                break
            whole = Text.assemble(whole, " " * gap, part)
        return whole
