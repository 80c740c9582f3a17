"""A preface: words of the user's own, put before the conversation."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from trimtab.engine.program import Preface
from trimtab.plugins.context import MethodContext
from trimtab.plugins.errors import LineError
from trimtab.plugins.hooks import hookimpl
from trimtab.plugins.line import Line, Text
from trimtab.plugins.method import Level, Method, MethodOptions, Steering, read_options


class PrefaceOptions(MethodOptions, frozen=True, kw_only=True):
    place: Annotated[
        Literal["system", "user"],
        Meta(description="In the system prompt, or before the user's first message."),
    ] = "system"


class PrefaceMethod:
    name = "preface"
    summary = "Puts a persona, or any words, before the conversation."
    takes = (Text,)
    level = Level(unit="on or off", low=0, high=1)
    options = PrefaceOptions

    async def steer(self, line: Line, model: MethodContext) -> Steering:
        assert isinstance(line.source, Text)
        if line.level < 0:
            raise LineError(f"{line.title} is a text: it has no opposite.", "Set its level above zero.")
        place = read_options(PrefaceOptions, line).place
        return Steering(interventions=(Preface(text=line.source.text, place=place, label=line.title),))


@hookimpl
def trimtab_methods() -> tuple[Method, ...]:
    return (PrefaceMethod(),)
