"""Reads texts beside the chat: their activations and the scores of continuations."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

from trimtab.engine.contract import FloatArray, Progress
from trimtab.engine.llama.forward import Forward
from trimtab.engine.llama.hook import Hook, Mode
from trimtab.engine.llama.interruption import Interruption
from trimtab.engine.llama.native import Native
from trimtab.engine.llama.sequences import Piece, Text, lay_out
from trimtab.errors import Cancelled, ContextFull

CHAT = 0

_ROOM = 64 << 20
"""How many bytes of captured rows or of logits to hold at once."""


class Aside:
    """Sequences of the chat's own context, so that nothing is loaded twice; they are empty between calls."""

    def __init__(
        self,
        native: Native,
        forward: Forward,
        hook: Hook,
        interruption: Interruption,
        *,
        layers: int,
        width: int,
        cells: int,
        sequences: int,
    ) -> None:
        self._native = native
        self._forward = forward
        self._hook = hook
        self._interruption = interruption
        self._layers = layers
        self._width = width
        self._cells = cells
        self._sequences = range(1, sequences)

    def states(
        self,
        texts: Sequence[tuple[Sequence[int], slice]],
        layers: Sequence[int],
        positions: Literal["last", "mean"],
        progress: Progress,
    ) -> FloatArray:
        """Shape (texts, layers, width): each layer's output at the last position of the slice, or their mean."""
        wanted = [range(*where.indices(len(tokens))) for tokens, where in texts]
        if positions == "last":
            wanted = [span[-1:] for span in wanted]
        last = self._layers - 1
        outputs = last in layers
        laid = [Text(tokens, span, outputs) for (tokens, _), span in zip(texts, wanted, strict=True)]
        capacity = min(
            self._forward.batch.capacity, max(16, _ROOM // (4 * self._width * max(1, len(layers))))
        )
        sums = np.zeros((len(texts), len(layers), self._width))

        def take(pieces: list[Piece]) -> None:
            captured = self._hook.captured()
            for piece in pieces:
                places = piece.places(wanted[piece.text])
                for at, layer in enumerate(layers):
                    rows = captured[layer]
                    # Of the last layer only the rows that make output may be there.
                    chosen = (
                        self._outputs_at(places) if layer == last and len(rows) < self._batch_rows else places
                    )
                    sums[piece.text, at] += rows[chosen.start : chosen.stop].sum(axis=0, dtype=np.float64)

        self._hook.capture(set(layers), capacity)
        self._hook.mode = Mode.CAPTURE
        try:
            self._read(laid, capacity, self._outputs_at_once(), take, progress)
        finally:
            self._hook.mode = Mode.IDLE
            self._hook.capture((), 0)
        counts = np.array([max(1, len(span)) for span in wanted])
        means: FloatArray = (sums / counts[:, None, None]).astype(np.float32)
        return means

    def scores(
        self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], progress: Progress
    ) -> list[FloatArray]:
        """For each (context, continuation) the log-probability of each token of the continuation."""
        texts = []
        for context, continuation in pairs:
            tokens = [*context, *continuation][:-1]
            texts.append(Text(tokens, range(len(context) - 1, len(tokens)), outputs=True))
        found = [np.zeros(len(continuation), dtype=np.float32) for _, continuation in pairs]

        def take(pieces: list[Piece]) -> None:
            for piece in pieces:
                context, continuation = pairs[piece.text]
                for place in piece.places(texts[piece.text].wanted):
                    at = place - piece.row + piece.start - (len(context) - 1)
                    found[piece.text][at] = _log_probability(self._forward.logits(place), continuation[at])

        self._read(texts, self._forward.batch.capacity, self._outputs_at_once(), take, progress)
        return found

    def _read(
        self,
        texts: Sequence[Text],
        capacity: int,
        outputs: int,
        take: Callable[[list[Piece]], None],
        progress: Progress,
    ) -> None:
        done = 0
        with self._room(max((len(text.tokens) for text in texts), default=0)):
            try:
                for pieces, ends in lay_out(
                    texts, capacity=capacity, outputs=outputs, sequences=self._sequences
                ):
                    if self._interruption.wanted:
                        raise Cancelled("Stopped.")
                    self._fill(texts, pieces)
                    self._hook.rewind()
                    self._forward.run()
                    take(pieces)
                    if not ends:
                        continue
                    for piece in pieces:
                        self._forward.forget(piece.sequence)
                    done += len(pieces)
                    if not progress(done / len(texts)):
                        raise Cancelled("Stopped.")
            finally:
                for sequence in self._sequences:
                    self._forward.forget(sequence)

    def _fill(self, texts: Sequence[Text], pieces: list[Piece]) -> None:
        batch = self._forward.batch
        batch.clear()
        for piece in pieces:
            text = texts[piece.text]
            places = piece.places(text.wanted) if text.outputs else range(0)
            batch.add(
                text.tokens[piece.start : piece.start + piece.length],
                piece.start,
                piece.sequence,
                [place - piece.row for place in places],
            )

    def _outputs_at(self, places: range) -> range:
        """Where the outputs at these places of the batch come among all its outputs."""
        before = self._forward.batch.outputs_before(places.start)
        return range(before, before + len(places))

    @property
    def _batch_rows(self) -> int:
        return self._forward.batch.count

    def _outputs_at_once(self) -> int:
        return min(self._forward.batch.capacity, max(1, _ROOM // (4 * self._forward.vocabulary)))

    @contextmanager
    def _room(self, tokens: int) -> Iterator[None]:
        """Puts the chat away meanwhile where a text does not fit beside it."""
        if tokens > self._cells:
            raise ContextFull(
                f"A text of {tokens:,} tokens does not fit the window of {self._cells:,}.",
                "Shorten it, or load the model with a larger context.",
            )
        fits = self._forward.length(CHAT) + max(tokens, self._forward.batch.capacity) <= self._cells
        if fits or not self._forward.length(CHAT):
            yield
            return
        api: Any = self._native.api
        size = api.llama_state_seq_get_size(self._native.context, CHAT)
        kept = (ctypes.c_uint8 * size)()
        if api.llama_state_seq_get_data(self._native.context, kept, size, CHAT) != size:
            raise ContextFull("There is no room beside the chat.", "Start a new chat first.")
        self._forward.forget(CHAT)
        try:
            yield
        finally:
            api.llama_state_seq_set_data(self._native.context, kept, size, CHAT)


def _log_probability(logits: FloatArray, token: int) -> float:
    exact = logits.astype(np.float64)
    highest = exact.max()
    return float(exact[token] - highest - np.log(np.exp(exact - highest).sum()))
