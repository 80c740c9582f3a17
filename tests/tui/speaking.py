"""An engine without a model that says what it is asked to say: `say TEXT`, or `say@50 TEXT` at 50 tokens a second."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from tests.engine.worker.scripted import ScriptedEngine
from trimtab.engine.contract import Done, EndReason, Event, GenerateRequest, LoadRequest, Progress, Steered
from trimtab.errors import ModelError

_ASKED = re.compile(r"say(?:@(\d+))? (.*)", re.DOTALL)
PIECE = 4
"""Characters of a token."""


def make(request: LoadRequest, progress: Progress) -> SpeakingEngine:
    if request.path == "missing":
        raise ModelError("There is no model at missing.", "Check the path.")
    if request.path == "slow":
        for step in range(20):
            time.sleep(0.05)
            progress(step / 20)
    progress(1.0)
    return SpeakingEngine(request)


class SpeakingEngine(ScriptedEngine):
    """`sum` says how strongly it is steered; other words do what they do for the scripted engine."""

    def generate(self, request: GenerateRequest) -> Iterator[Event]:
        asked = _ASKED.fullmatch(
            next(each.content for each in reversed(request.messages) if each.role == "user")
        )
        if asked is None:
            yield from super().generate(request)
            return
        self._cancelled.clear()
        self._wanted = None
        self._count = 0
        text, reason = asked[2], "end"
        for at in range(0, len(text), PIECE):
            if self._cancelled.wait(1 / int(asked[1]) if asked[1] else 0):
                reason = "cancelled"
                break
            yield from self._piece(text[at : at + PIECE])
        ended: EndReason = "cancelled" if reason == "cancelled" else "end"
        yield Done(reason=ended, text="", receipt=self._receipt(request.program))

    def _piece(self, text: str) -> Iterator[Event]:
        if self._wanted is not None:
            program, self._wanted = self._wanted, None
            yield Steered(index=self._count, fingerprint=program.fingerprint)
        yield self._said(text)
