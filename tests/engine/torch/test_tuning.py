"""Tunes by gradient agree with the closed forms and with the reference in numpy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.engine.torch.support import TEXT, close_to, open_machine, plan_of
from tests.tiny import TinyModel
from trimtab.engine import math
from trimtab.engine.distinction import Distinction, LinearTune
from trimtab.engine.program import Anchors, Tune
from trimtab.engine.torch.machine import TorchMachine

ANCHORS = Anchors(
    name="mood", positive=(40, 41, 42), negative=(50, 51), positive_weights=(1.0, 2.0, 0.5), negative_weights=(3, 1)
)


def tune(**options: Any) -> Tune:
    settings: dict[str, Any] = {"anchors": ANCHORS, "step": 0.05, "steps": 20} | options
    return Tune(**settings)


def tuned(machine: TorchMachine, *items: Tune) -> np.ndarray:
    machine.install(plan_of(*items))
    machine.cut(0)
    return machine.decode(machine.tokenize(TEXT, special=False, bos=True)[:12])


def closed(machine: TorchMachine, item: Tune) -> np.ndarray:
    """What the shared loop makes of a linear tune."""
    logits = tuned(machine)
    LinearTune(machine, item).apply(logits)
    return logits


@pytest.fixture
def scaled(other: Callable[[str], Path]) -> TorchMachine:
    return open_machine(other("granite"), context=64)


@pytest.fixture
def capped(tiny_model: Callable[[str], TinyModel]) -> TorchMachine:
    return open_machine(tiny_model("gemma2").safetensors, context=64)


@pytest.mark.parametrize("penalty", [0.0, 3.0])
def test_gradient_steps_reach_the_closed_form(llama: TorchMachine, penalty: float) -> None:
    by_steps = tuned(llama, tune(solver="gradient", penalty=penalty))
    close_to(by_steps, closed(llama, tune(penalty=penalty)))


def test_gradient_steps_reach_the_closed_form_under_a_logit_scale(scaled: TorchMachine) -> None:
    close_to(tuned(scaled, tune(solver="gradient")), closed(scaled, tune()))


def test_gradient_steps_reach_the_closed_form_under_a_soft_cap(capped: TorchMachine) -> None:
    close_to(tuned(capped, tune(solver="gradient")), closed(capped, tune()), 1e-4)


@pytest.mark.parametrize("name", ["llama", "scaled", "capped"])
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_hold_stops_where_phi_reaches_it(name: str, penalty: float, request: pytest.FixtureRequest) -> None:
    machine: TorchMachine = request.getfixturevalue(name)
    distinction = Distinction(machine, ANCHORS)
    before, most = (distinction.phi(tuned(machine, *items)) for items in ((), (tune(solver="gradient"),)))
    hold = before + 0.4 * (most - before)
    held = tuned(machine, tune(solver="gradient", hold=hold, penalty=penalty))
    assert distinction.phi(held) == pytest.approx(hold, abs=1e-4)
    close_to(held, closed(machine, tune(hold=hold, penalty=penalty)), 1e-4)


def test_a_hold_that_is_met_changes_nothing(llama: TorchMachine) -> None:
    hold = Distinction(llama, ANCHORS).phi(tuned(llama)) - 0.5
    np.testing.assert_array_equal(tuned(llama, tune(solver="gradient", hold=hold)), tuned(llama))


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "phi2"])
@pytest.mark.parametrize("objective", ["phi", "logodds"])
@pytest.mark.parametrize("site", ["normed", "prenorm"])
@pytest.mark.parametrize("hold", [None, 0.4])
def test_gradient_steps_are_those_of_the_reference(
    name: str, objective: str, site: str, hold: float | None, tiny_model: Callable[[str], TinyModel]
) -> None:
    machine = open_machine(tiny_model(name).safetensors, context=64)
    item = tune(objective=objective, site=site, penalty=0.1, solver="gradient", hold=hold)
    last, normed = states_at_end(machine)
    start = normed if site == "normed" else last
    moved = math.tune_states(
        start[None], reference(machine, item), step=0.05, steps=20, penalty=0.1, hold=hold
    )
    with torch.no_grad():
        state = torch.tensor(moved, dtype=torch.float32)
        wanted = machine._anatomy.logits(machine._anatomy.norm(state) if site == "prenorm" else state)[0].numpy()
    found = tuned(machine, item)
    close_to(found, wanted, 5e-5)


def test_several_tunes_act_one_after_the_other(llama: TorchMachine) -> None:
    first, second = tune(solver="gradient", steps=5), tune(objective="logodds", solver="gradient")
    alone = [tuned(llama, each) for each in (first, second)]
    both = tuned(llama, first, second)
    assert all(np.abs(both - each).max() > 1e-3 for each in alone)
    assert Distinction(llama, ANCHORS).phi(both) > max(Distinction(llama, ANCHORS).phi(each) for each in alone)


def test_a_linear_tune_is_left_to_the_caller(llama: TorchMachine) -> None:
    np.testing.assert_array_equal(tuned(llama, tune()), tuned(llama))


def states_at_end(machine: TorchMachine) -> tuple[np.ndarray, np.ndarray]:
    """The final states of the last position, before and after the norm."""
    seen: list[np.ndarray] = []

    def see(_module: Any, arguments: Any, result: Any) -> None:
        seen.extend(each[0, -1].numpy().astype(np.float64) for each in (arguments[0], result))

    handle = machine._anatomy.norm.register_forward_hook(see)
    tuned(machine)
    handle.remove()
    return seen[0], seen[1]


def reference(machine: TorchMachine, item: Tune) -> math.Objective:
    norm: math.Norm | None = None
    if item.site == "prenorm":
        module: Any = machine._anatomy.norm
        weight = module.weight.detach().numpy().astype(np.float64)
        if isinstance(module, torch.nn.LayerNorm):
            norm = math.LayerNorm(weight, module.bias.detach().numpy().astype(np.float64), module.eps)
        elif "Gemma" in type(module).__name__:
            norm = math.RMSNorm(weight + 1, module.eps)
        else:
            norm = math.RMSNorm(weight, module.variance_epsilon)
    rows = machine.unembed(ANCHORS.positive + ANCHORS.negative).astype(np.float64)
    positive, negative = rows[:3], rows[3:]
    if item.objective == "phi":
        direction = math.anchor_direction(
            positive, negative, ANCHORS.positive_weights, ANCHORS.negative_weights
        )
        return math.Phi(direction, norm)
    bias = machine.head_bias()
    return math.LogOdds(
        positive,
        negative,
        ANCHORS.positive_weights,
        ANCHORS.negative_weights,
        norm,
        None if bias is None else bias[list(ANCHORS.positive)].astype(np.float64),
        None if bias is None else bias[list(ANCHORS.negative)].astype(np.float64),
        machine.softcap(),
    )
