"""The chat's sequence: decoding, cutting, sliding, stopping."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.engine.llama.support import NOTHING, TEXT, fresh, plan_of, shifts
from tests.tiny import TinyModel, make
from tests.tiny.bare import BareLlama
from trimtab.engine.llama.machine import LlamaMachine
from trimtab.errors import Cancelled, ContextFull, Unsupported

Opener = Callable[..., LlamaMachine]


def test_logits_are_those_of_the_bare_library(tiny: TinyModel, opener: Opener) -> None:
    machine = opener(tiny.gguf)
    tokens = machine.tokenize("The sea was rising.", special=False, bos=True)
    with BareLlama(tiny.gguf) as bare:
        expected = bare.logits(tokens)[-1]
    np.testing.assert_allclose(machine.decode(tokens), expected, atol=2e-5)


def test_the_logits_may_be_written_to(machine: LlamaMachine, tokens: list[int]) -> None:
    machine.decode(tokens)[7] = 1e9
    assert machine._forward.logits()[7] == np.float32(1e9)


def test_a_prompt_longer_than_a_batch_reads_the_same(
    tiny_llama: TinyModel, tokens: list[int], opener: Opener
) -> None:
    whole, pieces = opener(tiny_llama.gguf), opener(tiny_llama.gguf, batch=16)
    np.testing.assert_allclose(pieces.decode(tokens), whole.decode(tokens), atol=2e-5)


def test_cut_and_decode_equals_a_fresh_start(tiny: TinyModel, opener: Opener) -> None:
    machine = opener(tiny.gguf)
    tokens = machine.tokenize(TEXT, special=False, bos=True)
    expected = fresh(machine, NOTHING, tokens)
    machine.cut(0)
    machine.decode([*tokens[:10], *range(60, 100)])
    assert machine.cut(10)
    np.testing.assert_allclose(machine.decode(tokens[10:]), expected, atol=2e-5)


def test_a_full_window_is_a_typed_error_and_leaves_the_cache_whole(
    tiny_llama: TinyModel, opener: Opener
) -> None:
    machine = opener(tiny_llama.gguf, context=32)
    machine.decode(list(range(5, 35)))
    with pytest.raises(ContextFull):
        machine.decode([5, 6, 7])
    machine.decode([5, 6])


def test_sliding_lets_go_of_the_middle(machine: LlamaMachine, tokens: list[int]) -> None:
    machine.decode(tokens)
    machine.slide(4, 8)
    assert machine._forward.length(0) == len(tokens) - 8
    machine.decode([5])
    assert machine._forward.length(0) == len(tokens) - 7


def test_sliding_one_layer_equals_never_having_read_the_middle(tmp_path: Path, opener: Opener) -> None:
    # In one layer keys depend on their own token and position alone, so the two must agree.
    machine = opener(make("llama", tmp_path, layers=1).gguf)
    text = list(range(5, 45))
    expected = fresh(machine, NOTHING, [*text[:4], *text[12:]])
    machine.cut(0)
    machine.decode(text[:-1])
    machine.slide(4, 8)
    np.testing.assert_allclose(machine.decode(text[-1:]), expected, atol=1e-4)


def test_sliding_is_refused_where_positions_are_baked_in(
    tiny_model: Callable[[str], TinyModel], opener: Opener
) -> None:
    machine = opener(tiny_model("gpt2").gguf)
    machine.decode([5, 6, 7, 8])
    assert not machine.info.can_shift
    with pytest.raises(Unsupported):
        machine.slide(1, 1)


def test_a_long_prompt_stops_soon_after_it_is_asked_to(tmp_path: Path, opener: Opener) -> None:
    machine = opener(
        make("llama", tmp_path, layers=8, width=512, heads=8, head_dim=64, ff=2048).gguf, context=1024
    )
    tokens = [5 + at % 400 for at in range(1000)]
    started = time.perf_counter()
    machine.decode(tokens)
    whole = time.perf_counter() - started
    machine.cut(0)
    stop_at = time.perf_counter() + whole / 4
    machine.interrupt(lambda: time.perf_counter() > stop_at)
    try:
        with pytest.raises(Cancelled):
            machine.decode(tokens)
    finally:
        machine.interrupt(None)
    assert time.perf_counter() - stop_at < whole / 4


def test_after_a_stop_the_sequence_can_be_cut_and_goes_on(machine: LlamaMachine, tokens: list[int]) -> None:
    expected = fresh(machine, NOTHING, tokens)
    machine.cut(10)
    machine.interrupt(lambda: True)
    with pytest.raises(Cancelled):
        machine.decode(tokens[10:])
    machine.interrupt(None)
    assert machine.cut(10)
    np.testing.assert_allclose(machine.decode(tokens[10:]), expected, atol=2e-5)


def test_steering_survives_a_stop(machine: LlamaMachine, tokens: list[int]) -> None:
    plan = plan_of(*shifts(machine, [1, 2]))
    expected = fresh(machine, plan, tokens)
    machine.cut(10)
    machine.interrupt(lambda: True)
    with pytest.raises(Cancelled):
        machine.decode(tokens[10:])
    machine.interrupt(None)
    machine.cut(10)
    np.testing.assert_allclose(machine.decode(tokens[10:]), expected, atol=2e-5)
