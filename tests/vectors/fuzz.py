"""Damages files in ways that find weak readers, and holds a reader to its promises."""

from __future__ import annotations

import random
import struct
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from trimtab.errors import TrimtabError

Read = Callable[[bytes], object]

_EXTREMES = [
    *(struct.pack("<I", value) for value in (0, 1, 2, 5, 8, 9, 12, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)),
    *(struct.pack("<Q", value) for value in (0, 1, 1 << 16, 1 << 31, 1 << 32, 1 << 40, 1 << 62, 1 << 63, 2**64 - 1)),
    *(struct.pack("<f", value) for value in (float("nan"), float("inf"), -1e38, 1e-45)),
    *(struct.pack("<d", value) for value in (float("nan"), float("-inf"), 1e308, 1e300)),
    b"\x1b]0;x\x07", "\u202e\u2066".encode(), b"../../../x", b"\xff\xfe\xc0\x80", b"\x80\x04\x95", b"", b"\0" * 40,
]  # fmt: skip


@dataclass
class Outcome:
    """What came of many damaged inputs."""

    inputs: int = 0
    refused: int = 0
    slowest: float = 0.0
    """In processor seconds: how busy the machine is says nothing about the reader."""
    largest: float = 0.0
    """The most memory that a measured input took, in bytes."""


def damaged(base: bytes, draw: random.Random) -> bytes:
    """The base with one to four pieces overwritten, taken out, put in, doubled, swapped or cut off."""
    data = bytearray(base)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        at = draw.randrange(len(data) + 1)
        kind = draw.randrange(8)
        if kind <= 2:
            piece = draw.choice(_EXTREMES)
            data[at : at + len(piece)] = piece
        elif kind == 3 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 4:
            data[at:at] = draw.choice(_EXTREMES)
        elif kind == 5:
            del data[at : at + draw.choice((1, 4, 8, 32, 200))]
        elif kind == 6:
            data[at:at] = data[at : at + draw.choice((8, 32, 100))]
        elif draw.random() < 0.3:
            del data[at:]
        if not data:
            data = bytearray(b"\0")
    return bytes(data)


def inputs(bases: Sequence[bytes], seed: int, count: int) -> Iterator[bytes]:
    draw = random.Random(seed)
    for _ in range(count):
        yield damaged(draw.choice(bases), draw)


def hammer(read: Read, many: Iterator[bytes], *, measure_every: int = 0) -> Outcome:
    """Reads them all: each is taken, or refused with a typed error on one line, within a second."""
    outcome = Outcome()
    for data in many:
        outcome.inputs += 1
        measured = measure_every and outcome.inputs % measure_every == 0
        if measured:
            tracemalloc.start()
        start = time.process_time()
        refusal = refusal_of(read, data)
        outcome.slowest = max(outcome.slowest, time.process_time() - start)
        if measured:
            outcome.largest = max(outcome.largest, tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        if refusal is not None:
            outcome.refused += 1
            assert str(refusal).isprintable(), f"it says {str(refusal)!r}"
            assert refusal.hint, f"it tells no way out of {str(refusal)!r}"
    return outcome


def refusal_of(read: Read, data: bytes) -> TrimtabError | None:
    """Any other error is a crash and passes through."""
    try:
        read(data)
    except TrimtabError as error:
        return error
    return None
