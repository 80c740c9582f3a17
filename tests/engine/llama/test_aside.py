"""Activations, gates' states and scores, read beside the chat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.engine.llama.support import NOTHING, captured, fresh, plan_of, raises, shifts
from tests.tiny import TinyModel
from tests.tiny.bare import BareLlama
from trimtab.engine.contract import ActivationRequest
from trimtab.engine.llama.machine import LlamaMachine
from trimtab.errors import Cancelled, ContextFull

Opener = Callable[..., LlamaMachine]

TEXTS = [list(range(5, 5 + length)) for length in (3, 17, 1, 40, 9, 9, 9, 9, 9, 9, 9, 25)]
SLICES = [slice(1, None), slice(4, 11), slice(0, 1), slice(30, 40), *[slice(2, 8)] * 8]


def request(layers: tuple[int, ...], positions: Any) -> ActivationRequest:
    return ActivationRequest(passages=(), layers=layers, positions=positions)


@pytest.mark.parametrize("positions", ["last", "mean"])
@pytest.mark.parametrize("batch", [16, 512])
def test_activations_are_what_each_text_gives_alone(
    tiny_llama: TinyModel, opener: Opener, positions: Any, batch: int
) -> None:
    machine = opener(tiny_llama.gguf, batch=batch)
    texts = list(zip(TEXTS, SLICES, strict=True))
    layers = (3, 0, 2)
    found = machine.activations(texts, request(layers, positions), lambda fraction: True)
    assert found.shape == (len(texts), len(layers), machine.info.width)
    for row, (tokens, where) in zip(found, texts, strict=True):
        np.testing.assert_allclose(row, alone(machine, tokens, where, layers, positions), atol=2e-5)


def test_reading_beside_it_leaves_the_chat_alone(machine: LlamaMachine, tokens: list[int]) -> None:
    plan = plan_of(*shifts(machine, [0, 1, 2]), *raises(machine, [2]))
    expected = fresh(machine, plan, tokens)
    machine.cut(0)
    machine.decode(tokens[:10])
    machine.activations(list(zip(TEXTS, SLICES, strict=True)), request((1, 3), "mean"), lambda fraction: True)
    machine.state_at_end(tokens, [1])
    machine.score([([5, 6], [7, 8])], NOTHING, lambda fraction: True)
    np.testing.assert_allclose(machine.decode(tokens[10:]), expected, atol=2e-5)


def test_a_resting_plan_does_not_leak_into_what_is_read(machine: LlamaMachine, tokens: list[int]) -> None:
    bare = machine.state_at_end(tokens, [1, 3])
    fresh(machine, plan_of(*shifts(machine, [1, 2])), tokens)
    for _ in range(12):
        machine.decode([5])
    assert machine._steering._control.layers
    np.testing.assert_allclose(machine.state_at_end(tokens, [1, 3]), bare, atol=2e-5)
    machine.decode([5])
    assert machine.readings().moved[1] > 0


def test_readings_of_the_chat_outlast_what_is_read_beside_it(
    machine: LlamaMachine, tokens: list[int]
) -> None:
    fresh(machine, plan_of(*shifts(machine, [1])), tokens)
    machine.state_at_end(tokens, [1])
    machine.score([([5, 6], [7, 8])], plan_of(*shifts(machine, [2])), lambda fraction: True)
    assert list(machine.readings().moved) == [0, len(tokens), 0, 0]


def test_scores_are_the_log_softmax_of_a_full_decode(tiny_llama: TinyModel, machine: LlamaMachine) -> None:
    pairs = [([5, 6, 7], [8]), (list(range(9, 60)), list(range(60, 90))), ([1], [2, 3, 4, 5])]
    found = machine.score(pairs, NOTHING, lambda fraction: True)
    with BareLlama(tiny_llama.gguf) as bare:
        for row, (context, continuation) in zip(found, pairs, strict=True):
            logits = bare.logits([*context, *continuation])[len(context) - 1 : -1].astype(np.float64)
            expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            np.testing.assert_allclose(row, expected[np.arange(len(continuation)), continuation], atol=2e-5)


def test_scores_follow_a_plan(machine: LlamaMachine) -> None:
    plan = plan_of(*shifts(machine, [1, 3]))
    context, continuation = [5, 6, 7], [8, 9]
    (found,) = machine.score([(context, continuation)], plan, lambda fraction: True)
    for at, token in enumerate(continuation):
        logits = fresh(machine, plan, context + continuation[:at]).astype(np.float64)
        assert found[at] == pytest.approx(logits[token] - np.log(np.exp(logits).sum()), abs=2e-5)


def test_a_long_text_puts_the_chat_away_and_brings_it_back(tiny_llama: TinyModel, opener: Opener) -> None:
    machine = opener(tiny_llama.gguf, context=1024)
    chat = [5 + at % 300 for at in range(1000)]
    text = [7 + at % 300 for at in range(900)]
    machine.decode(chat)
    expected = machine.decode([5]).copy()
    machine.cut(len(chat))
    state = machine.state_at_end(text, [2])
    np.testing.assert_array_equal(machine.decode([5]), expected)
    machine.cut(0)
    np.testing.assert_allclose(machine.state_at_end(text, [2]), state, atol=2e-5)


def test_a_text_longer_than_the_window_is_a_typed_error(tiny_llama: TinyModel, opener: Opener) -> None:
    with pytest.raises(ContextFull):
        opener(tiny_llama.gguf, context=64).state_at_end([5] * 5000, [1])


def test_progress_is_told_and_can_stop(machine: LlamaMachine) -> None:
    told: list[float] = []

    def stop_late(fraction: float) -> bool:
        told.append(fraction)
        return fraction < 1

    with pytest.raises(Cancelled):
        machine.activations(list(zip(TEXTS, SLICES, strict=True)), request((1,), "last"), stop_late)
    assert told == sorted(told)
    assert told[-1] == 1
    assert machine._forward.length(1) == 0


def alone(
    machine: LlamaMachine, tokens: list[int], where: slice, layers: tuple[int, ...], positions: str
) -> np.ndarray:
    """From the chat's own sequence, one token at a time, so that the last layer shows every position."""
    machine.cut(0)
    with captured(machine, layers) as states:
        for token in tokens:
            machine.decode([token])
    rows = [states[layer][where] for layer in layers]
    return np.stack([part[-1] if positions == "last" else part.mean(axis=0) for part in rows])
