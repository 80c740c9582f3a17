"""A plan holds what a program asks of one phase, and its fingerprint tells what the cache was made under."""

from __future__ import annotations

import numpy as np

from trimtab.engine.plan import make_plan, measured_layers, open_prefaces
from trimtab.engine.program import Anchors, Array, Gate, Preface, Probe, Program, Raise, Shift, Tune, Watch


def array(seed: int) -> Array:
    return Array(np.random.default_rng(seed).standard_normal(4))


def probe(seed: int) -> Probe:
    return Probe(weight=array(seed), bias=0.25)


GATE = Gate(probe=probe(9), layer=0)
TUNE = Tune(anchors=Anchors(positive=(1,)))


def program(*items: Shift | Raise | Tune | Preface) -> Program:
    return Program(interventions=items, watches=(Watch(name="w", layer=3, probe=probe(8)),))


def test_shifts_at_one_layer_add_up() -> None:
    plan = make_plan(
        program(Shift(layer=1, vector=array(1), scale=2), Shift(layer=1, vector=array(2), scale=-1)),
        "reply",
        open_gates={},
    )
    np.testing.assert_allclose(plan.shifts[1], 2 * array(1).values - array(2).values, rtol=1e-6)


def test_raises_at_one_layer_join_whatever_value_they_come_from() -> None:
    plan = make_plan(
        program(
            Raise(layer=1, probes=(probe(1),), targets=(1,), label="a", cap=5),
            Raise(layer=1, probes=(probe(2),), targets=(2,), strengths=(0.5,), label="b", cap=3),
        ),
        "reply",
        open_gates={},
    )
    joined = plan.raises[1]
    np.testing.assert_array_equal(joined.weights, [array(1).values, array(2).values])
    assert (joined.targets.tolist(), joined.strengths.tolist()) == ([1, 2], [1, 0.5])
    assert (joined.labels, joined.cap) == (("a", "b"), 3)


def test_a_row_without_strength_is_dropped() -> None:
    plan = make_plan(
        program(Raise(layer=1, probes=(probe(1),), targets=(1,), strengths=(0,))), "reply", open_gates={}
    )
    assert not plan.raises


def test_each_phase_gets_what_its_scope_says() -> None:
    both = program(
        Shift(layer=0, vector=array(1), scope="prompt"),
        Shift(layer=1, vector=array(1), scope="reply"),
        Shift(layer=2, vector=array(1)),
    )
    assert set(make_plan(both, "prompt", open_gates={}).shifts) == {0, 2}
    assert set(make_plan(both, "reply", open_gates={}).shifts) == {1, 2}


def test_behind_a_closed_gate_nothing_acts() -> None:
    gated = program(
        Shift(layer=1, vector=array(1), gate=GATE),
        Preface(text="x", gate=GATE),
        Tune(anchors=TUNE.anchors, gate=GATE),
    )
    closed = make_plan(gated, "reply", open_gates={GATE: False})
    assert not closed.steers and not open_prefaces(gated, {GATE: False})
    opened = make_plan(gated, "reply", open_gates={GATE: True})
    assert opened.steers and open_prefaces(gated, {GATE: True})


def test_the_prompt_policy_adds_what_was_measured() -> None:
    measured = program(Raise(layer=1, probes=(probe(1),), targets=(1,), policy="prompt"))
    assert measured_layers(measured, {}) == {1}
    assert 1 in make_plan(measured, "reply", open_gates={}, measuring=True).raises
    plan = make_plan(measured, "prompt", open_gates={}, fixed={1: array(5).values})
    assert not plan.raises
    np.testing.assert_array_equal(plan.shifts[1], array(5).values)


def test_what_was_measured_stays_within_the_scope() -> None:
    measured = program(Raise(layer=1, probes=(probe(1),), targets=(1,), policy="prompt", scope="reply"))
    assert not make_plan(measured, "prompt", open_gates={}, fixed={1: array(5).values}).shifts


def test_a_plan_that_leaves_the_cache_alone_has_no_fingerprint() -> None:
    assert make_plan(program(TUNE, Preface(text="x")), "reply", open_gates={}).fingerprint == ""


def test_the_same_steering_of_both_phases_is_one_fingerprint() -> None:
    same = program(Shift(layer=1, vector=array(1)), TUNE)
    prompt, reply = make_plan(same, "prompt", open_gates={}), make_plan(same, "reply", open_gates={})
    assert prompt.fingerprint == reply.fingerprint != ""


def test_a_stronger_shift_is_another_fingerprint() -> None:
    weak, strong = (
        make_plan(program(Shift(layer=1, vector=array(1), scale=scale)), "reply", open_gates={}).fingerprint
        for scale in (1, 1.5)
    )
    assert weak != strong


def test_a_zero_shift_steers_nothing() -> None:
    plan = make_plan(program(Shift(layer=1, vector=array(1), scale=0)), "reply", open_gates={})
    assert not plan.shifts and not plan.steers


def test_layers_are_those_read_or_changed() -> None:
    plan = make_plan(
        program(Shift(layer=2, vector=array(1)), Raise(layer=0, probes=(probe(1),), targets=(1,))),
        "reply",
        open_gates={},
    )
    assert plan.layers == (0, 2, 3)
