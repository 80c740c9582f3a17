"""Scores preference data under two models, or under one with and without a program, for choosing anchor words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from trimtab.engine.client import EngineClient
from trimtab.engine.contract import FloatArray, ScoreRequest
from trimtab.engine.program import Program
from trimtab.vectors.preferences import Example

Form = Literal["plain", "chat"]
_BATCH = 32
_PLAIN = "Human: {prompt}\n\nAssistant:"


class Texts:
    """Responses in the tokens of one vocabulary, in one format for both models."""

    def __init__(self, form: Form, examples: Sequence[Example], tokens: Sequence[tuple[int, ...]]) -> None:
        self.form = form
        self.tokens = tuple(tokens)
        self.pairs = tuple((context(example, form), said(example, form)) for example in examples)


async def prepare(
    engine: EngineClient, examples: Sequence[Example], form: Form, window: int
) -> tuple[Texts, int]:
    """The texts that fit into a window of so many tokens, and how many do not."""
    kept: list[Example] = []
    tokens: list[tuple[int, ...]] = []
    for example in examples:
        found = await engine.tokenize(said(example, form))
        # The template and a preface take some room as well.
        asked = await engine.tokenize(context(example, form))
        if found and len(found) + len(asked) + window // 8 < window:
            kept.append(example)
            tokens.append(tuple(found))
    return Texts(form, kept, tokens), len(examples) - len(kept)


async def score(
    engine: EngineClient, texts: Texts, program: Program, on_progress: Callable[[float], object]
) -> list[FloatArray]:
    """For each text the log-probability of each of its tokens."""
    found: list[FloatArray] = []
    for start in range(0, len(texts.pairs), _BATCH):
        pairs = texts.pairs[start : start + _BATCH]
        found += await engine.score(ScoreRequest(pairs=pairs, program=program, form=texts.form))
        on_progress(len(found) / len(texts.pairs))
    return found


def context(example: Example, form: Form) -> str:
    """What stands before the response. A model without a chat template sees a plain dialogue."""
    if form == "chat":
        return example.prompt or "\n"
    return _PLAIN.format(prompt=example.prompt) if example.prompt else "\n"


def said(example: Example, form: Form) -> str:
    return example.response if form == "chat" or not example.prompt else f" {example.response}"
