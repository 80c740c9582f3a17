"""The settings on the screen: shown, explained, changed, kept."""

from __future__ import annotations

from tests.tui.apps import Place, loaded, text_of, told, until
from trimtab.settings import read
from trimtab.tui.app import TrimtabApp


async def test_a_setting_is_changed_and_kept(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        await pilot.press("f2")
        await until(pilot, lambda: "look.theme" in text_of(pilot) and "chat.temperature" in text_of(pilot))
        await pilot.press("down")
        await until(pilot, lambda: "Show the list of chats" in text_of(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: read(place.folder / "settings.toml").look.sidebar is False)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(pilot.app, TrimtabApp) and pilot.app.settings.look.sidebar is False


async def test_a_number_is_typed_and_nonsense_refused(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        await pilot.press("f2", *["down"] * 5, "enter")
        await until(pilot, lambda: "takes the likeliest" in text_of(pilot))
        await pilot.press("ctrl+u", *"hot", "enter")
        await until(pilot, lambda: "is no number" in told(pilot))
        await pilot.press("enter", "ctrl+u", *"0.3", "enter")
        await until(pilot, lambda: read(place.folder / "settings.toml").chat.temperature == 0.3)
