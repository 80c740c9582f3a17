"""What a direction says: the tokens whose logits it raises most, read off the unembedding matrix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from trimtab.engine.client import EngineClient
from trimtab.engine.text import clean_line

Key = TypeVar("Key")
Float64Array = npt.NDArray[np.float64]

_PIECE_BYTES = 32 << 20
_SPARE = 4
"""So many times the wanted tokens are kept: some of them are unfit to be shown, or differ in case alone."""


async def top_tokens(
    engine: EngineClient,
    directions: Mapping[Key, Float64Array],
    count: int = 12,
    on_piece: Callable[[float], None] = lambda _: None,
) -> dict[Key, tuple[str, ...]]:
    """For each direction its tokens, the strongest first. One pass over the vocabulary serves all directions."""
    assert engine.info is not None
    if not directions:
        return {}
    size, kept = engine.info.vocabulary, count * _SPARE
    stack = np.stack(list(directions.values())).astype(np.float32)
    best_scores = np.full((len(stack), kept), -np.inf, dtype=np.float32)
    best_tokens = np.full((len(stack), kept), -1)
    step = max(256, _PIECE_BYTES // (4 * stack.shape[1]))
    for begin in range(0, size, step):
        tokens = range(begin, min(begin + step, size))
        rows = await engine.unembed(tokens)
        scores = np.concatenate((best_scores, stack @ rows.T), axis=1)
        numbers = np.concatenate((best_tokens, np.tile(tokens, (len(stack), 1))), axis=1)
        at = np.argsort(-scores, axis=1, kind="stable")[:, :kept]
        best_scores = np.take_along_axis(scores, at, axis=1)
        best_tokens = np.take_along_axis(numbers, at, axis=1)
        on_piece(len(tokens) / size)
    known = np.unique(best_tokens[best_tokens >= 0]).tolist()
    pieces = dict(zip(known, await engine.pieces(known), strict=True))
    return {
        key: _words([pieces[token] for token in row.tolist() if token >= 0], count)
        for key, row in zip(directions, best_tokens, strict=True)
    }


def _words(pieces: list[bytes], count: int) -> tuple[str, ...]:
    """Tokens as people read them: without the space before them, each once, and none that is no text."""
    out: dict[str, str] = {}
    for piece in pieces:
        try:
            word = clean_line(piece.decode()).strip()
        except UnicodeDecodeError:
            continue
        if word and any(character.isalnum() for character in word):
            out.setdefault(word.lower(), word)
    return tuple(out.values())[:count]
