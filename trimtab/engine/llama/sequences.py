"""How texts are laid into batches: several short ones side by side, a long one piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A text to read, and the positions at which something is wanted of it."""

    tokens: Sequence[int]
    wanted: range
    """Where rows or logits are read."""
    outputs: bool
    """Whether the model must make an output at the wanted positions."""


@dataclass(frozen=True)
class Piece:
    """A stretch of one text inside a batch."""

    text: int
    start: int
    """Its first position in the text."""
    length: int
    sequence: int
    row: int
    """Its first place in the batch."""

    def places(self, wanted: range) -> range:
        """The places in the batch of those wanted positions that lie in this piece."""
        low, high = max(wanted.start, self.start), min(wanted.stop, self.start + self.length)
        return range(low - self.start + self.row, max(low, high) - self.start + self.row)


def lay_out(
    texts: Sequence[Text], *, capacity: int, outputs: int, sequences: Sequence[int]
) -> Iterator[tuple[list[Piece], bool]]:
    """Batches of at most `capacity` tokens and `outputs` outputs; True where all their texts end with them.

    A text longer than a batch has its batches to itself.
    """
    group: list[Piece] = []
    tokens = made = 0
    for number, text in enumerate(texts):
        length, makes = len(text.tokens), len(text.wanted) if text.outputs else 0
        full = tokens + length > capacity or made + makes > outputs or len(group) == len(sequences)
        if group and full:
            yield group, True
            group, tokens, made = [], 0, 0
        if length > capacity or makes > outputs:
            yield from _pieces(number, text, capacity, outputs, sequences[0])
            continue
        group.append(Piece(number, 0, length, sequences[len(group)], tokens))
        tokens, made = tokens + length, made + makes
    if group:
        yield group, True


def _pieces(
    number: int, text: Text, capacity: int, outputs: int, sequence: int
) -> Iterator[tuple[list[Piece], bool]]:
    start = 0
    while start < len(text.tokens):
        length = min(capacity, len(text.tokens) - start)
        if text.outputs:
            # Up to the wanted positions a whole batch; among them no more than there may be outputs.
            before = max(0, text.wanted.start - start)
            length = min(length, before + outputs)
        yield [Piece(number, start, length, sequence, 0)], start + length == len(text.tokens)
        start += length
