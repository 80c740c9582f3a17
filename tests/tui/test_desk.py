"""The desk: keys, sliders, inspector, words, undo and presets."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from tests.tui.apps import VALUES, Place, ask, loaded, screen_of, text_of, told, until
from trimtab.chat.desk import Desk, Dial
from trimtab.chat.presets import Presets
from trimtab.tui import desk_edit
from trimtab.tui.screens.chat import ChatScreen
from trimtab.tui.values import ValueFacts, ordered
from trimtab.tui.widgets.slider import REST, Slider

SECURITY = VALUES[0]


def dial(screen: ChatScreen, value: str = "security") -> Dial:
    assert screen.conversing is not None
    return desk_edit.dial_of(screen.conversing.desk, value)


async def on_desk(pilot: Pilot[None]) -> ChatScreen:
    """The focus on the line of security."""
    screen = await loaded(pilot)
    await pilot.press("escape")
    line = next(each for each in screen.panel.lines if each.facts.id == "security")
    line.slider.focus()
    await pilot.pause()
    return screen


def test_the_ten_values_have_the_number_keys() -> None:
    values = ordered([ValueFacts(id="universalism"), ValueFacts(id="zeal"), ValueFacts(id="achievement")])
    assert [(each.id, each.key) for each in values] == [
        ("achievement", "1"),
        ("universalism", "0"),
        ("zeal", ""),
    ]


def test_zones_are_drawn_only_where_something_was_measured() -> None:
    assert ValueFacts(id="x").zones == () and ValueFacts(id="x").told(3) == ""
    assert [zone.kind for zone in SECURITY.zones] == ["costly", "broken"]
    assert (
        SECURITY.told(2).startswith("safe") and "costly" in SECURITY.told(3) and "breaks" in SECURITY.told(5)
    )


def test_turning_on_what_stood_at_nothing_goes_to_what_was_measured_best() -> None:
    desk = desk_edit.toggled(Desk(), SECURITY)
    assert desk.dial("security") == Dial(value="security", on=True, level=2.5)
    off = desk_edit.toggled(desk, SECURITY)
    assert (desk_edit.dial_of(off, "security").on, desk_edit.dial_of(off, "security").level) == (False, 2.5)
    assert desk_edit.toggled(off, SECURITY) == desk


def test_a_desk_goes_back_and_forth() -> None:
    history = desk_edit.History(Desk())
    first, second = desk_edit.at_level(Desk(), "a", 1.0), desk_edit.at_level(Desk(), "a", 2.0)
    history.add(first)
    history.add(second)
    history.add(second)
    assert (history.undo(), history.undo(), history.undo()) == (first, Desk(), None)
    assert (history.redo(), history.redo(), history.redo()) == (first, second, None)
    history.undo()
    history.add(Desk(silenced=True))
    assert history.redo() is None


async def test_each_value_has_a_line_and_its_place_in_the_order(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        assert [each.facts.id for each in screen.panel.lines] == [
            "stimulation",
            "power",
            "security",
            "positivity",
        ]
        assert "6 ○ security" in text_of(pilot) and "5 · power" in text_of(pilot)


async def test_keys_switch_silence_and_undo(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await on_desk(pilot)
        await pilot.press("6")
        await until(pilot, lambda: dial(screen).on)
        assert "6 ● security" in text_of(pilot) and "+2.5" in text_of(pilot)
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: "silenced" in text_of(pilot))
        assert screen.conversing is not None and screen.conversing.desk.silenced
        await pilot.press("u")
        await until(pilot, lambda: screen.conversing is not None and not screen.conversing.desk.silenced)
        await pilot.press("u")
        await until(pilot, lambda: not dial(screen).on)
        await pilot.press("U")
        await until(pilot, lambda: dial(screen).on)


async def test_alt_and_a_digit_switches_while_writing(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await pilot.press("6", "alt+6")
        await until(pilot, lambda: dial(screen).on)
        assert screen.composer.text == "6" and screen.composer.has_focus


async def test_arrows_move_a_dial_live_and_one_undo_takes_it_back(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await on_desk(pilot)
        await pilot.press("right", "right", "right", "shift+left")
        await until(pilot, lambda: dial(screen).level == 1.4)
        assert dial(screen).on
        await pilot.pause(REST + 0.3)
        await pilot.press("u")
        await until(pilot, lambda: dial(screen).level == 0.0)


async def test_up_and_down_walk_over_the_lines(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await on_desk(pilot)
        await pilot.press("down")
        assert screen.panel.lines[3].slider.has_focus
        await pilot.press("up", "up", "up", "up")
        assert screen.panel.lines[0].slider.has_focus


async def test_what_is_not_built_says_how_to_build_it(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await on_desk(pilot)
        await pilot.press("5")
        await until(pilot, lambda: "trimtab build power" in told(pilot))
        assert not dial(screen, "power").on


async def test_the_inspector_has_three_sliders_and_tells_what_is_known(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await on_desk(pilot)
        await pilot.press("6", "enter")
        await until(pilot, lambda: "Safety and calm." in text_of(pilot))
        shown = text_of(pilot)
        assert "own 0.20" in shown and "× 1.00" in shown and "safe; +2.5 was measured best" in shown
        gate = screen.query_one("#inspect-gate", Slider)
        gate.focus()
        await pilot.press("0", ".", "5", "enter")
        await until(pilot, lambda: dial(screen).gate == 0.5)
        await pilot.press("delete")
        await until(pilot, lambda: dial(screen).gate is None)
        screen.query_one("#inspect-strength", Slider).focus()
        await pilot.press("0", ".", "5", "enter")
        await until(pilot, lambda: dial(screen).strength == 0.5)
        screen.query_one("#inspect-level", Slider).focus()
        await pilot.press("3", "enter")
        await until(pilot, lambda: dial(screen).level == 3.0)
        assert "costly beyond +2.5" in text_of(pilot)


async def test_the_mouse_moves_a_dial(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await on_desk(pilot)
        slider = screen.panel.lines[2].slider
        await pilot.click(slider, offset=(slider.size.width - 1, 0))
        await until(pilot, lambda: dial(screen).level == 5.0)


async def test_words_steer_without_training(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await on_desk(pilot)
        await pilot.press("plus", *"+ good", "enter")
        await until(
            pilot, lambda: screen.conversing is not None and screen.conversing.desk.anchors.text == "+ good"
        )
        await pilot.press("u")
        await until(
            pilot, lambda: screen.conversing is not None and screen.conversing.desk.anchors.text == ""
        )


async def test_meters_show_what_the_model_reads(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await ask(pilot, "say something")
        assert screen.panel.lines[2].tail.reading == 0.9  # what the engine tells of security
        assert screen.panel.lines[0].tail.reading is None


async def test_a_desk_is_saved_and_recalled(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await on_desk(pilot)
        await pilot.press("6", "S")
        await until(pilot, lambda: "Save the desk as" in text_of(pilot))
        await pilot.press(*"calm", "enter")
        await until(pilot, lambda: Presets.default().names() == ["calm"])
        await pilot.press("6")
        await until(pilot, lambda: not dial(screen).on)
        await pilot.press("R")
        await until(pilot, lambda: "Recall a preset" in text_of(pilot))
        await pilot.press("enter")
        await until(pilot, lambda: dial(screen).on)


async def test_the_desk_belongs_to_the_chat(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await on_desk(pilot)
        await pilot.press("6")
        await ask(pilot, "one")
        assert screen.conversing is not None and screen.conversing.id is not None
        first = screen.conversing.id
        await pilot.press("ctrl+n")
        await until(pilot, lambda: "6 ○ security" in text_of(pilot))
        await screen.conversing.open(first)
        await until(pilot, lambda: "6 ● security" in text_of(pilot))


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_levels_stand_in_one_column(place: Place, size: tuple[int, int]) -> None:
    async with place.app().run_test(size=size) as pilot:
        await loaded(pilot)
        lines = [line for line in text_of(pilot).splitlines() if "○" in line]
        assert len({line.index("0.0") for line in lines}) == 1 and len(lines) == 4
        assert screen_of(pilot).panel.lines[0].slider.size.width >= 7
