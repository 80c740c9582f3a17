"""A hash over pieces of a model's weights: it tells two files apart without reading gigabytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

_PIECES = 4
_LENGTH = 1024

Read = Callable[[int, int], bytes]
"""Bytes of a tensor: from where, how many."""


class WeightSample:
    """Takes tensors in the order of their names: of each its name, format, shape and four pieces of a kilobyte.

    Any training or requantisation changes every piece. A change of single numbers goes unseen: it is a sample.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256(b"trimtab weights 1\n")

    def add(self, name: str, kind: str, shape: Sequence[int], size: int, read: Read) -> None:
        facts = f"{name}\n{kind}\n{','.join(map(str, shape))}\n{size}\n"
        self._digest.update(facts.encode("utf-8", "replace"))
        if size <= _PIECES * _LENGTH:
            self._digest.update(read(0, size))
            return
        for piece in range(_PIECES):
            self._digest.update(read((size - _LENGTH) * piece // (_PIECES - 1), _LENGTH))

    def hash(self) -> str:
        return self._digest.hexdigest()
