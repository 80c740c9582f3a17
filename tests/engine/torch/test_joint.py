"""The device's joint raise against the reference in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trimtab.engine import math
from trimtab.engine.plan import JointRaise
from trimtab.engine.torch.joint import JointBuffers

WIDTH = 24


def joint(rows: int, seed: int, *, cap: float | None = None, weights: np.ndarray | None = None) -> JointRaise:
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(rows, WIDTH)) * rng.uniform(0.2, 3.0, size=(rows, 1)) + 0.7 * rng.normal(size=WIDTH)
    return JointRaise(
        weights=(drawn if weights is None else weights).astype(np.float32),
        biases=rng.normal(size=rows),
        targets=rng.uniform(-1.0, 6.0, size=rows),
        strengths=rng.choice([0.3, 1.0, 1.0, 1.4], size=rows),
        labels=tuple(f"row {n}" for n in range(rows)),
        cap=cap,
    )


def states(seed: int, count: int = 17) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)


def on_device(rows: JointRaise, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    buffers = JointBuffers(rows.rows, WIDTH, torch.device("cpu"))
    buffers.load(rows)
    shifts, short = buffers.solve(torch.from_numpy(given))
    zero = np.zeros((len(given), rows.rows))
    return shifts.numpy(), zero if short is None else short.numpy()[:, : rows.rows]


def assert_same(rows: JointRaise, given: np.ndarray) -> None:
    wanted, _, report = math.raise_joint(given, rows)
    shifts, short = on_device(rows, given)
    scale = max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(shifts, wanted, atol=2e-6 * scale, rtol=1e-5)
    np.testing.assert_allclose(short, report.shortfall, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 7, 10])
def test_a_joint_raise_is_that_of_the_reference(rows: int) -> None:
    for seed in range(4):
        assert_same(joint(rows, seed), states(seed + 100))


@pytest.mark.parametrize("rows", [1, 2, 3, 6, 10])
@pytest.mark.parametrize("cap", [0.05, 1.0, 4.0])
def test_over_the_cap_the_least_shortfall_is_that_of_the_reference(rows: int, cap: float) -> None:
    for seed in range(3):
        assert_same(joint(rows, seed, cap=cap), states(seed + 200))


def test_satisfied_targets_move_nothing() -> None:
    rows = joint(5, 1)
    rows.targets[:] = -1e3
    shifts, short = on_device(rows, states(1))
    assert not shifts.any() and not short.any()


def test_a_probe_named_twice_raises_like_once() -> None:
    once = joint(3, 2)
    twice = JointRaise(
        weights=np.concatenate([once.weights, once.weights[:1]]),
        biases=np.append(once.biases, once.biases[0]),
        targets=np.append(once.targets, once.targets[0]),
        strengths=np.append(once.strengths, once.strengths[0]),
        labels=("a", "b", "c", "a"),
    )
    given = states(3)
    np.testing.assert_allclose(on_device(twice, given)[0], on_device(once, given)[0], atol=1e-6)


def test_opposed_probes_with_opposed_targets_are_settled_like_in_the_reference() -> None:
    once = joint(2, 4)
    weights = np.stack([once.weights[0], -once.weights[0], once.weights[1]])
    rows = joint(3, 5, weights=weights)
    rows.targets[:] = [3.0, 3.0, 2.0]
    assert_same(rows, states(6))


def test_nearly_parallel_probes_are_raised_like_in_the_reference() -> None:
    base = joint(2, 7).weights
    near = base[0] + 1e-3 * np.random.default_rng(0).normal(size=WIDTH)
    assert_same(joint(3, 8, weights=np.stack([base[0], near, base[1]])), states(9))


def test_another_raise_of_the_same_size_only_refills_the_buffers() -> None:
    buffers = JointBuffers(5, WIDTH, torch.device("cpu"))
    held = {name: tensor.data_ptr() for name, tensor in vars(buffers).items() if isinstance(tensor, torch.Tensor)}
    for seed, rows in ((1, 5), (2, 6), (3, 5)):
        raised = joint(rows, seed)
        buffers.load(raised)
        wanted, _, _ = math.raise_joint(states(seed), raised)
        shifts, _ = buffers.solve(torch.from_numpy(states(seed)))
        np.testing.assert_allclose(shifts.numpy(), wanted, atol=1e-5, rtol=1e-5)
    now = {name: tensor.data_ptr() for name, tensor in vars(buffers).items() if isinstance(tensor, torch.Tensor)}
    assert now == held
