"""The chat screen: said, answered, stopped, steered, edited, all by keys, over a real worker."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.tui.apps import Place, answered, ask, loaded, say, text_of, told, until
from trimtab.chat.store import Store
from trimtab.settings import Chat, Settings

HOSTILE = "[bold]x[/] [/] \x1b[31mred \x1b]52;c;aGk=\x07 \u202etxt 🙂 日本語 \x9b2J"


async def test_the_screen_can_be_used_before_the_model_is_there(place: Place) -> None:
    place.model = "slow"
    async with place.app().run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "ask something" in text_of(pilot))
        await say(pilot, "say hello there")
        await until(pilot, lambda: "is sent when the model is loaded" in text_of(pilot))
        assert (await answered(pilot))[-1] == "hello there"


async def test_what_is_said_is_answered_stored_and_listed(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        assert await ask(pilot, "say **good** day") == "**good** day"
        await until(pilot, lambda: "▸ say good day" in text_of(pilot))
        shown = text_of(pilot)
        assert "scripted · llama.cpp" in shown and "today" in shown and "unsteered" in shown
        assert screen.backend is not None
        assert [each.title for each in await screen.backend.store(Store.conversations)] == ["say good day"]


async def test_a_missing_model_is_told_and_the_text_is_not_lost(place: Place) -> None:
    place.model = "missing"
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        assert "There is no model at missing" in text_of(pilot)
        await say(pilot, "anybody?")
        await until(pilot, lambda: screen.composer.text == "anybody?")


async def test_a_reply_is_stopped_and_what_was_said_stays(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await say(pilot, "say@50 " + "word " * 2000)
        await until(
            pilot, lambda: "word word" in "".join(each.text for each in screen.transcript.entries[1:])
        )
        await pilot.press("ctrl+c")
        reply = (await answered(pilot))[-1]
        assert reply.startswith("word word") and len(reply) < 5000
        await until(pilot, lambda: "stopped" in text_of(pilot))


async def test_a_dial_turned_on_changes_the_next_reply(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        assert await ask(pilot, "sum") == "0"
        await pilot.press("escape", "6", "i")
        assert await ask(pilot, "sum") == "20"  # 2.5 times the width of 8
        assert "security +2.5" in text_of(pilot)


async def test_a_dial_moved_while_it_speaks_is_marked(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await say(pilot, "say@100 " + "word " * 2000)
        await until(
            pilot, lambda: "word word" in "".join(each.text for each in screen.transcript.entries[1:])
        )
        await pilot.press("escape", "6")
        await until(pilot, lambda: any(each.notes for each in screen.transcript.entries))
        await pilot.press("s")
        await answered(pilot)
        assert any("security +2.5" in note for _, note in screen.transcript.entries[-1].notes)


async def test_again_unsteered_leaves_the_desk_as_it_is(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await pilot.press("escape", "6")
        assert await ask(pilot, "sum") == "20"
        await pilot.press("escape", "n")
        await until(pilot, lambda: [each.text for each in screen.transcript.entries] == ["sum", "0"])
        assert screen.transcript.entries[-1].version == (2, 2)
        assert "security +2.5" in text_of(pilot)
        await until(pilot, lambda: not screen.transcript.entries[-1].live)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: screen.transcript.entries[-1].text == "20")


async def test_a_message_is_edited_and_answered_anew(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await ask(pilot, "one")
        await pilot.press("escape", "e")
        assert screen.composer.text == "one" and screen.editing is not None
        await say(pilot, "two")
        await until(pilot, lambda: [each.text for each in screen.transcript.entries] == ["two", "two"])
        assert screen.transcript.entries[0].version == (2, 2)


async def test_an_edit_is_given_up(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await ask(pilot, "one")
        await pilot.press("escape", "e", "escape")
        assert screen.editing is None and screen.composer.text == ""


async def test_a_branch_is_another_chat(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await ask(pilot, "one")
        assert screen.conversing is not None
        first = screen.conversing.id
        await pilot.press("escape", "b")
        await until(pilot, lambda: screen.conversing is not None and screen.conversing.id != first)
        assert [each.text for each in screen.transcript.entries] == ["one", "one"]


async def test_a_reply_goes_on_while_another_chat_is_looked_at(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await say(pilot, "say@200 " + "word " * 60)
        await until(pilot, lambda: len(screen.transcript.entries) == 2)
        assert screen.conversing is not None
        first = screen.conversing.id
        assert first is not None
        await pilot.press("ctrl+n")
        await until(pilot, lambda: not screen.transcript.entries)
        await screen.conversing.open(first)
        assert (await answered(pilot))[-1] == "word " * 60


async def test_a_worker_that_dies_is_started_again(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await say(pilot, "say@50 " + "word " * 2000)
        await until(pilot, lambda: "word" in "".join(each.text for each in screen.transcript.entries[1:]))
        assert screen.backend is not None and screen.backend.engine.pid is not None
        os.kill(screen.backend.engine.pid, signal.SIGKILL)
        await answered(pilot)
        assert any(kind == "error" for kind, _ in screen.transcript.entries[-1].notes)
        assert await ask(pilot, "say back") == "back"


async def test_closing_and_opening_again_keeps_the_chat(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        await ask(pilot, "say remembered")
        await pilot.press("ctrl+q")
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        assert screen.backend is not None and screen.conversing is not None
        (chat,) = await screen.backend.store(Store.conversations)
        await screen.conversing.open(chat.id)
        assert [each.text for each in screen.transcript.entries] == ["say remembered", "remembered"]
        screen.composer.focus()
        await pilot.press("up")
        assert screen.composer.text == "say remembered"


async def test_text_of_a_model_and_titles_are_only_text(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        await ask(pilot, f"say {HOSTILE}")
        await until(pilot, lambda: "▸ say" in text_of(pilot))
        shown = text_of(pilot)
        assert not set(shown) & set("\x1b\x07\x9b\u202e")
        assert "[bold]x[/]" in shown and "日本語" in shown
        assert screen.conversing is not None and "[bold]" in screen.conversing.title


@pytest.mark.parametrize("size", [(20, 8), (40, 12), (80, 24), (120, 40), (200, 60)])
async def test_it_fits_every_terminal(place: Place, size: tuple[int, int]) -> None:
    async with place.app().run_test(size=size) as pilot:
        screen = await loaded(pilot)
        await ask(pilot, "say hello")
        assert "hello" in text_of(pilot)
        assert screen.composer.region.height >= 2
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "security" in text_of(pilot))


async def test_a_pasted_message_of_a_hundred_kilobytes_is_said(place: Place) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        text = "say hello " + "pasted " * 14_000
        await say(pilot, text)
        await until(pilot, lambda: len(screen.transcript.entries) == 2)
        assert screen.transcript.entries[0].text == text
        await pilot.press("ctrl+c")


async def test_new_chats_take_system_prompt_and_sampling_from_the_settings(place: Place) -> None:
    settings = Settings(chat=Chat(system="Be brief.", temperature=0.25, max_tokens=7))
    async with place.app(settings).run_test(size=(120, 40)) as pilot:
        screen = await loaded(pilot)
        assert screen.conversing is not None
        setup = screen.conversing.session.setup
        assert (setup.system, setup.sampling.temperature, setup.sampling.max_tokens) == ("Be brief.", 0.25, 7)


async def test_a_folder_that_cannot_be_written_is_told(place: Place, tmp_path: Path) -> None:
    from trimtab.tui.backend import open_store

    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    blocked.chmod(0o500)
    store, notices = await open_store(blocked / "chats.db")
    assert store.path is None and "will not be kept" in notices[0]
    await store.close()


async def test_copying_says_how(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async with place.app().run_test(size=(120, 40)) as pilot:
        await loaded(pilot)
        await ask(pilot, "say one ```\ntwo\n```")
        await pilot.press("escape", "y")
        assert pilot.app.clipboard == "one ```\ntwo\n```"
        await until(pilot, lambda: "copied" in told(pilot))


async def test_the_editor_gives_back_what_was_written(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trimtab.tui.editor import edit

    script = tmp_path / "editor.sh"
    script.write_text('#!/bin/sh\nprintf "more\\n" >> "$1"\n')
    script.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(script))
    monkeypatch.delenv("VISUAL", raising=False)
    assert edit("some\n") == "some\nmore"
