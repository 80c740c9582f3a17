"""A slider for one number: mouse, wheel, keys or a typed number; its zones and its knob are told apart without colour.

`Slider.Moved` comes while it moves, `Slider.Committed` when it rests.
"""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from trimtab.tui.widgets.parts import part_style
from trimtab.tui.widgets.slider_track import Scale, Zone, draw

__all__ = ["Scale", "Slider", "Zone"]

REST = 0.4
"""Seconds without a further key or turn of the wheel after which a move is committed."""
_NUMBER = frozenset("0123456789.,+-−")
_LONGEST_NUMBER = 12


class Slider(Widget, can_focus=True):
    """One line high, as wide as it is given room."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "slider--track", "slider--fill", "slider--costly", "slider--broken", "slider--knob", "slider--typing",
    }  # fmt: skip
    DEFAULT_CSS = """
    Slider {
        height: 1;
        min-width: 5;
        & > .slider--track { color: $foreground 45%; }
        & > .slider--fill { color: $primary; }
        & > .slider--costly { color: $warning; }
        & > .slider--broken { color: $error; }
        & > .slider--knob { color: $primary; text-style: bold; }
        & > .slider--typing { text-style: underline; }
        &.-off > .slider--fill, &.-off > .slider--knob { color: $foreground 55%; text-style: none; }
        &:focus > .slider--knob { text-style: bold reverse; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", "less", id="slider.less", key_display="←"),
        Binding("right", "step(1)", "more", id="slider.more", key_display="→"),
        Binding("shift+left", "fine(-1)", "a little less", id="slider.finer-less", show=False),
        Binding("shift+right", "fine(1)", "a little more", id="slider.finer-more", show=False),
        Binding("pagedown,ctrl+left", "coarse(-1)", "much less", id="slider.coarse-less", show=False),
        Binding("pageup,ctrl+right", "coarse(1)", "much more", id="slider.coarse-more", show=False),
        Binding("home", "to_low", "lowest", id="slider.low", show=False),
        Binding("end", "to_high", "highest", id="slider.high", show=False),
        Binding("backspace,delete", "reset", "reset", id="slider.reset", show=False),
        Binding("equals_sign", "type_number", "type a number", id="slider.type", key_display="=", show=False),
    ]

    value = reactive(0.0)
    """Where it stands. Setting it moves the knob and tells nobody."""
    active = reactive(True)
    """Whether what it sets is on; the knob is hollow where it is not."""
    zones: reactive[tuple[Zone, ...]] = reactive(())
    """Which parts of the scale were measured to cost something, or to break it."""

    class _Told(Message):
        def __init__(self, slider: Slider, value: float) -> None:
            super().__init__()
            self.slider = slider
            self.value = value

        @property
        def control(self) -> Slider:
            return self.slider

    class Moved(_Told):
        """The user is moving it; more may follow at once."""

    class Committed(_Told):
        """The user has moved it, and it rests."""

    def __init__(
        self,
        scale: Scale,
        value: float | None = None,
        *,
        zones: tuple[Zone, ...] = (),
        type_digits: bool = True,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """With `type_digits` a digit begins a number; without it only `=` does."""
        super().__init__(name=name, id=id, classes=classes)
        self.scale = scale
        self._type_digits = type_digits
        self._typed: str | None = None
        self._dragging = False
        self._moving = False
        self._resting: Timer | None = None
        self.set_reactive(Slider.zones, zones)
        self.set_reactive(Slider.value, scale.typed(scale.start if value is None else value))
        self._before = self.value
        """What was last committed, or set from outside."""

    @property
    def typing(self) -> bool:
        return self._typed is not None

    def move_to(self, value: float, *, rests: bool = False) -> None:
        """As the user would: who listens is told."""
        value = self.scale.typed(value)
        if value != self.value:
            self._moving = True
            self.value = value
            self._moving = False
            self.post_message(self.Moved(self, value))
        if rests:
            self._commit()
        elif not self._dragging:
            self._rest_later()

    def validate_value(self, value: float) -> float:
        return self.scale.typed(value)

    def watch_value(self) -> None:
        if not self._moving:
            self._before = self.value

    def watch_active(self, active: bool) -> None:
        self.set_class(not active, "-off")

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return 1

    def render_line(self, y: int) -> Strip:
        width, plain = self.size.width, self.rich_style
        if y:
            return Strip.blank(width, plain)
        if self._typed is not None:
            style = plain + part_style(self, "slider--typing")
            shown = f"= {self._typed}▏"[-width:]
            return Strip([Segment(shown, style)]).adjust_cell_length(width, plain)
        drawn = draw(self.scale, self.value, width, self.zones, active=self.active)
        return Strip(
            [Segment(text, plain + part_style(self, f"slider--{part}")) for text, part in drawn],
            width,
        )

    def action_step(self, sign: int) -> None:
        self.move_to(self.scale.clamped(self.value + sign * self.scale.step))

    def action_fine(self, sign: int) -> None:
        self.move_to(self.scale.clamped(self.value + sign * self.scale.fine))

    def action_coarse(self, sign: int) -> None:
        self.move_to(self.scale.clamped(self.value + sign * self.scale.coarse))

    def action_to_low(self) -> None:
        self.move_to(self.scale.low)

    def action_to_high(self) -> None:
        self.move_to(self.scale.high)

    def action_reset(self) -> None:
        self.move_to(self.scale.start, rests=True)

    def action_type_number(self) -> None:
        self._type("")

    def on_key(self, event: events.Key) -> None:
        number = event.character is not None and event.character in _NUMBER
        if self._typed is None:
            if not (number and self._type_digits):
                return
            self._type(event.character)
        elif event.key == "enter":
            self._take()
        elif event.key == "escape":
            self._type(None)
        elif event.key == "backspace":
            self._type(self._typed[:-1])
        elif number:
            self._type(f"{self._typed}{event.character}"[:_LONGEST_NUMBER])
        else:
            self._type(None)
            return  # some other key: it ends the typing and does what it does
        event.stop()
        event.prevent_default()

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if event.button != 1:
            return
        event.stop()
        self._dragging = True
        self.capture_mouse()
        self.move_to(self.scale.at(event.x, self.size.width))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._dragging:
            event.stop()
            self.move_to(self.scale.at(event.x, self.size.width))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        if self._dragging:
            event.stop()
            self._dragging = False
            self.release_mouse()
            self._commit()

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if event.chain == 2:
            self.action_reset()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, 1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, -1)

    def on_blur(self) -> None:
        self._type(None)
        self._commit()

    def _wheel(self, event: events.MouseEvent, sign: int) -> None:
        # Only where the user is: a wheel that scrolls past must not turn dials.
        if self.has_focus or event.ctrl:
            event.stop()
            event.prevent_default()
            self.action_fine(sign) if event.shift else self.action_step(sign)

    def _type(self, text: str | None) -> None:
        self._typed = text
        self.refresh()

    def _take(self) -> None:
        typed = (self._typed or "").replace(",", ".").replace("−", "-")
        self._type(None)
        try:
            self.move_to(float(typed), rests=True)
        except ValueError:
            self.app.bell()

    def _rest_later(self) -> None:
        if self._resting is not None:
            self._resting.stop()
        self._resting = self.set_timer(REST, self._commit)

    def _commit(self) -> None:
        if self._resting is not None:
            self._resting.stop()
            self._resting = None
        if self.value != self._before:
            self._before = self.value
            self.post_message(self.Committed(self, self.value))
