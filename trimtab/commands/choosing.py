"""Chooses anchor words for `trimtab anchors`: scores both sides of preference data under two models, or one twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trimtab.chat.desk import Desk
from trimtab.chat.steering import Steering
from trimtab.engine.client import EngineClient
from trimtab.engine.contract import FloatArray, LoadRequest, ModelInfo
from trimtab.engine.model_facts import facts
from trimtab.engine.program import EMPTY, Program
from trimtab.errors import TrimtabError
from trimtab.vectors.anchor_scoring import Form, Texts, prepare, score
from trimtab.vectors.anchor_selection import Response
from trimtab.vectors.preferences import Example

OnProgress = Callable[[float, str], None]


@dataclass(frozen=True)
class Contrast:
    """π* and π_ref: two models, or one model under a desk and without."""

    model: LoadRequest
    reference: LoadRequest | None
    desk: Desk
    form: Form | Literal["auto"] = "auto"


@dataclass(frozen=True, eq=False)
class Scored:
    """Both sides under both models."""

    chosen: list[Response]
    rejected: list[Response]
    pieces: dict[int, bytes]
    info: ModelInfo
    form: Form
    left_out: int
    """Responses that do not fit into the window."""


async def contrast(
    asked: Contrast, chosen: Sequence[Example], rejected: Sequence[Example], on_progress: OnProgress
) -> Scored:
    """Both models read the same texts in the same format."""
    form = _form(asked)
    async with EngineClient.start() as engine:
        info = await engine.load(asked.model, lambda share: on_progress(0.0, "loading"))
        above, no_room = await prepare(engine, chosen, form, info.context)
        below, nor_there = await prepare(engine, rejected, form, info.context)
        if not above.pairs or not below.pairs:
            raise TrimtabError("No response of a side fits into the model's window.", "Take shorter ones.")
        program = await Steering(engine, watch=False).program(asked.desk)
        better = await _both(engine, above, below, program, lambda share: on_progress(share / 2, info.name))
        tokens = sorted({token for texts in (above, below) for found in texts.tokens for token in found})
        pieces = dict(zip(tokens, await engine.pieces(tokens), strict=True))
        name = info.name
        if asked.reference is not None:
            other = await engine.load(asked.reference, lambda share: on_progress(0.5, "loading"))
            name = other.name
            _check_vocabulary(info, other)
        reference = await _both(engine, above, below, EMPTY, lambda share: on_progress(0.5 + share / 2, name))
    return Scored(
        chosen=_responses(above, better[0], reference[0]),
        rejected=_responses(below, better[1], reference[1]),
        pieces=pieces,
        info=info,
        form=form,
        left_out=no_room + nor_there,
    )


def _form(asked: Contrast) -> Form:
    """The chat template where both have the same one; a plain dialogue is read alike by all models."""
    if asked.form != "auto":
        return asked.form
    template = facts(_path(asked.model)).template
    other = template if asked.reference is None else facts(_path(asked.reference)).template
    return "chat" if template is not None and template == other else "plain"


def _path(request: LoadRequest) -> Path:
    return Path(request.path)


async def _both(
    engine: EngineClient, above: Texts, below: Texts, program: Program, tell: Callable[[float], object]
) -> tuple[list[FloatArray], list[FloatArray]]:
    whole = len(above.pairs) + len(below.pairs)
    share = len(above.pairs) / whole
    first = await score(engine, above, program, lambda part: tell(part * share))
    second = await score(engine, below, program, lambda part: tell(share + part * (1 - share)))
    return first, second


def _check_vocabulary(one: ModelInfo, other: ModelInfo) -> None:
    if one.vocabulary_hash != other.vocabulary_hash:
        raise TrimtabError(
            f"{one.name} and {other.name} do not share a vocabulary, so their probabilities cannot be compared.",
            "Take two models of one family, or one model with --adapter or --preface.",
        )


def _responses(texts: Texts, better: Sequence[FloatArray], reference: Sequence[FloatArray]) -> list[Response]:
    return [
        Response(tokens, above, below)
        for tokens, above, below in zip(texts.tokens, better, reference, strict=True)
    ]
