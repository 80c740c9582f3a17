"""A preface: words of the user's own, put before the conversation."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from trimtab.engine.program import Preface
from trimtab.plugins.context import MethodContext
from trimtab.plugins.dial import Dial, Text
from trimtab.plugins.errors import DialError
from trimtab.plugins.hooks import hookimpl
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

    async def steer(self, dial: Dial, model: MethodContext) -> Steering:
        assert isinstance(dial.source, Text)
        if dial.level < 0:
            raise DialError(f"{dial.title} is a text: it has no opposite.", "Set its level above zero.")
        place = read_options(PrefaceOptions, dial).place
        return Steering(interventions=(Preface(text=dial.source.text, place=place, label=dial.title),))


@hookimpl
def trimtab_methods() -> tuple[Method, ...]:
    return (PrefaceMethod(),)
