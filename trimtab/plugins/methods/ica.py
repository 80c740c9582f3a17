"""ICA, in-context alignment: tells the model in the user's turn that it has a value, and what the value means."""

from __future__ import annotations

from trimtab.engine.program import Preface
from trimtab.plugins.context import MethodContext
from trimtab.plugins.errors import LineError
from trimtab.plugins.hooks import hookimpl
from trimtab.plugins.line import Line
from trimtab.plugins.method import Level, Method, MethodOptions, Steering, read_options
from trimtab.plugins.methods.packs import gate_of
from trimtab.vectors.pack import Pack
from trimtab.vectors.recipe import Recipe

TEMPLATE = "You have a {amount} level of {value}. {Value} means {meaning}."
"""The paper's, whose amount is always "high"; a level below zero says "low", which the paper does not try."""


class Ica:
    name = "ica"
    summary = "Tells the model in words that it has a value (in-context alignment)."
    takes = (Pack, Recipe)
    level = Level(unit="high above zero, low below", low=-1, high=1)
    options = MethodOptions

    async def steer(self, line: Line, model: MethodContext) -> Steering:
        read_options(MethodOptions, line)
        assert isinstance(line.source, Pack | Recipe)
        text = ica_text(line.source.name, line.source.meaning, high=line.level > 0)
        preface = Preface(text=text, place="user", gate=gate_of(line), label=line.title)
        return Steering(interventions=(preface,))


def ica_text(name: str, meaning: str, *, high: bool = True) -> str:
    """The paper's words, as a sentence has them: the value small within it, the meaning without its stop."""
    meaning = meaning.strip().rstrip(".")
    if not meaning:
        raise LineError(
            f"Nothing says what {name} means, so there are no words for it.",
            "Put a text of your own before the conversation, with the method preface.",
        )
    value = _small(name.strip())
    return TEMPLATE.format(
        amount="high" if high else "low",
        value=value,
        Value=value[:1].upper() + value[1:],
        meaning=_small(meaning),
    )


def _small(text: str) -> str:
    """With a small letter first, unless the first word is written in capitals."""
    word = text.split(maxsplit=1)[0]
    return text if word[1:] != word[1:].lower() or word == "I" else text[:1].lower() + text[1:]


@hookimpl
def trimtab_methods() -> tuple[Method, ...]:
    return (Ica(),)
