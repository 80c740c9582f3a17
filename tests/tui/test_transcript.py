"""The transcript: what it shows, how it follows and pages, that it keeps up, and what text cannot do to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Offset
from textual.pilot import Pilot
from textual.selection import Selection

from trimtab.tui.widgets.transcript import PAGE, Transcript
from trimtab.tui.widgets.transcript_entry import Entry

REPLY = "Some **bold** words.\n\n- one\n- two\n\n```python\nreturn 1\n```\n"
HOSTILE = (
    "[bold]x[/] [/] \x1b[31mred\x1b[0m \x1b]52;c;aGk=\x07 \u202etxt\u202c a"
    + "\u0301" * 200
    + " 🙂 日本語 \x9b2J"
)


class Page(App[None]):
    CSS = "Transcript { height: 1fr; }"

    def compose(self) -> ComposeResult:
        yield Transcript()

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)


def conversation(turns: int, text: str = REPLY) -> list[Entry]:
    return [
        Entry(
            id=number,
            mine=number % 2 == 0,
            name="you" if number % 2 == 0 else "minnow",
            text=f"{number} {text}",
        )
        for number in range(2 * turns)
    ]


def screen(pilot: Pilot[None]) -> list[str]:
    """The rows on the screen."""
    transcript = pilot.app.query_one(Transcript)
    return [transcript.render_line(y).text.rstrip() for y in range(transcript.size.height)]


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        await pilot.pause(0.02)


async def test_it_opens_at_the_end() -> None:
    app = Page()
    async with app.run_test(size=(80, 24)) as pilot:
        app.transcript.show([*conversation(3), Entry(id=9, mine=True, name="you", text="the last")])
        await pilot.pause()
        assert "  the last" in screen(pilot)
        assert app.transcript.is_vertical_scroll_end


async def test_names_and_how_a_reply_was_made_stand_above_it_and_notes_below() -> None:
    app = Page()
    entry = Entry(
        id=1, mine=False, name="minnow", text="Yes.", about="security +3.0", version=(2, 3),
        notes=(("warning", "stopped"),),
    )  # fmt: skip
    async with app.run_test(size=(60, 10)) as pilot:
        app.transcript.show([entry])
        await pilot.pause()
        head, body, note = screen(pilot)[:3]
        assert head.startswith("  minnow ‹2/3›") and head.endswith("security +3.0")
        assert (body, note) == ("  Yes.", "  stopped")


async def test_a_long_conversation_is_laid_out_page_by_page() -> None:
    app = Page()
    async with app.run_test(size=(80, 24)) as pilot:
        transcript = app.transcript
        transcript.show(conversation(250))
        await pilot.pause()
        assert transcript._first == 500 - PAGE
        before = screen(pilot)
        transcript.scroll_to(y=3, animate=False)
        await until(pilot, lambda: transcript._first == 500 - 2 * PAGE)
        transcript.focus()
        await pilot.press("end")
        await pilot.pause()
        assert screen(pilot) == before
        await pilot.press("home")
        await until(pilot, lambda: transcript._first == 0)
        assert screen(pilot)[0] == "  you" and screen(pilot)[1].startswith("  0 Some")


async def test_earlier_messages_come_without_moving_what_is_read() -> None:
    app = Page()
    async with app.run_test(size=(80, 24)) as pilot:
        transcript = app.transcript
        transcript.show(conversation(100))
        transcript.scroll_to(y=30, animate=False, immediate=True)
        await pilot.pause()
        first = screen(pilot)
        transcript._earlier()
        await pilot.pause()
        assert screen(pilot) == first


async def test_it_follows_what_is_spoken_unless_the_reader_went_away() -> None:
    app = Page()
    async with app.run_test(size=(60, 12)) as pilot:
        transcript = app.transcript
        live = Entry(id=99, mine=False, name="minnow", text="", live=True)
        transcript.show([*conversation(5), live])
        text = ""
        for number in range(40):
            text += f"line {number}\n\n"
            transcript.grow(replace(live, text=text))
        await until(pilot, lambda: "  line 39▌" in screen(pilot))
        transcript.scroll_to(y=5, animate=False, immediate=True)
        before = screen(pilot)
        transcript.grow(replace(live, text=text + "more"))
        await until(pilot, lambda: any("more" in line for line in transcript.lines()))
        assert screen(pilot) == before


async def test_a_settled_reply_takes_the_place_of_the_live_one() -> None:
    app = Page()
    async with app.run_test(size=(60, 12)) as pilot:
        live = Entry(id=99, mine=False, name="minnow", text="", live=True)
        app.transcript.show([live])
        app.transcript.grow(replace(live, text="half"))
        app.transcript.show([replace(live, text="half a reply", live=False)])
        await pilot.pause(0.2)
        assert screen(pilot)[1] == "  half a reply"


async def test_a_hundred_tokens_a_second_into_five_hundred_messages_cost_little() -> None:
    """Processor time for ten seconds of speech: under three of them, the machine's speed allowing."""
    app = Page()
    async with app.run_test(size=(120, 40)) as pilot:
        live = Entry(id=9999, mine=False, name="minnow", text="", live=True)
        app.transcript.show([*conversation(250), live])
        await pilot.pause()
        text, began = "", time.process_time()
        for token in range(1000):
            text += "word " if token % 50 else "\n\n- item "
            app.transcript.grow(replace(live, text=text))
            if token % 8 == 0:
                await pilot.pause(0.08)
        await until(pilot, lambda: app.transcript._latest is None)
        assert time.process_time() - began < 5
        assert app.transcript.layouts <= 140
        assert app.transcript.entries[-1].text == text


async def test_a_key_is_answered_while_a_long_text_streams() -> None:
    """The screen is not laid out for longer than a key may wait."""
    app = Page()
    async with app.run_test(size=(100, 40)) as pilot:
        live = Entry(id=9999, mine=False, name="minnow", text="", live=True)
        app.transcript.show([live])
        text = REPLY * 100 + "word " * 500
        app.transcript.update_last(replace(live, text=text))
        took = []
        for _ in range(5):
            text += "word "
            began = time.process_time()
            app.transcript.update_last(replace(live, text=text))
            took.append(time.process_time() - began)
        await pilot.pause()
        assert min(took) < 0.05


async def test_text_of_a_model_is_only_text() -> None:
    app = Page()
    async with app.run_test(size=(80, 12)) as pilot:
        app.transcript.show(
            [
                Entry(
                    id=1, mine=False, name=HOSTILE, text=HOSTILE, about=HOSTILE, notes=(("error", HOSTILE),)
                ),
                Entry(id=2, mine=True, name="you", text=HOSTILE),
            ]
        )
        await pilot.pause()
        whole = "".join(screen(pilot))
        assert not set(whole) & set("\x1b\x07\x9b\u202e\u202c")
        assert "[bold]x[/] [/]" in whole and "日本語" in whole
        assert all(app.transcript.render_line(y).cell_length == app.transcript.size.width for y in range(12))


async def test_thinking_is_folded_until_it_is_opened() -> None:
    app = Page()
    async with app.run_test(size=(60, 12)) as pilot:
        app.transcript.show([Entry(id=1, mine=False, name="m", text="<think>\nhm so\n</think>\nYes.")])
        await pilot.pause()
        assert screen(pilot)[1:4] == ["  ▸ thought, 2 words", "", "  Yes."]
        await pilot.click(Transcript, offset=(4, 1))
        await pilot.pause()
        assert screen(pilot)[1:5] == ["  ▾ thought, 2 words", "    hm so", "", "  Yes."]
        app.transcript.focus()
        await pilot.press("t")
        assert screen(pilot)[2] == ""


async def test_the_cursor_walks_over_messages() -> None:
    app = Page()
    async with app.run_test(size=(60, 20)) as pilot:
        transcript = app.transcript
        transcript.show(conversation(40))
        transcript.focus()
        await pilot.press("k")
        assert transcript.cursor == 79
        await pilot.press("k", "k")
        assert transcript.cursor == 77 and transcript.chosen() == transcript.entries[77]
        assert any(line.startswith("▌ minnow") for line in screen(pilot))
        await pilot.press("j", "j", "j")
        assert transcript.chosen() == transcript.entries[-1] and transcript.is_vertical_scroll_end
        transcript.choose(3)
        await pilot.pause()
        assert any(line.startswith("▌ 3 Some") for line in screen(pilot))


@pytest.mark.parametrize("width", [20, 40, 200])
async def test_another_width_lays_it_out_anew(width: int) -> None:
    app = Page()
    async with app.run_test(size=(80, 24)) as pilot:
        app.transcript.show(conversation(20, "word " * 60))
        await pilot.resize_terminal(width, 24)
        await pilot.pause()
        assert max(map(len, app.transcript.lines())) <= min(100, width)
        assert app.transcript.is_vertical_scroll_end


async def test_what_is_selected_is_copied_without_the_gutter() -> None:
    app = Page()
    async with app.run_test(size=(60, 12)) as pilot:
        app.transcript.show([Entry(id=1, mine=True, name="you", text="first line\nsecond line")])
        await pilot.pause()
        found = app.transcript.get_selection(Selection(Offset(8, 1), Offset(8, 2)))
        assert found is not None and found[0] == "line\nsecond"


async def test_the_code_under_the_mouse_is_known() -> None:
    app = Page()
    async with app.run_test(size=(60, 12)) as pilot:
        app.transcript.show([Entry(id=1, mine=False, name="m", text="```python\nreturn 1\n```")])
        await pilot.pause()
        code = app.transcript.code_at(1)
        assert code is not None and (code.text, code.language) == ("return 1", "python")
        assert list(app.transcript.codes(1)) == [code] and app.transcript.code_at(0) is None


async def test_messages_may_come_before_it_is_on_the_screen() -> None:
    app = Page()
    async with app.run_test(size=(60, 12)) as pilot:
        hidden = Transcript()
        hidden.display = False
        await app.mount(hidden)
        hidden.show([Entry(id=1, mine=True, name="you", text="one")])
        live = Entry(id=2, mine=False, name="m", text="", live=True)
        hidden.show([*hidden.entries, live])
        hidden.grow(replace(live, text="so"))
        hidden.show([hidden.entries[0], replace(live, text="so far", live=False)])
        hidden.display = True
        await pilot.pause(0.2)
        assert "so far" in hidden.lines()
