"""Shifts and raises in llama.cpp's forward pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.engine.llama.support import (
    NOTHING,
    captured,
    draw,
    fresh,
    greedy,
    plan_of,
    raises,
    shifts,
)
from tests.tiny import TinyModel, quantise
from trimtab.engine.joint import raise_joint
from trimtab.engine.llama.machine import LlamaMachine
from trimtab.engine.program import Array, Probe, Shift, Watch

Opener = Callable[..., LlamaMachine]


@pytest.mark.parametrize("kind", ["f32", "f16", "Q8_0", "Q4_K"])
def test_compiled_and_python_hooks_say_the_same(wide_llama: Path, opener: Opener, kind: str) -> None:
    path = wide_llama if kind == "f32" else quantise(wide_llama, kind)  # type: ignore[arg-type]
    compiled, plain = opener(path), opener(path, native=False)
    assert (compiled.info.native, plain.info.native) == (True, False)
    tokens = compiled.tokenize("The sea was rising.", special=False, bos=True)
    plan = plan_of(*shifts(compiled, [0, 1]), *raises(compiled, [0, 1], rows=4))
    ours, theirs = greedy(compiled, plan, tokens, 16), greedy(plain, plan, tokens, 16)
    assert ours[0] == theirs[0]
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-4)


def test_every_architecture_can_be_steered_at_every_layer(tiny: TinyModel, opener: Opener) -> None:
    machine = opener(tiny.gguf)
    assert machine.info.steerable == tuple(range(machine.info.layers))
    tokens = machine.tokenize("The sea was rising.", special=False, bos=True)
    bare = fresh(machine, NOTHING, tokens)
    for layer in machine.info.steerable:
        assert np.abs(fresh(machine, plan_of(*shifts(machine, [layer])), tokens) - bare).max() > 1e-2


def test_the_control_vector_does_what_the_hook_does(tiny: TinyModel, opener: Opener) -> None:
    machine = opener(tiny.gguf)
    tokens = machine.tokenize("The sea was rising.", special=False, bos=True)
    plan = plan_of(*shifts(machine, range(1, machine.info.layers)))
    hooked = fresh(machine, plan, tokens)
    rest(machine)
    assert machine._steering._control.layers == tuple(range(1, machine.info.layers))
    machine.cut(0)
    np.testing.assert_array_equal(machine.decode(tokens), hooked)


def test_readings_are_the_same_at_rest(machine: LlamaMachine, tokens: list[int]) -> None:
    plan = plan_of(*shifts(machine, [0, 1, 3]), watches=[watch(machine, 2)])
    fresh(machine, plan, tokens)
    hooked = machine.readings()
    rest(machine)
    machine.readings()
    machine.cut(0)
    machine.decode(tokens)
    resting = machine.readings()
    np.testing.assert_array_equal(resting.positions, hooked.positions)
    np.testing.assert_array_equal(resting.moved, hooked.moved)
    for field in ("norm_sum", "norm_max", "norm_last", "watched"):
        np.testing.assert_allclose(getattr(resting, field), getattr(hooked, field), rtol=1e-9)


def test_readings_bridge_the_moment_of_coming_to_rest(machine: LlamaMachine, tokens: list[int]) -> None:
    fresh(machine, plan_of(*shifts(machine, [1, 2])), tokens)
    machine.readings()
    for _ in range(20):
        machine.decode([5])
    readings = machine.readings()
    assert machine._steering._control.layers
    assert list(readings.positions) == [0, 20, 20, 0]
    norm = float(np.linalg.norm(draw(machine.info.width, 1, 0.5)))
    np.testing.assert_allclose(readings.norm_sum[1], 20 * norm, rtol=1e-6)


def test_nothing_is_left_when_a_resting_plan_leaves(machine: LlamaMachine, tokens: list[int]) -> None:
    bare = fresh(machine, NOTHING, tokens)
    fresh(machine, plan_of(*shifts(machine, [1, 2, 3])), tokens)
    rest(machine)
    np.testing.assert_array_equal(fresh(machine, NOTHING, tokens), bare)


def test_a_smaller_plan_replaces_a_resting_larger_one(machine: LlamaMachine, tokens: list[int]) -> None:
    small = plan_of(*shifts(machine, [2]))
    wanted = fresh(machine, small, tokens)
    fresh(machine, plan_of(*shifts(machine, [1, 2, 3], scale=2.0)), tokens)
    rest(machine)
    machine.install(small)
    rest(machine)
    machine.cut(0)
    np.testing.assert_array_equal(machine.decode(tokens), wanted)


def test_a_watched_or_raised_layer_stays_in_the_hook(machine: LlamaMachine, tokens: list[int]) -> None:
    fresh(
        machine,
        plan_of(*shifts(machine, [1, 2, 3]), *raises(machine, [2]), watches=[watch(machine, 3)]),
        tokens,
    )
    rest(machine)
    assert machine._steering._control.layers == (1,)


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_joint_raise_meets_its_targets_at_every_position_of_every_layer(
    machine: LlamaMachine, tokens: list[int], pieces: int
) -> None:
    plan = plan_of(*raises(machine, [0, 1, 2, 3]))
    machine.install(plan)
    with captured(machine, range(4)) as states:
        for part in np.array_split(tokens, pieces):
            machine.decode(part.tolist())
    for layer, rows in plan.raises.items():
        logits = states[layer].astype(np.float64) @ rows.weights.T.astype(np.float64) + rows.biases
        assert (logits > rows.targets - 1e-4).all()
        assert len(states[layer]) == (pieces if layer == 3 else len(tokens))


def test_a_raise_is_the_reference_solution_of_the_unsteered_state(
    machine: LlamaMachine, tokens: list[int]
) -> None:
    with captured(machine, [1]) as before:
        machine.decode(tokens)
    plan = plan_of(*raises(machine, [1]))
    machine.cut(0)
    machine.install(plan)
    with captured(machine, [1]) as after:
        machine.decode(tokens)
    deltas, _, _ = raise_joint(before[1], plan.raises[1])
    np.testing.assert_allclose(after[1], before[1] + deltas, atol=1e-4)
    np.testing.assert_allclose(machine.deltas()[1], deltas[-1], atol=1e-4)
    norms = np.linalg.norm(deltas, axis=1)
    readings = machine.readings()
    assert readings.moved[1] == np.count_nonzero(norms > 0)
    np.testing.assert_allclose(readings.norm_sum[1], norms.sum(), rtol=1e-5)


def test_a_watch_reads_the_last_position_after_steering(machine: LlamaMachine, tokens: list[int]) -> None:
    seen = watch(machine, 2)
    machine.install(plan_of(*shifts(machine, [2]), watches=[seen]))
    with captured(machine, [2]) as states:
        machine.decode(tokens)
    expected = states[2][-1].astype(np.float64) @ seen.probe.weight.values + seen.probe.bias
    np.testing.assert_allclose(machine.readings().watched, [expected], rtol=1e-5)


def test_a_layer_that_cannot_be_steered_is_named(machine: LlamaMachine) -> None:
    wrong = Shift(layer=40, vector=Array(draw(machine.info.width)))
    assert "l_out-40" in (machine.unsupported(plan_of(wrong)) or "")
    assert machine.unsupported(plan_of(*shifts(machine, [0]))) is None


def rest(machine: LlamaMachine) -> None:
    """Decodes until the plan rests."""
    for _ in range(10):
        machine.decode([5])


def watch(machine: LlamaMachine, layer: int) -> Watch:
    return Watch(name="seen", layer=layer, probe=Probe(weight=Array(draw(machine.info.width, 77)), bias=0.3))
