"""All that one dial has: value, strength and gate, and what is known of them."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from trimtab.chat.desk import MAX_STRENGTH, Dial
from trimtab.tui.shown import line
from trimtab.tui.values import ValueFacts
from trimtab.tui.widgets.desk_line import LEVEL
from trimtab.tui.widgets.slider import Scale, Slider

STRENGTH = Scale(low=0.0, high=2.0, start=1.0, step=0.1, fine=0.05, coarse=0.5, highest=MAX_STRENGTH)
GATE = Scale(low=0.0, high=1.0, start=0.0, step=0.05, fine=0.01, coarse=0.2)


class NamedSlider(Horizontal):
    """A slider with its name before it and its number behind."""

    DEFAULT_CSS = """
    NamedSlider { height: 1;
        & > .name { width: 10; color: $foreground 70%; }
        & > .number { width: 10; text-align: right; }
        & > Slider { width: 1fr; }
    }
    """
    told: reactive[str] = reactive("")

    def __init__(self, name: str, slider: Slider) -> None:
        super().__init__()
        self.slider = slider
        self._label = Static(name, markup=False, classes="name")
        self._number = Static("", markup=False, classes="number")

    def compose(self) -> ComposeResult:
        yield self._label
        yield self.slider
        yield self._number

    def watch_told(self, told: str) -> None:
        self._number.update(told)


class Inspector(Vertical):
    """Shows the dial that the focus is or was last on."""

    DEFAULT_CSS = """
    Inspector {
        height: auto; border-top: solid $foreground 20%;
        & > .title { height: 1; text-style: bold; }
        & > .meaning { height: auto; max-height: 3; color: $foreground 70%; }
        & > .known { height: 1; color: $foreground 70%; }
    }
    """

    class Edited(Message):
        """A slider of the inspector was moved."""

        def __init__(self, value: str, change: dict[str, float | None], *, rests: bool) -> None:
            super().__init__()
            self.value = value
            self.change = change
            self.rests = rests

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._facts: ValueFacts | None = None
        self._title = Static("", markup=False, classes="title")
        self._meaning = Static("", markup=False, classes="meaning")
        self._known = Static("", markup=False, classes="known")
        self.level = NamedSlider("value", Slider(LEVEL, id="inspect-level"))
        self.strength = NamedSlider("strength", Slider(STRENGTH, id="inspect-strength"))
        self.gate = NamedSlider("gate", Slider(GATE, id="inspect-gate"))

    def compose(self) -> ComposeResult:
        yield self._title
        yield self._meaning
        yield self.level
        yield self.strength
        yield self.gate
        yield self._known

    def put(self, facts: ValueFacts, dial: Dial) -> None:
        """Shows a dial as it stands."""
        self._facts = facts
        self._title.update(line(facts.name or facts.id))
        self._meaning.update(line(facts.meaning, 200))
        level, strength, gate = self.level.slider, self.strength.slider, self.gate.slider
        level.zones = facts.zones
        level.value, level.active = dial.level, dial.on
        strength.value, strength.active = dial.strength, dial.on
        own = facts.gate or 0.0
        gate.scale = Scale(low=0.0, high=1.0, start=own, step=0.05, fine=0.01, coarse=0.2)
        gate.value = own if dial.gate is None else dial.gate
        gate.active = dial.on and facts.gate is not None
        self.level.told = f"{'+' if dial.level > 0 else '−' if dial.level < 0 else ''}{abs(dial.level):.1f}"
        self.strength.told = f"× {dial.strength:.2f}"
        self.gate.told = self._gate(facts, dial)
        known = facts.told(dial.level) or "" if facts.built else "not built for this model yet"
        self._known.update(known)

    def on_slider_moved(self, event: Slider.Moved) -> None:
        event.stop()
        self._tell(event.slider, event.value, rests=False)

    def on_slider_committed(self, event: Slider.Committed) -> None:
        event.stop()
        self._tell(event.slider, event.value, rests=True)

    def _tell(self, slider: Slider, value: float, *, rests: bool) -> None:
        if self._facts is None:
            return
        change: dict[str, float | None]
        if slider is self.level.slider:
            change = {"level": value}
        elif slider is self.strength.slider:
            change = {"strength": value}
        else:
            change = {"gate": None if value == self._facts.gate else value}
        self.post_message(self.Edited(self._facts.id, change, rests=rests))

    def _gate(self, facts: ValueFacts, dial: Dial) -> str:
        if facts.gate is None:
            return "none"
        if dial.gate is None:
            return f"own {facts.gate:.2f}"
        return f"{dial.gate:.2f}" if dial.gate else "open"
