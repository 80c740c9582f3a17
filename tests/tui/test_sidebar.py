"""The list of chats: by date, searched, opened, renamed, deleted and brought back."""

from __future__ import annotations

import datetime

from tests.tui.apps import Place, ask, loaded, text_of, until
from trimtab.tui.widgets.sidebar import when

NOON = datetime.datetime(2026, 3, 10, 12).astimezone().timestamp()
DAY = 86400.0


def test_times_have_the_headings_that_people_use() -> None:
    assert when(NOON - 3600, NOON) == "today"
    assert when(NOON + 60, NOON) == "today"
    assert when(NOON - DAY, NOON) == "yesterday"
    assert when(NOON - 3 * DAY, NOON) == "this week"
    assert when(NOON - 20 * DAY, NOON) == "February"
    assert when(NOON - 100 * DAY, NOON) == "November 2025"


async def test_chats_are_listed_searched_and_opened(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await ask(pilot, "say apples grow")
        await pilot.press("ctrl+n")
        await until(pilot, lambda: not screen.transcript.entries)
        await ask(pilot, "say pears fall")
        await until(pilot, lambda: "say apples" in text_of(pilot) and "▸ say pears" in text_of(pilot))
        await pilot.press("ctrl+f", *"appl")
        await until(pilot, lambda: "▸ say pears" not in text_of(pilot))
        await pilot.press("enter", "enter")
        await until(
            pilot,
            lambda: [each.text for each in screen.transcript.entries] == ["say apples grow", "apples grow"],
        )
        assert screen.composer.has_focus


async def test_a_chat_is_renamed(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await ask(pilot, "one")
        screen.sidebar._list.focus()
        await pilot.press("f4")
        await until(pilot, lambda: "Rename the chat" in text_of(pilot))
        await pilot.press("end", *" [b]more", "enter")
        await until(pilot, lambda: "▸ one [b]more" in text_of(pilot))


async def test_a_chat_is_deleted_and_brought_back(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await ask(pilot, "one")
        screen.sidebar._list.focus()
        await pilot.pause()
        await pilot.press("ctrl+d")
        await until(pilot, lambda: "▸ one" not in text_of(pilot) and not screen.transcript.entries)
        screen.sidebar._list.focus()
        await pilot.press("ctrl+z")
        await until(pilot, lambda: "  one" in text_of(pilot))


async def test_the_list_is_hidden_and_shown(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await pilot.press("ctrl+b")
        assert not screen.sidebar.display
        await pilot.press("ctrl+b")
        assert screen.sidebar.display
