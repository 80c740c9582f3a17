"""The settings: each with what it means, changed here and kept in the file."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from trimtab.errors import TrimtabError
from trimtab.settings import Settings, SettingsFile, documented
from trimtab.settings.model import Documented
from trimtab.tui.screens.dialogs import AskLine
from trimtab.tui.shown import line


class SettingsScreen(ModalScreen[Settings]):
    """Gives back the settings as they are when it is closed."""

    DEFAULT_CSS = """
    SettingsScreen {
        align: center middle;
        & > .box {
            width: 80; max-width: 94%; height: auto; max-height: 90%;
            background: $surface; border: solid $foreground 30%; padding: 0 1;
            & > .title { height: 1; text-style: bold; margin-bottom: 1; }
            & > OptionList { border: none; background: $surface; height: auto; max-height: 22; padding: 0; }
            & > OptionList:focus { background-tint: $foreground 0%; }
            & > .hint { height: 3; color: $foreground 70%; margin-top: 1; }
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,f2", "close", "close")]

    def __init__(self, settings: Settings, file: SettingsFile) -> None:
        super().__init__()
        self._settings = settings
        self._file = file
        self._all = list(documented())
        self._list = OptionList(*self._options(), markup=False)
        self._meaning = Static("", markup=False, classes="hint")

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static("Settings", markup=False, classes="title")
            yield self._list
            yield self._meaning

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        each = self._all[event.option_index]
        choices = f" One of {', '.join(each.choices)}." if each.choices else ""
        self._meaning.update(f"{each.meaning}{choices}\n⏎ changes it; kept in {line(str(self._file.path))}")

    @work
    async def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        each = self._all[event.option_index]
        now = self._value(each)
        if each.kind is bool:
            self._set(each, not now)
        elif each.choices:
            self._set(each, each.choices[(each.choices.index(now) + 1) % len(each.choices)])
        else:
            typed = await self.app.push_screen_wait(
                AskLine(f"{each.group}.{each.name}", str(now), each.meaning)
            )
            if typed is not None:
                self._set_typed(each, typed.strip())

    def action_close(self) -> None:
        _ = self.dismiss(self._settings)

    def _set_typed(self, each: Documented, typed: str) -> None:
        try:
            value = each.kind(typed)
        except ValueError:
            self.app.notify(f"{line(typed)!r} is no number.", severity="error", markup=False)
            return
        self._set(each, value)

    def _set(self, each: Documented, value: Any) -> None:
        try:
            self._settings = self._file.set(each.group, each.name, value)
        except TrimtabError as error:
            self.app.notify(line(str(error), 400), severity="error", markup=False)
            return
        self._list.replace_option_prompt_at_index(self._all.index(each), self._prompt(each))

    def _options(self) -> list[Option]:
        return [Option(self._prompt(each)) for each in self._all]

    def _prompt(self, each: Documented) -> Content:
        value = self._value(each)
        told = (
            {True: "yes", False: "no", "": "—"}.get(value, value) if isinstance(value, bool | str) else value
        )
        changed = "" if value == each.default else "  *"
        return Content(f"{each.group + '.' + each.name:<20} {line(str(told), 60)}{changed}")

    def _value(self, each: Documented) -> Any:
        return getattr(getattr(self._settings, each.group), each.name)
