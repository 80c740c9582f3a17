"""Activations and scores in batches are those of each text alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.engine.torch.support import (
    TEXT,
    close_to,
    hooked,
    open_machine,
    plain_logits,
    plain_model,
    plan_of,
    random_raise,
)
from tests.tiny import ARCHITECTURES, TinyModel
from trimtab.engine.contract import ActivationRequest, Passage
from trimtab.engine.distinction import LinearTune
from trimtab.engine.plan import Plan
from trimtab.engine.program import Anchors, Array, Shift, Tune
from trimtab.engine.torch import reading
from trimtab.engine.torch.machine import TorchMachine
from trimtab.errors import Cancelled, ContextFull

TEXTS = [TEXT[:50], "A calm sea.", TEXT, "No.", TEXT[20:60]]


def request(layers: tuple[int, ...], positions: str = "last") -> ActivationRequest:
    passages = tuple(Passage(text=text) for text in TEXTS)
    return ActivationRequest(passages=passages, layers=layers, positions=positions)  # type: ignore[arg-type]


def spans(machine: TorchMachine) -> list[tuple[list[int], slice]]:
    tokens = [machine.tokenize(text, special=False, bos=True) for text in TEXTS]
    return [(each, slice(len(each) // 2, len(each) - 1 if len(each) > 3 else len(each))) for each in tokens]


def alone(model: object, tokens: list[int], layers: tuple[int, ...]) -> dict[int, np.ndarray]:
    seen: dict[int, np.ndarray] = {}

    def see(layer: int, states: torch.Tensor) -> None:
        seen[layer] = states[0].detach().numpy().copy()

    with hooked(model, see):
        plain_logits(model, tokens)
    return {layer: seen[layer] for layer in layers}


@pytest.mark.parametrize("positions", ["last", "mean"])
def test_activations_in_batches_are_those_of_plain_passes(
    tiny: TinyModel, positions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_TOKENS", 100)
    machine, model = open_machine(tiny.safetensors, context=128), plain_model(tiny.safetensors)
    layers = (machine.info.layers - 1, 0)
    found = machine.activations(spans(machine), request(layers, positions), lambda fraction: True)
    assert found.shape == (len(TEXTS), 2, machine.info.width) and found.dtype == np.float32
    for row, (tokens, at) in enumerate(spans(machine)):
        states = alone(model, tokens, layers)
        for place, layer in enumerate(layers):
            part = states[layer][at]
            close_to(found[row, place], part[-1] if positions == "last" else part.mean(axis=0))


def test_activations_are_unsteered_whatever_is_installed(llama: TorchMachine) -> None:
    plain = llama.activations(spans(llama), request((1, 2)), lambda fraction: True)
    llama.install(plan_of(Shift(layer=1, vector=Array(np.ones(llama.info.width)))))
    np.testing.assert_array_equal(llama.activations(spans(llama), request((1, 2)), lambda _: True), plain)


def test_reading_leaves_the_sequence_and_the_readings_alone(llama: TorchMachine) -> None:
    tokens = llama.tokenize(TEXT, special=False, bos=True)
    wanted = llama.decode(tokens)
    llama.cut(len(tokens) - 3)
    llama.install(plan_of(random_raise(1, llama.info.width, 2, target=-100.0)))
    llama.decode(tokens[-3:-2])
    llama.state_at_end(tokens, [0, 3])
    assert list(llama.readings().positions) == [0, 1, 0, 0]
    close_to(llama.decode(tokens[-2:]), wanted)


def test_a_state_at_the_end_is_the_last_activation(llama: TorchMachine) -> None:
    tokens = llama.tokenize(TEXT, special=False, bos=True)
    state = llama.state_at_end(tokens, [2, 0])
    whole = alone(llama._anatomy.model, tokens, (0, 2))
    close_to(state, np.stack([whole[2][-1], whole[0][-1]]))


def test_reading_tells_how_far_it_is_and_can_be_stopped(llama: TorchMachine) -> None:
    told: list[float] = []

    def tell(fraction: float) -> bool:
        told.append(fraction)
        return True

    llama.activations(spans(llama), request((1,)), tell)
    assert told[0] == 0.0 and told[-1] == 1.0 and told == sorted(told)
    with pytest.raises(Cancelled):
        llama.activations(spans(llama), request((1,)), lambda fraction: False)


def test_a_text_longer_than_the_window_is_named(llama: TorchMachine) -> None:
    with pytest.raises(ContextFull, match="300"):
        llama.state_at_end([1] * 300, [0])


def pairs(machine: TorchMachine) -> list[tuple[list[int], list[int]]]:
    tokens = [machine.tokenize(text, special=False, bos=True) for text in TEXTS]
    return [(each[:2], each[2:]) for each in tokens]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    rows = logits.astype(np.float64)
    rows -= rows.max(1, keepdims=True)
    return np.asarray(rows - np.log(np.exp(rows).sum(1, keepdims=True)))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_are_the_log_probabilities_of_plain_passes(
    architecture: str, tiny_model: Callable[[str], TinyModel]
) -> None:
    folder = tiny_model(architecture).safetensors
    machine, model = open_machine(folder, context=128), plain_model(folder)
    found = machine.score(pairs(machine), Plan(fingerprint=""), lambda fraction: True)
    for (context, after), scores in zip(pairs(machine), found, strict=True):
        rows = log_softmax(plain_logits(model, context + after)[len(context) - 1 : -1])
        close_to(scores, rows[np.arange(len(after)), after].astype(np.float32))


def test_scores_under_a_plan_are_those_of_decoding_under_it(llama: TorchMachine) -> None:
    anchors = Anchors(positive=(40, 41), negative=(50,))
    linear = Tune(anchors=anchors, step=0.1, steps=5)
    plan = plan_of(
        random_raise(1, llama.info.width, 3), linear, Tune(anchors=anchors, step=0.1, steps=4, site="prenorm")
    )
    found = llama.score(pairs(llama), plan, lambda fraction: True)
    llama.install(plan)
    for (context, after), scores in zip(pairs(llama), found, strict=True):
        llama.cut(0)
        rows = [llama.decode(context)] + [llama.decode([token]) for token in after[:-1]]
        for row in rows:
            LinearTune(llama, linear).apply(row)
        wanted = log_softmax(np.stack(rows))[np.arange(len(after)), after]
        close_to(scores, wanted.astype(np.float32), 2e-5)


def test_scoring_puts_back_what_was_installed(llama: TorchMachine) -> None:
    llama.install(plan_of(Shift(layer=1, vector=Array(np.ones(llama.info.width)))))
    steered = llama.decode([1, 5, 6])
    llama.score(pairs(llama), Plan(fingerprint=""), lambda fraction: True)
    llama.cut(0)
    np.testing.assert_array_equal(llama.decode([1, 5, 6]), steered)
