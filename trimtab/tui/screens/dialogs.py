"""Small questions: a line of text, one of several things, and the page of keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from trimtab.tui.keys import KEYS, PLACES, keys_of, shown
from trimtab.tui.shown import line, text
from trimtab.tui.widgets.slider import Slider
from trimtab.tui.widgets.transcript import Transcript

_DIGITS = ("switch-", "toggle-")
_BOX = """
    align: center middle;
    & > .box {
        width: 64; max-width: 94%; height: auto; max-height: 90%;
        background: $surface; border: solid $foreground 30%; padding: 0 1;
        & > .title { height: 1; text-style: bold; margin-bottom: 1; }
        & > .hint { height: auto; color: $foreground 65%; margin-top: 1; }
        & > Input { border: none; background: $foreground 7%; height: 1; padding: 0 1; }
        & > OptionList { border: none; background: $surface; height: auto; max-height: 20; padding: 0; }
        & > OptionList:focus { background-tint: $foreground 0%; }
    }
"""


class AskLine(ModalScreen[str | None]):
    """A line of text; None when it was given up."""

    DEFAULT_CSS = f"AskLine {{ {_BOX} }}"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "give up")]

    def __init__(self, title: str, value: str = "", hint: str = "") -> None:
        super().__init__()
        self._title, self._value, self._hint = title, value, hint

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(line(self._title), markup=False, classes="title")
            yield Input(line(self._value), compact=True)
            yield Static(text(self._hint or "⏎ takes it, esc gives it up"), markup=False, classes="hint")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        _ = self.dismiss(event.value)


class Pick(ModalScreen[int | None]):
    """One of several; None when it was given up."""

    DEFAULT_CSS = f"Pick {{ {_BOX} }}"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "give up")]

    def __init__(self, title: str, choices: Sequence[str]) -> None:
        super().__init__()
        self._title, self._choices = title, choices

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(line(self._title), markup=False, classes="title")
            yield OptionList(*(Option(Content(line(each))) for each in self._choices), markup=False)
            yield Static("⏎ takes it, esc gives it up", markup=False, classes="hint")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        _ = self.dismiss(event.option_index)


class Help(ModalScreen[None]):
    """Every key, as it is set now."""

    DEFAULT_CSS = f"Help {{ {_BOX} & > .box {{ width: 76; }} }}"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f1,question_mark", "dismiss(None)", "close"),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, chosen: Mapping[str, str]) -> None:
        super().__init__()
        self._chosen = chosen

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="box"):
            yield Static("Keys", markup=False, classes="title")
            yield Static(_table(self._chosen))
            yield Static(
                "The names on the right are for the [keys] table of the settings file.",
                markup=False,
                classes="hint",
            )

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


def _table(chosen: Mapping[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    for width in (22, 30, 18):
        table.add_column(width=width)
    for place, heading in PLACES.items():
        keys = [(keys_of(key.id, key.keys, chosen), key) for key in KEYS if key.where == place]
        _part(
            table,
            heading,
            [(each, key.title, key.id) for each, key in keys if not key.id.startswith(_DIGITS)],
        )
        if place == "desk":
            table.add_row(Text("1 … 0"), Text("a value on or off"), Text("switch-1 …", style="dim"))
        if place == "writing":
            table.add_row(Text("alt+1 … alt+0"), Text("a value on or off"), Text("toggle-1 …", style="dim"))
    for heading, widget in (("A slider", Slider), ("Conversation", Transcript)):
        found = [each for each in widget.BINDINGS if isinstance(each, Binding)]
        _part(
            table,
            heading,
            [(keys_of(each.id or "", each.key, chosen), each.description, each.id or "") for each in found],
        )
    return table


def _part(table: Table, heading: str, keys: Sequence[tuple[str, str, str]]) -> None:
    if table.row_count:
        table.add_row()
    table.add_row(Text(heading, style="bold"))
    for key, title, name in keys:
        table.add_row(Text(shown(key)), Text(title), Text(name, style="dim"))
