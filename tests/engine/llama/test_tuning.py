"""The head, and tunes that move the final hidden state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.llama.support import NOTHING, captured, draw, fresh, plan_of, rewrite, shifts
from tests.tiny import TinyModel, make, quantise
from trimtab.engine.gguf_file import open_gguf
from trimtab.engine.llama.machine import LlamaMachine
from trimtab.engine.program import Anchors, Tune
from trimtab.errors import EngineError

Opener = Callable[..., LlamaMachine]
Numbers = Any
"""Arrays whose kinds of number numpy does not tell."""
POSITIVE, NEGATIVE = (40, 41, 42), (50, 51)


def test_the_head_is_the_unembedding_times_the_direction(tiny: TinyModel, opener: Opener) -> None:
    machine = opener(tiny.gguf)
    direction = draw(machine.info.width, scale=20.0)
    rows = machine.unembed(range(machine.info.vocabulary))
    np.testing.assert_allclose(machine.head(direction), rows @ direction, atol=1e-4)


@pytest.mark.parametrize("kind", ["f16", "Q8_0", "Q4_K"])
def test_the_head_of_a_quantised_model_agrees_to_its_precision(
    wide_llama: Path, opener: Opener, kind: Any
) -> None:
    machine = opener(quantise(wide_llama, kind))
    direction = draw(machine.info.width)
    expected = machine.unembed(range(machine.info.vocabulary)) @ direction
    assert np.abs(machine.head(direction) - expected).max() < 0.02 * np.abs(expected).max()
    assert "Tune.prenorm" in machine.info.capabilities


def test_the_head_leaves_the_chat_and_its_steering_alone(machine: LlamaMachine, tokens: list[int]) -> None:
    plan = plan_of(*shifts(machine, [1, 2]))
    expected = fresh(machine, plan, tokens)
    machine.cut(0)
    machine.decode(tokens[:10])
    machine.head(draw(machine.info.width, 5))
    np.testing.assert_allclose(machine.decode(tokens[10:]), expected, atol=2e-5)


def test_the_bias_of_a_head_is_told(tiny_model: Callable[[str], TinyModel], opener: Opener) -> None:
    model = tiny_model("phi2")
    with open_gguf(model.gguf) as file:
        bias = file.whole("output.bias")
    found = opener(model.gguf).head_bias()
    assert found is not None
    np.testing.assert_allclose(found, bias, atol=1e-6)


@pytest.mark.parametrize("scale", [0.25, 8.0])
def test_a_logit_scale_is_in_the_measured_head(tmp_path: Path, opener: Opener, scale: float) -> None:
    # A Granite is a Llama whose logits are divided by a scale.
    scales = {"logit_scale": scale, "embedding_scale": 1.0, "residual_scale": 1.0, "attention.scale": 0.25}
    model = make("llama", tmp_path, layers=1)
    machine = opener(rewrite(model.gguf, tmp_path / "granite.gguf", "granite", scales))
    direction = draw(machine.info.width)
    rows = machine.unembed(range(machine.info.vocabulary))
    np.testing.assert_allclose(machine.head(direction), rows @ direction / scale, rtol=1e-3, atol=1e-5)
    assert machine._sites.head_scale == pytest.approx(1 / scale, rel=1e-3)


@pytest.mark.parametrize("architecture", ["llama", "gemma2", "gpt2", "phi2"])
@pytest.mark.parametrize("objective", ["phi", "logodds"])
@pytest.mark.parametrize("site", ["normed", "prenorm"])
def test_gradient_tunes_equal_steps_taken_by_hand(
    tiny_model: Callable[[str], TinyModel], opener: Opener, architecture: str, objective: Any, site: Any
) -> None:
    model = tiny_model(architecture)
    machine = opener(model.gguf)
    tokens = machine.tokenize("The sea was rising.", special=False, bos=True)
    tune = Tune(
        anchors=Anchors(positive=POSITIVE, negative=NEGATIVE, positive_weights=(1.0, 2.0, 3.0)),
        objective=objective, site=site, solver="gradient", step=0.05, steps=30, penalty=0.4,
    )  # fmt: skip
    plain = fresh(machine, NOTHING, tokens)
    machine.cut(0)
    with captured(machine, [machine.info.layers - 1]) as states:
        machine.decode(tokens)
    tuned = fresh(machine, plan_of(tune), tokens)
    expected = by_hand(model.gguf, states[machine.info.layers - 1][-1], tune)
    np.testing.assert_allclose(tuned, expected, atol=2e-4)
    assert np.abs(tuned - plain).max() > 10 * 2e-4


def test_only_the_final_state_is_tuned_so_the_cache_stays_the_same(
    machine: LlamaMachine, tokens: list[int]
) -> None:
    tune = Tune(anchors=Anchors(positive=POSITIVE), site="prenorm", step=0.1, steps=10)
    bare = fresh(machine, NOTHING, [*tokens, 5])
    fresh(machine, plan_of(tune), tokens)
    machine.install(NOTHING)
    np.testing.assert_allclose(machine.decode([5]), bare, atol=2e-5)


def test_a_hold_brings_phi_to_its_target(machine: LlamaMachine, tokens: list[int]) -> None:
    tune = Tune(
        anchors=Anchors(positive=POSITIVE, negative=NEGATIVE),
        solver="gradient",
        step=0.1,
        steps=500,
        hold=5.0,
    )
    logits = fresh(machine, plan_of(tune), tokens).astype(np.float64)
    assert logits[list(POSITIVE)].mean() - logits[list(NEGATIVE)].mean() == pytest.approx(5.0, abs=1e-4)


def test_tunes_act_in_turn(machine: LlamaMachine, tokens: list[int]) -> None:
    first = Tune(anchors=Anchors(positive=POSITIVE), solver="gradient", step=0.1, steps=5)
    second = Tune(anchors=Anchors(positive=NEGATIVE), solver="gradient", step=0.1, steps=5)
    bare = fresh(machine, NOTHING, tokens)
    changes = [fresh(machine, plan_of(tune), tokens) - bare for tune in (first, second)]
    np.testing.assert_allclose(fresh(machine, plan_of(first, second), tokens) - bare, sum(changes), atol=1e-4)


def test_an_error_in_an_edit_is_raised_and_the_machine_goes_on(
    machine: LlamaMachine, tokens: list[int]
) -> None:
    bare = fresh(machine, NOTHING, tokens)
    tune = Tune(anchors=Anchors(positive=POSITIVE), solver="gradient", step=0.1, steps=5)
    machine.install(plan_of(tune))

    def broken(rows: object) -> None:
        raise ValueError("no such rows")

    machine._forward._hook.edit("result_norm", broken)
    with pytest.raises(EngineError, match="could not be edited"):
        machine.decode([5])
    np.testing.assert_array_equal(fresh(machine, NOTHING, tokens), bare)


def by_hand(path: Path, state: Numbers, tune: Tune) -> Numbers:
    """The tuned logits, by central differences of the objective written out anew."""
    with open_gguf(path) as file:
        arch = file.architecture
        head = file.whole("output.weight" if "output.weight" in file.tensors else "token_embd.weight").astype(
            float
        )
        offset = (
            file.whole("output.bias").astype(float) if "output.bias" in file.tensors else np.zeros(len(head))
        )
        weight = file.whole("output_norm.weight").astype(float)
        bias = file.whole("output_norm.bias").astype(float) if "output_norm.bias" in file.tensors else None
        cap = float(file.number(f"{arch}.final_logit_softcapping") or 0.0)
        eps = float(
            file.number(f"{arch}.attention.layer_norm_{'rms_' if bias is None else ''}epsilon")  # type: ignore[arg-type]
        )

    def norm(h: Numbers) -> Numbers:
        centred = h if bias is None else h - h.mean(axis=-1, keepdims=True)
        unit = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
        return unit * weight + (0.0 if bias is None else bias)

    def logits(e: Numbers) -> Numbers:
        raw = e @ head.T + offset
        return cap * np.tanh(raw / cap) if cap else raw

    through = norm if tune.site == "prenorm" else lambda h: h
    up, down = list(tune.anchors.positive), list(tune.anchors.negative)
    shares = np.array(tune.anchors.positive_weights)

    def objective(h: Numbers) -> Numbers:
        e = through(h)
        if tune.objective == "phi":
            return e @ head[up].T @ (shares / shares.sum()) - (e @ head[down].T).mean(axis=-1)
        made = logits(e)
        return np.log(np.exp(made[..., up]) @ shares) - np.log(np.exp(made[..., down]).sum(axis=-1))

    start = state.astype(float) if tune.site == "prenorm" else norm(state.astype(float))
    now = start.copy()
    small = 1e-5 * np.eye(len(now))
    for _ in range(tune.steps):
        gradient = (objective(now + small) - objective(now - small)) / 2e-5
        now = now + tune.step * (gradient - 2 * tune.penalty * (now - start))
    return logits(through(now))
