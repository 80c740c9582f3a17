"""Keys, help, palette, composer: every command has one name, and the settings may give it other keys."""

from __future__ import annotations

from tests.tui.apps import Place, ask, loaded, text_of, told, until
from trimtab.settings import Look, Settings
from trimtab.tui.keys import KEYS, shown, unknown
from trimtab.tui.widgets.welcome import QUESTIONS


def test_every_command_has_a_name_of_its_own() -> None:
    names = [key.id for key in KEYS]
    assert len(set(names)) == len(names)
    assert unknown(["send", "sned"]) == ["sned"]


def test_no_key_has_two_meanings_in_one_place() -> None:
    for places in (("anywhere", "writing"), ("anywhere", "desk", "messages"), ("anywhere", "chats")):
        keys = [each for key in KEYS if key.where in places for each in key.keys.split(",")]
        assert len(set(keys)) == len(keys)


def test_keys_are_shown_as_people_read_them() -> None:
    assert shown("ctrl+j,question_mark,escape,enter") == "ctrl+j ? esc ⏎"


async def test_the_footer_shows_the_keys_that_act(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        assert "⏎ send" in text_of(pilot) and "! silence" not in text_of(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: "! silence" in text_of(pilot))
        assert "⏎ send" not in text_of(pilot) and "i write" in text_of(pilot)


async def test_new_lines_do_not_send(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await pilot.press("a", "ctrl+j", "b", "shift+enter", "c")
        assert screen.composer.text == "a\nb\nc" and not screen.transcript.entries


async def test_what_was_written_comes_back_and_so_does_the_draft(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await ask(pilot, "say one")
        screen.composer.put("draft")
        await pilot.press("up")
        assert screen.composer.text == "say one"
        await pilot.press("up")
        assert screen.composer.text == QUESTIONS[-1]
        await pilot.press("down", "down")
        assert screen.composer.text == "draft"


async def test_up_moves_within_several_lines_first(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        screen.composer.put("one\ntwo")
        await pilot.press("up")
        assert screen.composer.text == "one\ntwo" and screen.composer.cursor_location[0] == 0


async def test_an_empty_chat_says_how_to_begin(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        assert QUESTIONS[0][:40] in text_of(pilot)
        await pilot.press("up")
        await pilot.press("enter")
        await until(pilot, lambda: "Ask something" not in text_of(pilot))


async def test_the_help_shows_every_key_and_its_name(place: Place) -> None:
    async with place.app(Settings(keys={"send": "ctrl+s"})).run_test(size=(120, 120)) as pilot:
        await loaded(pilot)
        await pilot.press("f1")
        await until(pilot, lambda: "While writing" in text_of(pilot))
        shown_help = text_of(pilot)
        assert (
            "ctrl+s" in shown_help and "silence all steering" in shown_help and "slider.reset" in shown_help
        )
        await pilot.press("escape")
        await until(pilot, lambda: "While writing" not in text_of(pilot))
        await pilot.press("escape", "question_mark")
        await until(pilot, lambda: "While writing" in text_of(pilot))


async def test_the_settings_give_commands_other_keys(place: Place) -> None:
    async with place.app(Settings(keys={"send": "ctrl+s", "silence": "z"})).run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        screen.composer.put("one")
        await pilot.press("enter")
        assert screen.composer.text == "one\n"
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(screen.transcript.entries) == 2)
        await pilot.press("escape", "z")
        await until(pilot, lambda: screen.conversing is not None and screen.conversing.desk.silenced)


async def test_a_name_that_no_command_has_is_told(place: Place) -> None:
    async with place.app(Settings(keys={"sned": "ctrl+s"})).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "no command" in told(pilot))


async def test_the_palette_runs_commands(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await pilot.press("ctrl+p")
        await pilot.pause()
        await pilot.press(*"silence all")
        await until(pilot, lambda: "silence all steering" in text_of(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: screen.conversing is not None and screen.conversing.desk.silenced)


async def test_colours_change_and_an_unknown_theme_is_told(place: Place) -> None:
    async with place.app(Settings(look=Look(theme="no such"))).run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "no theme" in told(pilot))
        assert pilot.app.theme == "trimtab-dark"
        await pilot.press("f3")
        assert pilot.app.theme == "trimtab-light"
