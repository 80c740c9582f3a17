"""The compiled kernel and its fallback, held against each other and against the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.engine import math
from trimtab.engine.kernel import Kernel
from trimtab.engine.machine import Readings
from trimtab.engine.plan import JointRaise, Plan
from trimtab.engine.program import Array, Probe, Watch

FloatArray = npt.NDArray[np.float32]

LAYERS = 4


@dataclass(frozen=True)
class Case:
    """A plan and some states that pass each layer one call after the other."""

    plan: Plan
    calls: tuple[FloatArray, ...]

    @property
    def width(self) -> int:
        return int(self.calls[0].shape[1])


def make_raise(
    random: np.random.Generator, k: int, width: int, *, cap: float | None = None, nearness: float = 1.0
) -> JointRaise:
    weights = random.standard_normal((k, width)) * random.uniform(0.2, 3, (k, 1))
    if k > 1:
        weights[1] = weights[0] + nearness * weights[1]
    if k > 3:
        weights[3] = -weights[2] + nearness * weights[3]
    return JointRaise(
        weights=weights.astype(np.float32),
        biases=random.standard_normal(k),
        targets=random.uniform(-2, 4, k),
        strengths=random.uniform(0.1, 1.3, k),
        labels=tuple(f"row {number}" for number in range(k)),
        cap=cap,
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    most = draw(st.sampled_from([1, 2, 5, 10]))
    width = draw(st.integers(most, 70))
    raises = {
        layer: make_raise(
            random,
            draw(st.integers(1, most)),
            width,
            cap=draw(st.none() | st.floats(0.05, 5)),
            nearness=10 ** draw(st.floats(-3, 0)),
        )
        for layer in draw(st.sets(st.integers(0, LAYERS - 1)))
    }
    shifts = {
        layer: random.standard_normal(width).astype(np.float32)
        for layer in draw(st.sets(st.integers(0, LAYERS - 1)))
    }
    watches = tuple(
        Watch(
            name=f"watch {number}",
            layer=draw(st.integers(0, LAYERS - 1)),
            probe=Probe(weight=Array(random.standard_normal(width)), bias=draw(st.floats(-2, 2))),
        )
        for number in range(draw(st.integers(0, 3)))
    )
    calls = [
        random.standard_normal((n, width)) for n in draw(st.lists(st.integers(1, 32), min_size=1, max_size=3))
    ]
    plan = Plan(fingerprint="", raises=raises, shifts=shifts, watches=watches)
    return Case(plan, tuple(states.astype(np.float32) for states in calls))


def run(kernel: Kernel, case: Case) -> list[FloatArray]:
    """Every call's rows after every layer."""
    kernel.install(case.plan)
    passed = []
    for states in case.calls:
        for layer in range(LAYERS):
            rows = states.copy()
            kernel.apply(layer, rows)
            passed.append(rows)
    return passed


def moves_agree(left: FloatArray, right: FloatArray, before: FloatArray) -> bool:
    """To 1e-5 of the move, or to the last digit of the float32 states themselves."""
    difference = np.linalg.norm(left.astype(np.float64) - right, axis=1)
    moved = np.linalg.norm(right.astype(np.float64) - before, axis=1)
    rounding = 2e-7 * np.linalg.norm(before, axis=1)
    return bool((difference <= 1e-5 * moved + rounding).all())


@pytest.fixture(scope="module")
def both() -> Callable[[int], tuple[Kernel, Kernel]]:
    def make(width: int) -> tuple[Kernel, Kernel]:
        compiled, fallback = Kernel(LAYERS, width), Kernel(LAYERS, width, native=False)
        assert compiled.native, "the kernel was not compiled"
        assert not fallback.native
        return compiled, fallback

    return make


Both = Callable[[int], tuple[Kernel, Kernel]]
many = settings(max_examples=150, deadline=None)


@many
@given(case=cases())
def test_compiled_and_numpy_move_rows_alike(both: Both, case: Case) -> None:
    compiled, fallback = both(case.width)
    befores = [states for states in case.calls for _ in range(LAYERS)]
    for left, right, before in zip(run(compiled, case), run(fallback, case), befores, strict=True):
        assert moves_agree(left, right, before)


@many
@given(case=cases())
def test_compiled_and_numpy_note_the_same(both: Both, case: Case) -> None:
    compiled, fallback = both(case.width)
    run(compiled, case)
    run(fallback, case)
    left, right = compiled.readings(), fallback.readings()
    assert (left.positions == right.positions).all()
    assert (left.moved == right.moved).all()
    for field in ("norm_sum", "norm_max", "norm_last", "watched"):
        assert np.allclose(
            getattr(left, field), getattr(right, field), rtol=1e-5, atol=1e-6, equal_nan=True
        ), field


@many
@given(case=cases())
def test_compiled_and_numpy_give_the_same_deltas(both: Both, case: Case) -> None:
    compiled, fallback = both(case.width)
    run(compiled, case)
    run(fallback, case)
    left, right = compiled.deltas(), fallback.deltas()
    assert left.keys() == right.keys() == case.plan.raises.keys()
    for layer, delta in left.items():
        assert np.linalg.norm(delta - right[layer]) <= 1e-5 * np.linalg.norm(right[layer]) + 1e-6


@many
@given(case=cases())
def test_compiled_and_numpy_miss_the_same_targets(both: Both, case: Case) -> None:
    compiled, fallback = both(case.width)
    run(compiled, case)
    run(fallback, case)
    left, right = compiled.readings().missed, fallback.readings().missed
    clear = {key for key in left.keys() | right.keys() if max(_by(left, key), _by(right, key)) > 1e-2}
    for key in clear:
        assert left[key][1] == pytest.approx(right[key][1], rel=1e-4)
        assert abs(left[key][0] - right[key][0]) <= 1, "a target missed by a hair may count on one side"


def _by(missed: dict[tuple[int, int], tuple[int, float]], key: tuple[int, int]) -> float:
    return missed[key][1] if key in missed else 0.0


@pytest.mark.parametrize("k", [1, 2, 4, 10, 24])
def test_twenty_thousand_solves_agree_with_the_reference(k: int) -> None:
    random = np.random.default_rng(k)
    for cap in (None, 1.5):
        for _ in range(20):
            rows = make_raise(random, k, 32, cap=cap, nearness=10 ** random.uniform(-3, 0))
            states = random.standard_normal((100, 32)).astype(np.float32)
            expected, _, _ = math.raise_joint(states, rows)
            kernel = Kernel(1, 32)
            kernel.install(Plan(fingerprint="", raises={0: rows}))
            moved = states.copy()
            kernel.apply(0, moved)
            assert moves_agree(moved, (states + expected).astype(np.float32), states)


@pytest.mark.parametrize("native", [True, False])
class TestEither:
    """What holds for the compiled kernel and for numpy."""

    @settings(max_examples=60, deadline=None)
    @given(case=cases())
    def test_a_row_is_moved_alike_whatever_came_before(self, native: bool, case: Case) -> None:
        together = run(Kernel(LAYERS, case.width, native=native), case)
        for states, call in zip(case.calls, range(len(case.calls)), strict=True):
            for layer in range(LAYERS):
                alone = Kernel(LAYERS, case.width, native=native)
                alone.install(case.plan)
                row = states[-1:].copy()
                alone.apply(layer, row)
                assert moves_agree(together[call * LAYERS + layer][-1:], row, states[-1:])

    def test_the_norm_is_that_of_shift_and_raise_together(self, native: bool) -> None:
        random = np.random.default_rng(0)
        rows, shift = make_raise(random, 3, 16), random.standard_normal(16).astype(np.float32)
        states = random.standard_normal((5, 16)).astype(np.float32)
        kernel, moved = Kernel(LAYERS, 16, native=native), states.copy()
        kernel.install(Plan(fingerprint="", raises={2: rows}, shifts={2: shift}))
        kernel.apply(2, moved)
        norms = np.linalg.norm(moved - states, axis=1)
        readings = kernel.readings()
        assert readings.norm_sum[2] == pytest.approx(norms.sum(), rel=1e-5)
        assert readings.norm_max[2] == pytest.approx(norms.max(), rel=1e-5)
        assert readings.norm_last[2] == pytest.approx(norms[-1], rel=1e-5)

    def test_deltas_leave_the_constant_shift_out(self, native: bool) -> None:
        random = np.random.default_rng(1)
        rows, shift = make_raise(random, 3, 16), random.standard_normal(16).astype(np.float32)
        rows = replace(rows, targets=np.full(3, 20.0))
        states = random.standard_normal((2, 16)).astype(np.float32)
        kernel, moved = Kernel(LAYERS, 16, native=native), states.copy()
        kernel.install(Plan(fingerprint="", raises={1: rows}, shifts={1: shift}))
        kernel.apply(1, moved)
        assert np.allclose(kernel.deltas()[1], (moved - states)[-1] - shift, rtol=1e-4, atol=1e-4)

    def test_watched_logits_are_those_after_steering(self, native: bool) -> None:
        random = np.random.default_rng(2)
        rows = make_raise(random, 1, 16)
        rows = replace(rows, targets=np.array([5.0]), strengths=np.ones(1))
        watch = Watch(
            name="it", layer=0, probe=Probe(weight=Array(rows.weights[0]), bias=float(rows.biases[0]))
        )
        kernel = Kernel(LAYERS, 16, native=native)
        kernel.install(Plan(fingerprint="", raises={0: rows}, watches=(watch,)))
        kernel.apply(0, np.zeros((2, 16), dtype=np.float32))
        assert kernel.readings().watched == pytest.approx([5.0], rel=1e-5)

    def test_what_is_not_under_its_target_is_not_touched(self, native: bool) -> None:
        random = np.random.default_rng(3)
        rows = replace(make_raise(random, 3, 16), targets=np.full(3, -100.0))
        states = random.standard_normal((4, 16)).astype(np.float32)
        kernel, moved = Kernel(LAYERS, 16, native=native), states.copy()
        kernel.install(Plan(fingerprint="", raises={0: rows}))
        assert not kernel.apply(0, moved)
        assert (moved == states).all()
        readings = kernel.readings()
        assert (readings.positions[0], readings.moved[0]) == (4, 0)

    def test_a_layer_outside_the_plan_is_not_touched(self, native: bool) -> None:
        kernel, states = Kernel(LAYERS, 8, native=native), np.ones((2, 8), dtype=np.float32)
        kernel.install(Plan(fingerprint="", shifts={1: np.ones(8, dtype=np.float32)}))
        assert not kernel.apply(2, states)
        assert (states == 1).all()

    def test_a_new_plan_takes_the_old_one_s_place(self, native: bool) -> None:
        kernel = Kernel(LAYERS, 8, native=native)
        kernel.install(Plan(fingerprint="", shifts={1: np.ones(8, dtype=np.float32)}))
        kernel.install(Plan(fingerprint="", shifts={2: np.ones(8, dtype=np.float32)}))
        states = np.zeros((1, 8), dtype=np.float32)
        assert not kernel.apply(1, states)
        assert kernel.apply(2, states)

    def test_a_moved_target_acts_on_the_next_row(self, native: bool) -> None:
        kernel, rows = Kernel(1, 8, native=native), make_raise(np.random.default_rng(4), 2, 8)
        rows = replace(rows, strengths=np.ones(2), biases=np.zeros(2))
        for target in (1.0, 3.0, 2.0):
            kernel.install(Plan(fingerprint="", raises={0: replace(rows, targets=np.full(2, target))}))
            states = np.zeros((1, 8), dtype=np.float32)
            kernel.apply(0, states)
            assert (states[0] @ rows.weights.T).min() == pytest.approx(target, rel=1e-5)

    def test_readings_begin_anew_once_they_are_read(self, native: bool) -> None:
        kernel = Kernel(1, 8, native=native)
        kernel.install(Plan(fingerprint="", shifts={0: np.ones(8, dtype=np.float32)}))
        kernel.apply(0, np.zeros((3, 8), dtype=np.float32))
        assert kernel.readings().moved[0] == 3
        assert _nothing(kernel.readings())

    def test_sixty_four_rows_are_raised_together(self, native: bool) -> None:
        random = np.random.default_rng(5)
        rows = make_raise(random, 64, 128)
        states = random.standard_normal((3, 128)).astype(np.float32)
        kernel, moved = Kernel(1, 128, native=native), states.copy()
        kernel.install(Plan(fingerprint="", raises={0: rows}))
        kernel.apply(0, moved)
        expected, _, _ = math.raise_joint(states, rows)
        assert moves_agree(moved, (states + expected).astype(np.float32), states)

    @pytest.mark.parametrize("cap", [None, 0.5])
    def test_more_probes_than_dimensions_are_raised_as_in_the_reference(
        self, native: bool, cap: float | None
    ) -> None:
        random = np.random.default_rng(10)
        for _ in range(10):
            rows = make_raise(random, 24, 6, cap=cap)
            states = random.standard_normal((4, 6)).astype(np.float32)
            kernel, moved = Kernel(1, 6, native=native), states.copy()
            kernel.install(Plan(fingerprint="", raises={0: rows}))
            kernel.apply(0, moved)
            expected, _, _ = math.raise_joint(states, rows)
            assert moves_agree(moved, (states + expected).astype(np.float32), states)

    def test_a_contradiction_is_reported(self, native: bool) -> None:
        weight = np.random.default_rng(6).standard_normal(8).astype(np.float32)
        rows = replace(
            make_raise(np.random.default_rng(7), 2, 8),
            weights=np.stack([weight, -weight]),
            biases=np.zeros(2),
            targets=np.full(2, 3.0),
            strengths=np.ones(2),
        )
        kernel, states = Kernel(1, 8, native=native), np.zeros((2, 8), dtype=np.float32)
        kernel.install(Plan(fingerprint="", raises={0: rows}))
        kernel.apply(0, states)
        assert np.abs(states).max() < 1e-5
        missed = kernel.readings().missed
        assert {key: times for key, (times, _) in missed.items()} == {(0, 0): 2, (0, 1): 2}
        assert [by for _, by in missed.values()] == pytest.approx([3.0, 3.0], rel=1e-6)

    def test_a_row_of_nan_leaves_the_next_row_right(self, native: bool) -> None:
        rows = make_raise(np.random.default_rng(8), 3, 16)
        states = np.random.default_rng(9).standard_normal((2, 16)).astype(np.float32)
        expected, _, _ = math.raise_joint(states[1:], rows)
        states[0, 3] = np.nan
        before = states[1:].copy()
        kernel = Kernel(1, 16, native=native)
        kernel.install(Plan(fingerprint="", raises={0: rows}))
        kernel.apply(0, states)
        assert moves_agree(states[1:], (before + expected).astype(np.float32), before)

    def test_rows_may_be_given_by_their_address(self, native: bool) -> None:
        kernel, states = Kernel(1, 8, native=native), np.zeros((2, 8), dtype=np.float32)
        kernel.install(Plan(fingerprint="", shifts={0: np.ones(8, dtype=np.float32)}))
        kernel.apply(0, states.ctypes.data, 2)
        assert (states == 1).all()

    def test_rows_of_another_width_are_refused(self, native: bool) -> None:
        with pytest.raises(ValueError, match="float32"):
            Kernel(1, 8, native=native).apply(0, np.zeros((2, 9), dtype=np.float32))


def _nothing(readings: Readings) -> bool:
    return not any(
        values.any() for values in (readings.positions, readings.moved, readings.norm_sum, readings.norm_max)
    )
