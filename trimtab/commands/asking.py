"""Loads a model, steers it as a desk says, and passes on what it answers."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

from trimtab.chat.desk import Desk
from trimtab.chat.steering import Steering
from trimtab.commands.interruption import interruptible
from trimtab.commands.progress import Progress
from trimtab.commands.showing import Shows
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import Done, EndReason, GenerateRequest, LoadRequest, Message, Prefill, Sampling
from trimtab.errors import EngineError


@dataclass(frozen=True)
class Question:
    """What is asked, and under what."""

    text: str
    system: str
    desk: Desk
    sampling: Sampling
    raw: bool = False


async def ask(request: LoadRequest, question: Question, show: Shows) -> EndReason:
    """Asks a worker of its own; how the answer ended."""
    async with EngineClient.start() as engine:
        with _progress() as progress:
            info = await engine.load(request, lambda share: progress(share, "loading"))
        composed = await Steering(engine).compose(question.desk)
        show.begin(info, composed)
        asked = GenerateRequest(
            messages=() if question.raw else _messages(question),
            text=question.text if question.raw else None,
            program=composed.program,
            sampling=question.sampling,
        )
        return await _answer(engine, asked, show)


def _messages(question: Question) -> tuple[Message, ...]:
    asked = Message(role="user", content=question.text)
    return (Message(role="system", content=question.system), asked) if question.system.strip() else (asked,)


def _progress() -> Progress:
    """For who looks on; a log is none the wiser for it."""
    return Progress(quiet=not sys.stderr.isatty())


async def _answer(engine: EngineClient, asked: GenerateRequest, show: Shows) -> EndReason:
    stream = engine.generate(asked)
    stopping: list[asyncio.Task[None]] = []
    with (
        interruptible(lambda: stopping.append(asyncio.create_task(stream.aclose()))),
        _progress() as progress,
    ):
        async for event in stream:
            if isinstance(event, Prefill):
                progress(event.done / max(1, event.total), "reading")
            else:
                progress.clear()
            show.event(event)
            if isinstance(event, Done):
                show.end(event)
                return event.reason
    raise EngineError("The reply ended without a receipt.", "Ask again.")
