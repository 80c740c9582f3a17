"""The step that a card captures: right on any device, free of choices made by data, and replayed on a card."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.engine.torch.support import TEXT, close_to, open_machine, plan_of, random_probe, random_raise
from tests.tiny import TinyAdapter, TinyModel, tiny_lora
from trimtab.engine.kernel import Kernel
from trimtab.engine.plan import Plan
from trimtab.engine.program import Adapter, Array, Shift, Watch
from trimtab.engine.torch.device import DeviceSteering
from trimtab.engine.torch.machine import TorchMachine

needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card")


@pytest.fixture(scope="module")
def device_machine(tiny_model: object) -> TorchMachine:
    """On the CPU, but steered by what runs on a card."""
    machine = open_machine(tiny_model("gemma2").safetensors)  # type: ignore[operator]
    steering = DeviceSteering(machine.info.layers, machine.info.width, torch.device("cpu"), Kernel(4, 64))
    machine._hooks._steering = machine._steering = steering
    machine._decoder.finish = steering.finish
    return machine


def rich_plan(width: int, *, cap: float | None = 2.0, level: float = 4.0) -> Plan:
    return plan_of(
        Shift(layer=0, vector=Array(np.ones(width)), scale=0.1 * level),
        random_raise(1, width, 5, cap=cap, target=level),
        random_raise(2, width, 10, target=level),
        watches=[Watch(name="watch", layer=3, probe=random_probe(width, 1))],
    )


@torch.inference_mode()
def step(machine: TorchMachine, token: int, position: int, total: int) -> np.ndarray:
    outcome = machine._decoder._captured(torch.tensor([[token]]), torch.tensor([position]), total)
    return np.asarray(machine._anatomy.logits(outcome.normed)[0].numpy())


@pytest.mark.parametrize("steered", [False, True])
@pytest.mark.parametrize("total", [40, 64, 256])
def test_a_step_by_index_over_more_of_the_cache_than_is_filled_is_a_plain_step(
    device_machine: TorchMachine, steered: bool, total: int
) -> None:
    machine = device_machine
    machine.install(rich_plan(machine.info.width) if steered else plan_of())
    machine.cut(0)
    tokens = machine.tokenize(TEXT, special=False, bos=True)[:39]
    machine.decode(tokens[:-1])
    wanted = machine.decode(tokens[-1:])
    machine.cut(38)
    close_to(step(machine, tokens[-1], 38, total), wanted)


def test_a_step_makes_no_choice_by_data(device_machine: TorchMachine) -> None:
    machine = device_machine
    machine.install(rich_plan(machine.info.width))
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode():
        ids, positions = torch.zeros((1, 1), dtype=torch.long), torch.zeros(1, dtype=torch.long)
        outcome = machine._decoder._captured(ids, positions, 64)
    assert outcome.normed.shape == (1, machine.info.width)


@pytest.fixture(scope="module")
def on_card(tiny_llama: TinyModel) -> Iterator[TorchMachine]:
    machine = open_machine(tiny_llama.safetensors, device="cuda")
    yield machine
    machine.close()


@pytest.fixture(scope="module")
def on_cpu(tiny_llama: TinyModel) -> TorchMachine:
    return open_machine(tiny_llama.safetensors)


def reply(machine: TorchMachine, plan: Plan, count: int = 24) -> tuple[list[int], np.ndarray]:
    machine.install(plan)
    machine.cut(0)
    logits = machine.decode(machine.tokenize(TEXT, special=False, bos=True))
    tokens = []
    for _ in range(count):
        tokens.append(int(logits.argmax()))
        logits = machine.decode(tokens[-1:])
    return tokens, logits


@pytest.mark.cuda
@needs_card
@pytest.mark.parametrize("steered", [False, True])
def test_a_card_says_what_the_cpu_says(on_card: TorchMachine, on_cpu: TorchMachine, steered: bool) -> None:
    plan = rich_plan(on_cpu.info.width) if steered else plan_of()
    (found, logits), (wanted, by_cpu) = reply(on_card, plan), reply(on_cpu, plan)
    assert found == wanted
    close_to(logits, by_cpu, 1e-3)


@pytest.mark.cuda
@needs_card
def test_the_step_is_captured_and_another_level_captures_nothing_new(on_card: TorchMachine) -> None:
    reply(on_card, rich_plan(on_card.info.width, level=2.0))
    graphs = on_card._graphs
    assert graphs is not None and graphs.failure is None and not on_card.info.warnings
    held = list(graphs._captured)
    first, _ = reply(on_card, rich_plan(on_card.info.width, level=2.0))
    second, _ = reply(on_card, rich_plan(on_card.info.width, level=9.0))
    assert list(graphs._captured) == held or set(graphs._captured) == set(held)
    assert first != second


@pytest.mark.cuda
@needs_card
def test_readings_on_a_card_are_those_on_the_cpu(on_card: TorchMachine, on_cpu: TorchMachine) -> None:
    plan = rich_plan(on_cpu.info.width)
    reply(on_card, plan)
    reply(on_cpu, plan)
    found, wanted = on_card.readings(), on_cpu.readings()
    np.testing.assert_array_equal(found.positions, wanted.positions)
    np.testing.assert_allclose(found.norm_sum, wanted.norm_sum, rtol=1e-3)
    np.testing.assert_allclose(found.watched, wanted.watched, atol=1e-2)


@pytest.mark.cuda
@needs_card
def test_an_adapters_scale_moves_without_a_new_capture(
    on_card: TorchMachine, on_cpu: TorchMachine, tiny_llama: TinyModel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lora: TinyAdapter = tiny_lora(tiny_llama, tmp_path_factory.mktemp("lora"))
    reply(on_card, plan_of(Adapter.load(lora.peft, 0.5)))
    graphs = on_card._graphs
    assert graphs is not None
    count = len(graphs._captured)
    for scale in (1.0, -0.5):
        plan = plan_of(Adapter.load(lora.peft, scale))
        assert reply(on_card, plan)[0] == reply(on_cpu, plan)[0]
    assert len(graphs._captured) == count


@pytest.mark.cuda
@needs_card
def test_bf16_is_what_a_card_runs_by_default(tiny_llama: TinyModel) -> None:
    machine = open_machine(tiny_llama.safetensors, device="cuda", exact=False)
    assert machine.info.quantisation == "bf16" and not machine.info.warnings
    plan = rich_plan(machine.info.width)
    machine.install(plan)
    assert np.isfinite(reply(machine, plan)[1]).all()
