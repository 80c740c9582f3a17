"""The same model on both engines says the same 64 tokens, unsteered and under every intervention."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from tests.engine.machines import load_machine
from tests.tiny import TinyAdapter, TinyModel
from trimtab.engine.contract import Done, GenerateRequest, Sampling, Token
from trimtab.engine.generation import MachineEngine
from trimtab.engine.program import (
    EMPTY,
    Adapter,
    Anchors,
    Array,
    Gate,
    Intervention,
    Preface,
    Probe,
    Program,
    Raise,
    Scope,
    Shift,
    Tune,
    Watch,
)

PROMPT = "Once upon a time there was a small house by the sea, and"
TOKENS = 64
ANCHORS = Anchors(positive=(100, 200, 300), negative=(150, 250), positive_weights=(1.0, 2.0, 0.5))


@dataclass(frozen=True)
class Pair:
    llama: MachineEngine
    torch: MachineEngine


@pytest.fixture(scope="module")
def pair(tiny: TinyModel) -> Iterator[Pair]:
    engines = Pair(MachineEngine(load_machine("llama", tiny)), MachineEngine(load_machine("torch", tiny)))
    yield engines
    engines.llama.close()
    engines.torch.close()


@dataclass(frozen=True)
class Model:
    """What programs are made from."""

    width: int
    layers: int

    def vector(self, seed: int, length: float = 1.0) -> Array:
        raw = np.random.default_rng(seed).standard_normal(self.width)
        return Array(length * raw / np.linalg.norm(raw))

    def probe(self, seed: int) -> Probe:
        return Probe(weight=self.vector(seed, 0.5), bias=-0.2)

    def raises(self, count: int, **fields: object) -> tuple[Raise, ...]:
        """One raise of `count` probes at each layer but the last, the last two nearly parallel."""
        probes = [self.probe(seed) for seed in range(count)]
        if count > 1:
            near = probes[-2].weight.values + 0.05 * self.vector(99).values
            probes[-1] = Probe(weight=Array(near), bias=0.1)
        return tuple(
            Raise(layer=layer, probes=tuple(probes), targets=(4.0,) * count, **fields)  # type: ignore[arg-type]
            for layer in range(self.layers - 1)
        )

    def shift(self, layer: int, scale: float, scope: Scope = "all", gate: Gate | None = None) -> Shift:
        return Shift(layer=layer, vector=self.vector(layer), scale=scale, scope=scope, gate=gate)

    def gate(self, threshold: float) -> Gate:
        return Gate(probe=self.probe(7), layer=1, threshold=threshold)


def tune(**fields: object) -> tuple[Intervention, ...]:
    settings: dict[str, object] = {"step": 0.02, "steps": 20} | fields
    return (Tune(anchors=ANCHORS, **settings),)  # type: ignore[arg-type]


PROGRAMS: dict[str, Callable[[Model], tuple[Intervention, ...]]] = {
    "shift": lambda m: (m.shift(0, 2.0), m.shift(1, -1.5)),
    "shift of the last layer": lambda m: (m.shift(m.layers - 1, 2.0),),
    "shift of the prompt": lambda m: (m.shift(1, 3.0, "prompt"),),
    "shift of the reply": lambda m: (m.shift(1, 3.0, "reply"),),
    "raise of one value": lambda m: m.raises(1),
    "raise of five values": lambda m: m.raises(5),
    "raise half way": lambda m: m.raises(2, strengths=(0.5, 0.3)),
    "raise under a cap": lambda m: m.raises(4, cap=1.0),
    "raise by the prompt": lambda m: m.raises(2, policy="prompt"),
    "raise of the reply": lambda m: m.raises(2, scope="reply"),
    "shift and raise": lambda m: (m.shift(1, 2.0), *m.raises(2)),
    "tune": lambda m: tune(),
    "tune with a penalty": lambda m: tune(penalty=0.5),
    "tune to hold": lambda m: tune(hold=1.0, steps=500),
    "tune by gradient": lambda m: tune(solver="gradient", penalty=0.5),
    "tune before the norm": lambda m: tune(site="prenorm", step=0.2),
    "tune the log-odds": lambda m: tune(objective="logodds"),
    "tune the log-odds before the norm": lambda m: tune(objective="logodds", site="prenorm", step=0.2),
    "tune by gradient to hold": lambda m: tune(site="prenorm", step=0.2, steps=200, hold=1.0),
    "preface": lambda m: (Preface(text="You care about safety."),),
    "open gate": lambda m: (m.shift(1, 2.0, gate=m.gate(0.0)),),
    "closed gate": lambda m: (m.shift(1, 2.0, gate=m.gate(1.0)),),
    "everything": lambda m: (m.shift(0, 1.0), *m.raises(3), *tune(), m.shift(2, 1.0, gate=m.gate(0.0))),
}


def reply(engine: MachineEngine, program: Program) -> tuple[list[Token], Done]:
    engine.sequence.cut(0)
    request = GenerateRequest(
        text=PROMPT, program=program, sampling=Sampling(temperature=0, max_tokens=TOKENS)
    )
    events = list(engine.generate(request))
    done = events[-1]
    assert isinstance(done, Done)
    return [event for event in events if isinstance(event, Token)], done


def check(pair: Pair, program: Program) -> tuple[list[Token], list[Token]]:
    llama, llama_done = reply(pair.llama, program)
    torch, torch_done = reply(pair.torch, program)
    assert [token.id for token in llama] == [token.id for token in torch]
    assert len(llama) == TOKENS or llama_done.reason == "end"
    np.testing.assert_allclose(
        [token.logprob for token in llama], [token.logprob for token in torch], atol=2e-3
    )
    assert [gate.open for gate in llama_done.receipt.gates] == [
        gate.open for gate in torch_done.receipt.gates
    ]
    # Nothing reads the last layer's output but the head, so llama.cpp makes it only where it wants logits.
    last = pair.llama.info.layers - 1
    for left, right in (
        (
            [layer for layer in llama_done.receipt.prompt_layers if layer.layer != last],
            [layer for layer in torch_done.receipt.prompt_layers if layer.layer != last],
        ),
        (llama_done.receipt.reply_layers, torch_done.receipt.reply_layers),
    ):
        assert [(layer.layer, layer.positions) for layer in left] == [
            (layer.layer, layer.positions) for layer in right
        ]
        np.testing.assert_allclose([layer.mean for layer in left], [layer.mean for layer in right], rtol=1e-3)
    return llama, torch


def test_unsteered_replies_are_the_same(pair: Pair) -> None:
    check(pair, EMPTY)


@pytest.mark.parametrize("name", PROGRAMS)
def test_steered_replies_are_the_same(pair: Pair, name: str) -> None:
    model = Model(pair.llama.info.width, pair.llama.info.layers)
    check(pair, Program(interventions=PROGRAMS[name](model)))


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "closed gate"])
def test_each_program_steers(pair: Pair, name: str) -> None:
    """Else agreement would say nothing."""
    model = Model(pair.llama.info.width, pair.llama.info.layers)
    steered, _ = reply(pair.llama, Program(interventions=PROGRAMS[name](model)))
    unsteered, _ = reply(pair.llama, EMPTY)
    assert [token.logprob for token in steered] != [token.logprob for token in unsteered]


def test_watched_probes_read_the_same(pair: Pair) -> None:
    model = Model(pair.llama.info.width, pair.llama.info.layers)
    watches = tuple(
        Watch(name=str(layer), layer=layer, probe=model.probe(layer)) for layer in range(model.layers)
    )
    llama, torch = check(pair, Program(interventions=model.raises(2), watches=watches))
    for left, right in zip(llama, torch, strict=True):
        assert left.watched == pytest.approx(right.watched, abs=2e-3)


def test_dimensions_and_vocabulary_are_the_same(pair: Pair) -> None:
    left, right = pair.llama.info, pair.torch.info
    for field in ("layers", "width", "vocabulary", "vocabulary_hash", "parameters", "steerable"):
        assert getattr(left, field) == getattr(right, field), field


def test_templates_make_the_same_prompt(pair: Pair) -> None:
    text = "What <|im_end|> is\n\n  this? ñ 日本"
    assert pair.llama.prompt_tokens(text, "chat") == pair.torch.prompt_tokens(text, "chat")


def test_an_adapter_does_the_same_in_both_formats(
    tiny_llama: TinyModel, tiny_llama_lora: TinyAdapter
) -> None:
    engines = Pair(
        MachineEngine(load_machine("llama", tiny_llama)), MachineEngine(load_machine("torch", tiny_llama))
    )
    for scale in (1.0, 0.5):
        llama, _ = reply(engines.llama, Program(interventions=(Adapter.load(tiny_llama_lora.gguf, scale),)))
        torch, _ = reply(engines.torch, Program(interventions=(Adapter.load(tiny_llama_lora.peft, scale),)))
        unsteered, _ = reply(engines.llama, EMPTY)
        assert [token.id for token in llama] == [token.id for token in torch]
        assert [token.logprob for token in llama] != [token.logprob for token in unsteered]
    engines.llama.close()
    engines.torch.close()
