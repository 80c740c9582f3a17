"""The desk: a line for each value, words to steer by, and the inspector of the line in focus."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from trimtab.chat.desk import Desk
from trimtab.errors import TrimtabError
from trimtab.tui import desk_edit
from trimtab.tui.values import ValueFacts
from trimtab.tui.widgets.desk_line import DeskLine
from trimtab.tui.widgets.inspector import Inspector
from trimtab.tui.widgets.slider import Slider

NOTHING = "No values for this model yet. Build them:\ntrimtab build --all"


class DeskPanel(Vertical):
    """Shows a desk, and turns what the user does into other desks."""

    DEFAULT_CSS = """
    DeskPanel {
        border-left: solid $foreground 20%; padding: 0 1;
        & > #desk-title { height: 1; color: $foreground 70%; }
        & > #desk-lines { height: auto; max-height: 1fr; scrollbar-size-vertical: 1; }
        & > #anchors { height: 1; border: none; padding: 0; background: $background; margin-top: 1; }
        & > #anchors:focus { background: $foreground 7%; }
        & > Inspector { display: none; }
        &.-inspecting > Inspector { display: block; }
    }
    """

    class Edited(Message):
        """The user wants this desk; more changes may follow at once unless it rests."""

        def __init__(self, desk: Desk, *, rests: bool) -> None:
            super().__init__()
            self.desk = desk
            self.rests = rests

    class Refused(Message):
        """What the user wanted cannot be."""

        def __init__(self, error: TrimtabError) -> None:
            super().__init__()
            self.error = error

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.desk = Desk()
        self._values: dict[str, ValueFacts] = {}
        self._at = ""
        """The value of the line that has or had the focus."""
        self._title = Static("desk", markup=False, id="desk-title")
        self._lines = VerticalScroll(
            Static("", markup=False, id="desk-nothing"), id="desk-lines", can_focus=False
        )
        self._anchors = Input(placeholder="+ good best − bad awful", id="anchors", compact=True)
        self.inspector = Inspector()

    def compose(self) -> ComposeResult:
        yield self._title
        yield self._lines
        yield self._anchors

    @property
    def lines(self) -> list[DeskLine]:
        return list(self._lines.query(DeskLine))

    async def offer(self, values: Sequence[ValueFacts]) -> None:
        """The values of the model that is loaded."""
        self._values = {each.id: each for each in values}
        await self._lines.remove_children()
        if values:
            await self._lines.mount_all([DeskLine(each) for each in values])
        else:
            await self._lines.mount(Static(NOTHING, markup=False))
        self._at = self._at if self._at in self._values else next(iter(self._values), "")
        self.show_desk(self.desk)

    def show_desk(self, desk: Desk) -> None:
        """Puts every slider where the desk says; tells nobody."""
        self.desk = desk
        for each in self.lines:
            dial = desk_edit.dial_of(desk, each.facts.id)
            each.put(on=dial.on, level=dial.level, silenced=desk.silenced)
        if not self._anchors.has_focus and self._anchors.value != desk.anchors.text:
            self._anchors.value = desk.anchors.text
        self._title.update("desk: silenced, ! lets it act" if desk.silenced else "desk")
        self._inspect()

    def read(self, watched: dict[str, float]) -> None:
        """The probes at the last token."""
        for each in self.lines:
            each.read(watched.get(each.facts.id))

    def enter(self) -> None:
        """Takes the focus to the line that had it last."""
        target = next((each for each in self.lines if each.facts.id == self._at), None)
        if target is not None:
            self.screen.set_focus(target.slider)
        else:
            self.screen.set_focus(self._anchors)

    def toggle_key(self, key: str) -> None:
        facts = next((each for each in self._values.values() if each.key == key), None)
        if facts is not None:
            self.toggle(facts.id)
            if self.has_pseudo_class("focus-within"):
                self.enter()

    def toggle(self, value: str) -> None:
        facts = self._values[value]
        if not facts.built:
            self.post_message(
                self.Refused(
                    TrimtabError(
                        f"{value} is not built for this model yet.", f"Build it: trimtab build {value}"
                    )
                )
            )
            return
        self._at = value
        self._want(desk_edit.toggled(self.desk, facts), rests=True)

    def flip(self) -> None:
        """The line in focus, on or off."""
        if self._at in self._values:
            self.toggle(self._at)

    def silence(self) -> None:
        self._want(desk_edit.silenced(self.desk), rests=True)

    def write_anchors(self) -> None:
        self._anchors.focus()

    def toggle_inspector(self) -> None:
        if not self.inspector.is_attached:
            _ = self.mount(self.inspector)
        self.toggle_class("-inspecting")
        self._inspect()

    def step(self, by: int) -> None:
        """The line above or below."""
        values = list(self._values)
        if self._at in values:
            self._at = values[max(0, min(len(values) - 1, values.index(self._at) + by))]
            self.enter()

    def on_key(self, event: events.Key) -> None:
        if event.key in {"up", "down"} and not self._anchors.has_focus:
            event.stop()
            self._move(-1 if event.key == "up" else 1)

    def _move(self, by: int) -> None:
        """Up and down walk over lines, or over the sliders of the inspector when one of those has the focus."""
        focused = self.screen.focused
        inner = [self.inspector.level.slider, self.inspector.strength.slider, self.inspector.gate.slider]
        if focused in inner:
            at = inner.index(focused) + by
            if at < 0:
                self.enter()
            elif at < len(inner):
                inner[at].focus()
            return
        values = list(self._values)
        if by > 0 and values and self._at == values[-1] and self.has_class("-inspecting"):
            inner[0].focus()
        else:
            self.step(by)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        line = _line_of(event.widget)
        if line is not None:
            self._at = line.facts.id
            self._inspect()

    def _inspect(self) -> None:
        facts = self._values.get(self._at)
        if facts is not None and self.has_class("-inspecting"):
            self.inspector.put(facts, desk_edit.dial_of(self.desk, facts.id))

    def on_slider_moved(self, event: Slider.Moved) -> None:
        self._slid(event.slider, event.value, rests=False)

    def on_slider_committed(self, event: Slider.Committed) -> None:
        self._slid(event.slider, event.value, rests=True)

    def _slid(self, slider: Slider, value: float, *, rests: bool) -> None:
        line = _line_of(slider)
        if line is None:
            return
        if not line.facts.built:
            slider.value = 0.0
            self.toggle(line.facts.id)
            return
        self._want(desk_edit.at_level(self.desk, line.facts.id, value), rests=rests)

    def on_inspector_edited(self, event: Inspector.Edited) -> None:
        event.stop()
        if "level" in event.change and event.change["level"] is not None:
            self._want(desk_edit.at_level(self.desk, event.value, event.change["level"]), rests=event.rests)
        else:
            self._want(desk_edit.with_dial(self.desk, event.value, **event.change), rests=event.rests)

    @on(Input.Submitted, "#anchors")
    def _worded(self, event: Input.Submitted) -> None:
        event.stop()
        self._want(desk_edit.with_anchors(self.desk, event.value), rests=True)
        self.enter()

    def _want(self, desk: Desk, *, rests: bool) -> None:
        self.show_desk(desk)
        self.post_message(self.Edited(desk, rests=rests))


def _line_of(widget: Widget) -> DeskLine | None:
    return next((each for each in widget.ancestors if isinstance(each, DeskLine)), None)
