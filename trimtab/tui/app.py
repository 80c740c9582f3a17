"""The app: its settings, themes and keys, and what is opened behind its first screen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.screen import Screen

from trimtab.settings import Settings, SettingsFile, default_path, read
from trimtab.tui.keys import KEYS, keys_of, shown, unknown
from trimtab.tui.screens.chat import ChatScreen
from trimtab.tui.shown import line
from trimtab.tui.themes import DARK, LIGHT, OURS
from trimtab.tui.widgets.slider import Slider
from trimtab.tui.widgets.transcript import Transcript

if TYPE_CHECKING:
    from trimtab.tui.backend import Backend

OpenBackend = Callable[[Settings], Awaitable["Backend"]]


async def own_backend(settings: Settings) -> Backend:
    """Imports what is heavy in a thread, so that the screen can be used meanwhile."""
    opened = await asyncio.to_thread(_import_backend)
    return await opened(settings)


def _import_backend() -> OpenBackend:
    from trimtab.tui.backend import open_backend

    return open_backend


class TrimtabApp(App[None]):
    """One chat screen, and what comes over it."""

    TITLE = "trimtab"
    CSS = """
    * { scrollbar-color: $foreground 25%; scrollbar-color-hover: $foreground 40%; scrollbar-color-active: $primary;
        scrollbar-background: $background; scrollbar-background-hover: $background;
        scrollbar-background-active: $background; }
    """
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        file: SettingsFile | None = None,
        open_backend: OpenBackend = own_backend,
    ) -> None:
        super().__init__()
        self.settings_file = file or SettingsFile(default_path())
        self.settings = settings or read(self.settings_file.path)
        self._open_backend = open_backend
        self.chat: ChatScreen | None = None
        # Before anything is painted, or all styles would be computed twice.
        for theme in OURS:
            self.register_theme(theme)
        self.theme = self._theme()

    async def on_mount(self) -> None:
        self.chat = ChatScreen()
        self._use_keys()
        await self.push_screen(self.chat)
        self._tell_theme()

    def open_backend(self) -> Awaitable[Backend]:
        return self._open_backend(self.settings)

    def key(self, id: str) -> str:
        """The keys of a command, as they are now and as people read them."""
        default = next(key.keys for key in KEYS if key.id == id)
        return shown(keys_of(id, default, self.settings.keys))

    def show_help(self) -> None:
        from trimtab.tui.screens.dialogs import Help

        _ = self.push_screen(Help(self.settings.keys))

    def show_settings(self) -> None:
        from trimtab.tui.screens.settings import SettingsScreen

        _ = self.push_screen(SettingsScreen(self.settings, self.settings_file), self._settings_changed)

    def next_theme(self) -> None:
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        for key in KEYS:
            if key.palette and self.chat is not None:
                callback = partial(self.run_action, key.action, default_namespace=self.chat)
                yield SystemCommand(key.title, self.key(key.id), callback)
        for name in sorted(self.available_themes):
            yield SystemCommand(f"theme {name}", "change the colours", partial(setattr, self, "theme", name))

    async def action_quit(self) -> None:
        if self.chat is not None:
            await self.chat.close_behind()
        self.exit()

    def _settings_changed(self, settings: Settings | None) -> None:
        if settings is not None and settings != self.settings:
            self.settings = settings
            self._use_look()
            self._use_keys()

    def _use_look(self) -> None:
        self.theme = self._theme()
        self._tell_theme()

    def _theme(self) -> str:
        wanted = self.settings.look.theme
        return wanted if wanted in self.available_themes else DARK.name

    def _tell_theme(self) -> None:
        wanted = self.settings.look.theme
        if wanted not in self.available_themes:
            self.notify(line(f"There is no theme {wanted!r}."), severity="warning", markup=False, timeout=60)

    def _use_keys(self) -> None:
        widgets = [
            binding.id
            for widget in (Slider, Transcript)
            for binding in widget.BINDINGS
            if isinstance(binding, Binding) and binding.id is not None
        ]
        if self.chat is not None:
            self.chat.composer.enter_sends = "enter" in keys_of("send", "enter", self.settings.keys).split(
                ","
            )
        for name in unknown(self.settings.keys, widgets):
            self.notify(
                line(f"The settings give keys to {name!r}, which is no command."),
                severity="warning",
                markup=False,
            )
        self.set_keymap(self.settings.keys)


def run() -> None:
    """Until the user quits."""
    TrimtabApp().run()
