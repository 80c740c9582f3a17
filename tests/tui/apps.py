"""The app over an engine that says what it is told, with its chats in a folder of the test's own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from textual.pilot import Pilot

from tests.engine.worker.scripted import WIDTH
from trimtab.chat.async_store import AsyncStore
from trimtab.chat.desk import Desk
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import LoadRequest, ModelInfo
from trimtab.engine.program import EMPTY, Array, Program, Shift
from trimtab.settings import Settings, SettingsFile
from trimtab.tui.app import TrimtabApp
from trimtab.tui.backend import Backend
from trimtab.tui.screens.chat import ChatScreen
from trimtab.tui.values import ValueFacts, ordered

VALUES = [
    ValueFacts(
        id="security", name="Security", meaning="Safety and calm.", recommended=2.5, most=4.0, gate=0.2
    ),
    ValueFacts(id="stimulation", name="Stimulation", meaning="Thrill and change."),
    ValueFacts(id="power", name="Power", meaning="Standing.", built=False),
    ValueFacts(id="positivity", name="Positivity", meaning="Good words."),
]


def program_of(desk: Desk) -> Program:
    """So that the engine's word `sum` says the levels that act, times its width."""
    level = 0.0 if desk.silenced else sum(dial.level * dial.strength for dial in desk.dials if dial.on)
    return Program(interventions=(Shift(layer=1, vector=Array(np.full(WIDTH, level))),)) if level else EMPTY


@dataclass
class Place:
    """Where a test's app keeps its things, and which model it is told to load."""

    folder: Path
    model: str = "scripted"

    def app(self, settings: Settings | None = None) -> TrimtabApp:
        async def open_backend(settings: Settings) -> Backend:
            return Backend(
                store=await AsyncStore.open(self.folder / "chats.db"),
                engine=EngineClient.start(engine="tests.tui.speaking:make"),
                request=LoadRequest(path=self.model),
                make_program=program_of,
                find_values=_values,
            )

        return TrimtabApp(
            settings, file=SettingsFile(self.folder / "settings.toml"), open_backend=open_backend
        )


def _values(info: ModelInfo) -> list[ValueFacts]:
    return ordered(list(VALUES))


def screen_of(pilot: Pilot[None]) -> ChatScreen:
    assert isinstance(pilot.app, TrimtabApp) and pilot.app.chat is not None
    return pilot.app.chat


def text_of(pilot: Pilot[None]) -> str:
    """What is on the screen."""
    return "\n".join(strip.text.rstrip() for strip in pilot.app.screen._compositor.render_strips())


def told(pilot: Pilot[None]) -> str:
    """The notices that are up."""
    return "\n".join(each.message for each in pilot.app._notifications)


async def until(pilot: Pilot[None], condition: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come true; the screen:\n{text_of(pilot)}"
        await pilot.pause(0.02)


async def loaded(pilot: Pilot[None]) -> ChatScreen:
    """The screen when the model is there."""
    await until(pilot, lambda: isinstance(pilot.app, TrimtabApp) and pilot.app.chat is not None)
    screen = screen_of(pilot)
    await until(pilot, screen.model.done)
    await pilot.pause()
    return screen


async def say(pilot: Pilot[None], text: str) -> None:
    """Writes and sends."""
    screen = screen_of(pilot)
    screen.composer.focus()
    screen.composer.put(text)
    await pilot.press("enter")


async def answered(pilot: Pilot[None], replies: int = 1) -> list[str]:
    """The texts of the conversation, when so many replies have ended."""
    screen = screen_of(pilot)

    def ended() -> bool:
        shown = screen.transcript.entries
        return sum(not each.mine for each in shown) >= replies and not any(each.live for each in shown)

    await until(pilot, ended)
    return [each.text for each in screen.transcript.entries]


async def ask(pilot: Pilot[None], text: str) -> str:
    """What is answered."""
    replies = sum(not each.mine for each in screen_of(pilot).transcript.entries)
    await say(pilot, text)
    return (await answered(pilot, replies + 1))[-1]
