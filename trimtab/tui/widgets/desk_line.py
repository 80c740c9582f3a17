"""A line of the desk: key, switch, name, slider, level, and a small meter of what the model reads."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.reactive import reactive
from textual.widget import Widget

from trimtab.tui.markdown.rows import width_of
from trimtab.tui.shown import line
from trimtab.tui.values import REACH, ValueFacts
from trimtab.tui.widgets.slider import Scale, Slider

_BARS = "▁▂▃▄▅▆▇█"
LEVEL = Scale(low=-REACH, high=REACH, origin=0.0, step=0.5, fine=0.1, coarse=1.0, lowest=-10.0, highest=10.0)


class DeskLineHead(Widget):
    """Key, switch and name."""

    on: reactive[bool] = reactive(False)

    def __init__(self, facts: ValueFacts) -> None:
        super().__init__(classes="head")
        self._facts = facts

    def render(self) -> Text:
        sign = ("●" if self.on else "○") if self._facts.built else "·"
        room = self.content_size.width - 4
        name = line(self._facts.id, 40)
        name = name if width_of(name) <= room else f"{name[: max(0, room - 1)]}…"
        return Text.assemble((self._facts.key or " ", "dim"), " ", sign, " ", name, no_wrap=True)


class DeskLineTail(Widget):
    """Level and meter."""

    level: reactive[float] = reactive(0.0)
    reading: reactive[float | None] = reactive(None)
    """P of the value's probe at the last token."""

    def render(self) -> Text:
        sign = "+" if self.level > 0 else "−" if self.level < 0 else " "
        number = f"{sign}{abs(self.level):.1f}"
        bar = " " if self.reading is None else _BARS[min(7, max(0, int(self.reading * 8)))]
        return Text.assemble(f"{number:>5} ", (bar, "dim"), no_wrap=True)


class DeskLine(Horizontal):
    """Shows one dial; its slider's messages go up to the desk."""

    DEFAULT_CSS = """
    DeskLine {
        height: 1;
        & > .head { width: 19; padding-right: 1; }
        & > Slider { width: 1fr; }
        & > DeskLineTail { width: 8; content-align: right middle; }
        &.-unbuilt { color: $foreground 55%; }
        &:focus-within > .head { text-style: bold; color: $text-primary; }
    }
    """

    def __init__(self, facts: ValueFacts) -> None:
        super().__init__(classes="" if facts.built else "-unbuilt")
        self.facts = facts
        self.head = DeskLineHead(facts)
        self.slider = Slider(LEVEL, zones=facts.zones, type_digits=False)
        self.tail = DeskLineTail()

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.slider
        yield self.tail

    def put(self, *, on: bool, level: float, silenced: bool) -> None:
        """Shows a dial as it stands."""
        self.head.on = on
        self.slider.value = level
        self.slider.active = on and not silenced
        self.tail.level = level

    def read(self, probability: float | None) -> None:
        self.tail.reading = probability
