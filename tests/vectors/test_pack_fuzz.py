"""Malformed packs, by the hundred thousand: none crashes, hangs, swells or is taken for another."""

from __future__ import annotations

import random
import struct

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.vectors.fuzz import Outcome, hammer, inputs
from tests.vectors.packs import TINY, imported_pack, probe_pack, rewritten
from trimtab.vectors.pack import Pack
from trimtab.vectors.pack_errors import PackError
from trimtab.vectors.pack_gguf import Value
from trimtab.vectors.pack_reading import from_bytes
from trimtab.vectors.pack_writing import to_bytes

SMALL = msgspec.structs.replace(TINY, layers=2, width=4)
BASES = [
    to_bytes(probe_pack()),
    to_bytes(probe_pack(SMALL, good=(1,), similarities=(), top_tokens=(), calibration=None)),
    *[to_bytes(imported_pack())] * 3,
]


def read(data: bytes) -> Pack:
    pack = from_bytes(data, "stranger.gguf")
    assert from_bytes(to_bytes(pack), "again") == pack
    return pack


def assert_well(outcome: Outcome) -> None:
    assert outcome.refused > 0.8 * outcome.inputs
    assert outcome.slowest < 1.0
    assert outcome.largest < 2 << 20


def test_damaged_packs_are_read_or_refused() -> None:
    assert_well(hammer(read, inputs(BASES, seed=1, count=3000), measure_every=10))


@pytest.mark.slow
def test_a_hundred_thousand_damaged_packs_are_read_or_refused() -> None:
    assert_well(hammer(read, inputs(BASES, seed=random.randrange(2**32), count=100_000), measure_every=100))


KEYS = [
    "general.alignment", "general.name", "trimtab.calibration.levels", "trimtab.derived_at.offset",
    "trimtab.gate.layer", "trimtab.gate.weight", "trimtab.good_layers", "trimtab.mean.lengths", "trimtab.method",
    "trimtab.model.layers", "trimtab.model.width", "trimtab.probe.directions", "trimtab.probe.layers",
    "trimtab.probe.norms", "trimtab.spec_version", "trimtab.top_tokens.counts", "trimtab.top_tokens.texts",
    "trimtab.warnings",
]  # fmt: skip
VALUES: st.SearchStrategy[Value] = st.one_of(
    st.text(max_size=300),
    st.integers(0, 2**32 - 1),
    st.floats(),
    st.lists(st.text(max_size=30), max_size=20).map(tuple),
    st.lists(st.integers(0, 2**32 - 1), max_size=40).map(lambda values: np.array(values, dtype=np.uint32)),
    st.lists(st.floats(), max_size=40).map(lambda values: np.array(values, dtype=np.float64)),
    st.lists(st.floats(width=32), max_size=40).map(lambda values: np.array(values, dtype=np.float32)),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=3))
def test_any_value_at_any_key_is_taken_or_refused(changes: dict[str, Value]) -> None:
    data = rewritten(BASES[0], lambda metadata: metadata.update(changes))
    assert hammer(read, iter([data])).slowest < 1.0


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_after_the_magic_are_refused(tail: bytes) -> None:
    with pytest.raises(PackError):
        from_bytes(b"GGUF" + tail, "x")


def many(count: int, entry: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 0, count) + entry


@pytest.mark.parametrize(
    "data",
    [
        many(1, struct.pack("<Q1sIIQ", 1, b"k", 9, 8, 7 << 20) + bytes(56 << 20)),
        many(60_000, bytes(60 << 20)),
        many(2, (struct.pack("<Q1sIIQ", 1, b"k", 9, 0, 30 << 20) + bytes(30 << 20)) * 2),
        many(1, struct.pack("<Q1sIQ", 1, b"k", 8, 15 << 20) + bytes(50 << 20)),
    ],
    ids=["texts", "keys", "arrays", "text"],
)
def test_the_largest_files_are_refused_in_a_moment(data: bytes) -> None:
    outcome = hammer(read, iter([data]), measure_every=1)
    assert outcome.refused == 1
    assert outcome.slowest < 1.0
    assert outcome.largest < 2 * len(data)
