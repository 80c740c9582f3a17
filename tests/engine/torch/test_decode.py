"""Decoding piece by piece is what transformers does in one pass, steered or not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engine.torch.conftest import OTHERS
from tests.engine.torch.support import (
    TEXT,
    close_to,
    hooked,
    open_machine,
    outputs,
    plain_logits,
    plain_model,
    plan_of,
    random_raise,
)
from tests.tiny import ARCHITECTURES, TinyModel
from trimtab.engine.program import Array, Shift
from trimtab.engine.torch.machine import TorchMachine
from trimtab.errors import Cancelled, ContextFull

EVERY = [*ARCHITECTURES, *OTHERS]


@pytest.fixture
def folder(tiny_model: Callable[[str], TinyModel], other: Callable[[str], Path]) -> Callable[[str], Path]:
    return lambda name: other(name) if name in OTHERS else tiny_model(name).safetensors


def after(calls: int) -> Callable[[], bool]:
    """Asks to stop once it was asked so often."""
    count = iter(range(10**6))
    return lambda: next(count) >= calls


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("exact", [True, False])
def test_decoding_in_pieces_gives_the_logits_of_a_plain_pass(
    name: str, exact: bool, folder: Callable[[str], Path]
) -> None:
    machine = open_machine(folder(name), exact=exact, batch=7, context=64)
    tokens = machine.tokenize(TEXT, special=False, bos=True)[:40]
    wanted = plain_logits(plain_model(folder(name)), tokens)
    close_to(machine.decode(tokens[:25]), wanted[24])
    for place, token in enumerate(tokens[25:], start=25):
        close_to(machine.decode([token]), wanted[place])


@pytest.mark.parametrize("name", EVERY)
def test_a_constant_shift_is_what_a_plain_hook_adds(name: str, folder: Callable[[str], Path]) -> None:
    machine = open_machine(folder(name), batch=16, context=64)
    tokens = machine.tokenize(TEXT, special=False, bos=True)[:30]
    vectors = {1: np.random.default_rng(1).normal(size=machine.info.width).astype(np.float32)}
    vectors[machine.info.layers - 1] = -2 * vectors[1]
    model = plain_model(folder(name))
    with hooked(model, lambda n, states: states + torch.tensor(vectors[n]) if n in vectors else None):
        wanted = plain_logits(model, tokens)
    machine.install(plan_of(*(Shift(layer=n, vector=Array(v)) for n, v in vectors.items())))
    close_to(machine.decode(tokens[:-1]), wanted[-2])
    close_to(machine.decode(tokens[-1:]), wanted[-1])


@pytest.mark.parametrize("name", EVERY)
def test_a_joint_raise_lifts_every_probe_to_its_target_at_every_layer(
    name: str, folder: Callable[[str], Path]
) -> None:
    machine = open_machine(folder(name), context=64)
    raises = [random_raise(layer, machine.info.width, 4) for layer in range(machine.info.layers)]
    machine.install(plan_of(*raises))
    with outputs(machine) as seen:
        machine.decode(machine.tokenize(TEXT, special=False, bos=True)[:20])
        machine.decode([5])
    for raised in raises:
        states = np.concatenate(seen[raised.layer]).astype(np.float64)
        assert len(states) == 21
        for probe in raised.probes:
            assert (states @ probe.weight.values + probe.bias).min() > 4.0 - 1e-4


@pytest.mark.parametrize("name", ["llama", "gemma2", "gemma3", "mistral with a window", "phi2", "gpt2"])
def test_a_sequence_cut_and_decoded_again_gives_the_same_logits(
    name: str, folder: Callable[[str], Path]
) -> None:
    machine = open_machine(folder(name), context=64)
    tokens = machine.tokenize(TEXT, special=False, bos=True)[:36]
    fresh = machine.decode(tokens)
    assert machine.cut(11)
    machine.decode([9, 8, 7] * 5)
    assert machine.cut(11)
    close_to(machine.decode(tokens[11:]), fresh)


def test_logits_belong_to_the_caller(llama: TorchMachine) -> None:
    first = llama.decode([1, 5, 6])
    kept = first.copy()
    first[:] = 0
    llama.cut(2)
    close_to(llama.decode([6]), kept)
    assert first.dtype == np.float32 and first.flags.writeable and first.shape == (llama.info.vocabulary,)


def test_a_pass_stops_when_asked_between_pieces(tiny_llama: TinyModel) -> None:
    machine = open_machine(tiny_llama.safetensors, batch=4)
    machine.interrupt(after(3))
    with pytest.raises(Cancelled):
        machine.decode([1] * 64)


def test_a_long_pass_stops_when_asked_between_layers(llama: TorchMachine) -> None:
    seen: list[int] = []
    llama.interrupt(lambda: 1 in seen)
    with hooked(llama._anatomy.model, lambda n, _: seen.append(n)), pytest.raises(Cancelled):
        llama.decode([1] * 32)
    assert seen == [0, 1]


def test_a_stopped_pass_leaves_a_sequence_that_can_be_cut_and_used(llama: TorchMachine) -> None:
    tokens = llama.tokenize(TEXT, special=False, bos=True)
    wanted = llama.decode(tokens)
    llama.cut(5)
    llama.interrupt(after(2))
    with pytest.raises(Cancelled):
        llama.decode([3] * 40)
    llama.interrupt(None)
    llama.cut(5)
    close_to(llama.decode(tokens[5:]), wanted)


def test_a_full_window_is_named(tiny_llama: TinyModel) -> None:
    machine = open_machine(tiny_llama.safetensors, context=8)
    machine.decode([1] * 8)
    with pytest.raises(ContextFull):
        machine.decode([1])
