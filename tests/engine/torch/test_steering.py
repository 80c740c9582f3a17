"""What steering notes, on the kernel and on the device, and that a moved dial only refills buffers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tests.engine.torch.support import (
    TEXT,
    close_to,
    open_machine,
    outputs,
    plan_of,
    random_probe,
    random_raise,
)
from tests.tiny import TinyModel
from trimtab.engine import math
from trimtab.engine.kernel import Kernel
from trimtab.engine.plan import Plan
from trimtab.engine.program import Array, Raise, Shift, Watch
from trimtab.engine.torch.device import DeviceSteering
from trimtab.engine.torch.machine import TorchMachine
from trimtab.engine.torch.steering import KernelSteering, Steering

LAYERS, WIDTH = 4, 48


@pytest.fixture(params=["kernel", "device"])
def steering(request: pytest.FixtureRequest) -> Iterator[Steering]:
    kernel = Kernel(LAYERS, WIDTH)
    if request.param == "kernel":
        yield KernelSteering(kernel, WIDTH)
    else:
        yield DeviceSteering(LAYERS, WIDTH, torch.device("cpu"), kernel)


def states(count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(1, count, WIDTH)).astype(np.float32))


def full_plan(rows: int = 5, *, cap: float | None = None) -> Plan:
    shift = Shift(layer=1, vector=Array(np.linspace(-1, 1, WIDTH)), scale=0.5)
    watches = [Watch(name=str(n), layer=n % 3, probe=random_probe(WIDTH, 70 + n)) for n in range(5)]
    return plan_of(
        shift, random_raise(1, WIDTH, rows, cap=cap), random_raise(2, WIDTH, 2, cap=cap), watches=watches
    )


def expected(plan: Plan, layer: int, given: torch.Tensor) -> np.ndarray:
    rows = given[0].numpy().astype(np.float64)
    if layer in plan.shifts:
        rows = rows + plan.shifts[layer]
    if layer in plan.raises:
        rows = rows + math.raise_joint(rows, plan.raises[layer])[0]
    return rows


@pytest.mark.parametrize("rows", [1, 5, 10, 13])
@pytest.mark.parametrize("cap", [None, 1.5])
def test_states_are_steered_as_in_the_reference(steering: Steering, rows: int, cap: float | None) -> None:
    plan = full_plan(rows, cap=cap)
    steering.install(plan)
    for layer in plan.layers:
        given = states(9, seed=layer)
        wanted = expected(plan, layer, given)
        steering.apply(layer, given)
        close_to(given[0].numpy(), wanted.astype(np.float32))


def test_readings_tell_how_far_each_layer_moved(steering: Steering) -> None:
    plan = full_plan()
    steering.install(plan)
    norms: dict[int, list[float]] = {}
    for count, seed in ((6, 1), (1, 2)):
        for layer in plan.layers:
            given = states(count, seed)
            norms.setdefault(layer, []).extend(
                np.linalg.norm(expected(plan, layer, given) - given[0].numpy(), axis=1)
            )
            steering.apply(layer, given)
        steering.finish(count)
    readings = steering.readings()
    assert list(readings.positions) == [7, 7, 7, 0]
    for layer, each in norms.items():
        assert readings.moved[layer] == sum(norm > 0 for norm in each)
        assert readings.norm_sum[layer] == pytest.approx(sum(each), rel=1e-4)
        assert readings.norm_max[layer] == pytest.approx(max(each), rel=1e-4)
        assert readings.norm_last[layer] == pytest.approx(each[-1], rel=1e-4)


def test_watched_probes_are_read_after_steering_in_the_plans_order(steering: Steering) -> None:
    plan = full_plan()
    steering.install(plan)
    wanted = np.empty(len(plan.watches))
    for layer in plan.layers:
        given = states(3, layer)
        last = expected(plan, layer, given)[-1]
        for number, watch in enumerate(plan.watches):
            if watch.layer == layer:
                wanted[number] = last @ watch.probe.weight.values + watch.probe.bias
        steering.apply(layer, given)
    np.testing.assert_allclose(steering.readings().watched, wanted, atol=1e-4)


def test_missed_targets_are_reported_by_row(steering: Steering) -> None:
    plan = full_plan(cap=0.5)
    steering.install(plan)
    given = states(6)
    moved = given[0].numpy().astype(np.float64) + plan.shifts[1]
    short = math.raise_joint(moved, plan.raises[1])[2].shortfall
    steering.apply(1, given)
    missed = steering.readings().missed
    assert {row for _, row in missed} == {int(row) for row in np.flatnonzero(short.any(axis=0))}
    for (_, row), (times, by) in missed.items():
        assert times == (short[:, row] > 0).sum()
        assert by == pytest.approx(short[:, row].max(), rel=1e-4)


def test_readings_start_anew_after_they_were_read(steering: Steering) -> None:
    steering.install(full_plan(cap=0.5))
    steering.apply(1, states(4))
    steering.readings()
    again = steering.readings()
    assert not again.positions.any() and not again.norm_sum.any() and not again.missed


def test_deltas_are_what_the_raise_added_to_the_last_position(steering: Steering) -> None:
    plan = full_plan()
    steering.install(plan)
    given = {layer: states(4, layer) for layer in (1, 2)}
    for layer, rows in given.items():
        steering.apply(layer, rows.clone())
    deltas = steering.deltas()
    assert set(deltas) == {1, 2}
    for layer, delta in deltas.items():
        before = given[layer][0].numpy().astype(np.float64) + plan.shifts.get(layer, 0.0)
        close_to(delta, math.raise_joint(before, plan.raises[layer])[0][-1].astype(np.float32))


def test_another_level_moves_no_device_buffer_and_keeps_the_captured_step() -> None:
    steering = DeviceSteering(LAYERS, WIDTH, torch.device("cpu"), Kernel(LAYERS, WIDTH))

    def held() -> dict[str, int]:
        tensors = dict(vars(steering))
        for key, joint in steering._joints.items():
            tensors |= {f"{key} {name}": value for name, value in vars(joint).items()}
        return {name: value.data_ptr() for name, value in tensors.items() if isinstance(value, torch.Tensor)}

    def level(x: float) -> Plan:
        shift = Shift(layer=0, vector=Array(np.ones(WIDTH)), scale=x)
        return plan_of(shift, random_raise(1, WIDTH, 5, target=x), random_raise(2, WIDTH, 10, target=x))

    steering.install(level(1.0))
    before, shape = held(), steering.shape()
    for x in (2.0, 3.5, 0.25):
        plan = level(x)
        steering.install(plan)
        given = states(2)
        wanted = expected(plan, 2, given)
        steering.apply(2, given)
        close_to(given[0].numpy(), wanted.astype(np.float32))
    assert held() == before
    assert steering.shape() == shape


def test_a_plan_of_another_shape_is_told_apart() -> None:
    steering = DeviceSteering(LAYERS, WIDTH, torch.device("cpu"), Kernel(LAYERS, WIDTH))
    shapes = []
    for plan in (plan_of(), full_plan(), full_plan(cap=1.0), full_plan(10), full_plan(13)):
        steering.install(plan)
        shapes.append(steering.shape())
    assert len(set(shapes)) == len(shapes)
    assert shapes[-1] is None


def test_the_device_steers_bf16_states_in_place() -> None:
    steering = DeviceSteering(LAYERS, WIDTH, torch.device("cpu"), Kernel(LAYERS, WIDTH))
    plan = full_plan()
    steering.install(plan)
    given = states(3).bfloat16()
    wanted = expected(plan, 1, given.float())
    steering.apply(1, given)
    np.testing.assert_allclose(given[0].float().numpy(), wanted, atol=0.05)


def test_later_layers_see_earlier_shifts(llama: TorchMachine) -> None:
    tokens = llama.tokenize(TEXT, special=False, bos=True)[:12]
    with outputs(llama) as plain:
        llama.decode(tokens)
    llama.cut(0)
    llama.install(plan_of(Shift(layer=1, vector=Array(np.ones(llama.info.width)))))
    with outputs(llama) as steered:
        llama.decode(tokens)
    np.testing.assert_array_equal(plain[0][0], steered[0][0])
    close_to(steered[1][0], plain[1][0] + 1)
    assert np.abs(steered[2][0] - plain[2][0]).max() > 1e-3


def test_a_plan_installed_between_tokens_acts_from_the_next_one(llama: TorchMachine) -> None:
    llama.decode([1, 5, 6, 7])
    llama.install(plan_of(Shift(layer=2, vector=Array(np.ones(llama.info.width)))))
    llama.decode([8])
    assert list(llama.readings().positions) == [0, 0, 1, 0]
    llama.install(plan_of())
    llama.decode([9])
    assert not llama.readings().positions.any()


def test_the_machine_on_the_device_steering_agrees_with_that_on_the_kernel(tiny_llama: TinyModel) -> None:
    """What runs on a card, run here without one."""
    machine = open_machine(tiny_llama.safetensors)
    tokens = machine.tokenize(TEXT, special=False, bos=True)
    plan = plan_of(*(random_raise(layer, machine.info.width, 5) for layer in (0, 2, 3)))
    machine.install(plan)
    wanted = machine.decode(tokens)
    device = DeviceSteering(machine.info.layers, machine.info.width, torch.device("cpu"), Kernel(4, 64))
    machine.install(plan_of())
    machine._hooks._steering = machine._steering = device
    machine.cut(0)
    machine.install(plan)
    close_to(machine.decode(tokens), wanted)


def test_a_raise_of_many_rows_is_one_raise(llama: TorchMachine) -> None:
    both: tuple[Raise, ...] = (random_raise(1, 64, 7, seed=1), random_raise(1, 64, 8, seed=2))
    llama.install(plan_of(*both))
    with outputs(llama) as seen:
        llama.decode([1, 5, 6])
    for raised in both:
        for probe in raised.probes:
            assert (seen[1][0].astype(np.float64) @ probe.weight.values + probe.bias).min() > 4 - 1e-4
