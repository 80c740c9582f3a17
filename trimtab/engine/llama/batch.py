"""A batch for llama.cpp in memory of our own, filled by numpy and used again for every decode."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np


class Batch:
    """Up to `capacity` tokens, each in one sequence at one position, with or without output."""

    def __init__(self, api: Any, capacity: int) -> None:
        self.capacity = capacity
        self._token = np.zeros(capacity, dtype=np.int32)
        self._position = np.zeros(capacity, dtype=np.int32)
        self._sequence = np.zeros(capacity, dtype=np.int32)
        self._output = np.zeros(capacity, dtype=np.int8)
        self._one_sequence = np.ones(capacity, dtype=np.int32)
        self._sequence_at = self._sequence.ctypes.data + 4 * np.arange(capacity, dtype=np.uintp)
        self.raw = api.llama_batch()
        for field, array in (
            ("token", self._token),
            ("pos", self._position),
            ("n_seq_id", self._one_sequence),
            ("seq_id", self._sequence_at),
            ("logits", self._output),
        ):
            kind = dict(api.llama_batch._fields_)[field]
            setattr(self.raw, field, ctypes.cast(array.ctypes.data, kind))

    @property
    def count(self) -> int:
        return int(self.raw.n_tokens)

    def outputs(self) -> list[int]:
        """The places of those tokens that make output."""
        return [int(place) for place in np.flatnonzero(self._output[: self.count])]

    def outputs_before(self, place: int) -> int:
        return int(np.count_nonzero(self._output[:place]))

    def one(self, token: int, position: int) -> None:
        """A single token of sequence 0, with output: the least work for each step of a reply."""
        self._token[0] = token
        self._position[0] = position
        self._sequence[0] = 0
        self._output[0] = 1
        self.raw.n_tokens = 1

    def clear(self) -> None:
        self.raw.n_tokens = 0

    def add(self, tokens: Sequence[int], position: int, sequence: int, outputs: Sequence[int] = ()) -> None:
        """Appends tokens that stand in `sequence` from `position` on; `outputs` are indices among them."""
        start = self.count
        end = start + len(tokens)
        self._token[start:end] = tokens
        self._position[start:end] = np.arange(position, position + len(tokens))
        self._sequence[start:end] = sequence
        self._output[start:end] = 0
        for index in outputs:
            self._output[start + index] = 1
        self.raw.n_tokens = end
