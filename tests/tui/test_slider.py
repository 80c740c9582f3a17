"""The slider: every way to move it, what it tells, and that it can be read without colour."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.events import MouseScrollUp
from textual.pilot import Pilot

from trimtab.tui.widgets import slider
from trimtab.tui.widgets.slider import REST, Scale, Slider, Zone
from trimtab.tui.widgets.slider_track import draw, zone_at

LEVEL = Scale(low=-5, high=5, origin=0, lowest=-10, highest=10)
ZONES = (Zone(2, 4, "costly"), Zone(4.01, 5, "broken"), Zone(-5, -4, "broken"))


class Board(App[None]):
    CSS = "Slider { width: 21; }"
    CLICK_CHAIN_TIME_THRESHOLD = 10.0  # however slowly the machine clicks

    def __init__(self, type_digits: bool = True) -> None:
        super().__init__()
        self.told: list[tuple[str, float]] = []
        self.type_digits = type_digits

    def compose(self) -> ComposeResult:
        yield Slider(LEVEL, zones=ZONES, type_digits=self.type_digits, id="one")
        yield Slider(LEVEL, id="two")

    def on_slider_moved(self, event: Slider.Moved) -> None:
        self.told.append(("moved", event.value))

    def on_slider_committed(self, event: Slider.Committed) -> None:
        self.told.append(("rests", event.value))

    @property
    def slider(self) -> Slider:
        return self.query_one("#one", Slider)


def text(value: float, width: int = 21, zones: tuple[Zone, ...] = (), *, active: bool = True) -> str:
    return "".join(part for part, _ in draw(LEVEL, value, width, zones, active=active))


def test_the_track_tells_place_zones_and_switch_by_its_characters_alone() -> None:
    assert text(0) == "──────────●──────────"
    assert text(3) == "──────────━━━━━━●────"
    assert text(-3) == "────●━━━━━━──────────"
    assert text(3, active=False) == "──────────┼─────○────"
    assert text(0, zones=ZONES) == "░░░───────●───╌╌╌╌╌░░"
    assert text(5, zones=ZONES) == "░░░───────━━━━╍╍╍╍╍▒●"


def test_a_value_beyond_the_ends_shows_where_it_went() -> None:
    assert text(7).endswith("»") and text(-7).startswith("«")


@pytest.mark.parametrize("width", [1, 2, 5, 11, 80])
def test_the_track_fills_its_cells(width: int) -> None:
    assert all(len(text(value / 2, width, ZONES)) == width for value in range(-24, 25))


def test_every_cell_leads_back_to_itself() -> None:
    for width in (11, 21, 60):
        assert [LEVEL.cell(LEVEL.at(cell, width), width) for cell in range(width)] == list(range(width))


def test_the_worst_zone_counts() -> None:
    overlapping = (Zone(0, 5, "costly"), Zone(3, 5, "broken"))
    assert [zone_at(value, overlapping) for value in (-1, 1, 4)] == [None, "costly", "broken"]


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["right"], 0.5), (["left"], -0.5), (["shift+right"], 0.1), (["pageup"], 1.0), (["ctrl+left"], -1.0),
        (["home"], -5.0), (["end"], 5.0), (["end", "right"], 5.0), (["end", "backspace"], 0.0),
        (["2", ".", "5", "enter"], 2.5), (["minus", "3", "enter"], -3.0),
        (["equals_sign", "1", "comma", "5", "enter"], 1.5),
        (["9", "enter"], 9.0), (["9", "9", "enter"], 10.0), (["9", "enter", "left"], 5.0),
        (["4", "escape"], 0.0), (["4", "2", "backspace", "enter"], 4.0),
        (["4", "right"], 0.5), (["minus", "enter"], 0.0),
        (["shift+right"] * 3, 0.3),
    ],
)  # fmt: skip
async def test_keys_move_it(keys: list[str], value: float) -> None:
    async with Board().run_test() as pilot:
        pilot.app.query_one("#one").focus()
        await pilot.press(*keys)
        assert pilot.app.query_one("#one", Slider).value == value


async def rested(pilot: Pilot[None]) -> None:
    await pilot.pause(REST + 0.2)


async def test_keys_tell_each_step_at_once_and_one_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slider, "REST", 3.0)
    app = Board()
    async with app.run_test() as pilot:
        app.slider.focus()
        await pilot.press("right", "right", "right")
        assert app.told == [("moved", 0.5), ("moved", 1.0), ("moved", 1.5)]
        await pilot.pause(3.2)
        assert app.told[3:] == [("rests", 1.5)]


async def test_leaving_it_commits() -> None:
    app = Board()
    async with app.run_test() as pilot:
        app.slider.focus()
        await pilot.press("right", "tab")
        assert app.told == [("moved", 0.5), ("rests", 0.5)]


async def test_a_typed_number_and_a_reset_are_committed_at_once() -> None:
    app = Board()
    async with app.run_test() as pilot:
        app.slider.focus()
        await pilot.press("3", "enter", "delete")
        assert app.told == [("moved", 3.0), ("rests", 3.0), ("moved", 0.0), ("rests", 0.0)]


async def test_going_there_and_back_commits_nothing() -> None:
    app = Board()
    async with app.run_test() as pilot:
        app.slider.focus()
        await pilot.press("right", "left")
        await rested(pilot)
        assert app.told == [("moved", 0.5), ("moved", 0.0)]


async def test_digits_are_left_to_others_where_they_are_wanted() -> None:
    app = Board(type_digits=False)
    async with app.run_test() as pilot:
        app.slider.focus()
        await pilot.press("3", "enter")
        assert app.slider.value == 0.0
        await pilot.press("equals_sign", "3", "enter")
        assert app.slider.value == 3.0


async def test_the_mouse_drags_it() -> None:
    app = Board()
    async with app.run_test() as pilot:
        await pilot.mouse_down("#one", offset=(10, 0))
        await pilot.hover("#one", offset=(16, 0))
        await pilot.hover("#one", offset=(14, 0))
        assert app.told == [("moved", 3.0), ("moved", 2.0)]
        await pilot.mouse_up("#one", offset=(14, 0))
        assert app.told[2:] == [("rests", 2.0)]
        await pilot.hover("#one", offset=(3, 0))
        assert app.slider.value == 2.0


async def test_a_double_click_resets_it() -> None:
    app = Board()
    async with app.run_test() as pilot:
        await pilot.double_click("#one", offset=(18, 0))
        assert app.slider.value == 0.0 and app.told[-1] == ("rests", 0.0)


async def test_the_wheel_turns_only_the_one_in_focus() -> None:
    app = Board()
    async with app.run_test() as pilot:
        app.slider.focus()
        await pilot._post_mouse_events([MouseScrollUp], "#one", offset=(3, 0))
        await pilot._post_mouse_events([MouseScrollUp], "#two", offset=(3, 0))
        assert app.slider.value == 0.5
        assert app.query_one("#two", Slider).value == 0.0


async def test_setting_it_tells_nobody() -> None:
    app = Board()
    async with app.run_test() as pilot:
        app.slider.value = 3.0
        await rested(pilot)
        assert app.told == []
        app.slider.value = 77.0
        assert app.slider.value == 10.0


async def test_what_is_typed_shows_on_the_track() -> None:
    app = Board()
    async with app.run_test() as pilot:
        app.slider.focus()
        await pilot.press("minus", "2")
        assert app.slider.render_line(0).text == "= -2▏".ljust(21)
