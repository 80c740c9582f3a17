"""Benchmarks on a card: the captured step against the eager one, and steered against unsteered."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from tests.engine.torch.support import open_machine, plan_of, random_raise
from tests.tiny import TinyModel
from trimtab.engine.plan import Plan
from trimtab.engine.torch.machine import TorchMachine

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card"),
]

TOKENS, ROUNDS = 64, 7


@pytest.fixture(scope="module")
def machine(tiny_llama: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TorchMachine]:
    """A random Llama of about Qwen2-0.5B's shape, in bf16."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("card")
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_position_embeddings=4096,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_llama.safetensors / file, folder / file)
    opened = open_machine(folder, device="cuda", exact=False, context=2048)
    yield opened
    opened.close()


def seconds(machine: TorchMachine, plan: Plan) -> float:
    """For a token, readings fetched, after a prompt that also captures what there is to capture."""
    machine.install(plan)
    machine.cut(0)
    machine.decode(list(range(4, 68)))
    machine.decode([5])
    start = time.perf_counter()
    for _ in range(TOKENS):
        machine.decode([5])
        machine.readings()
    return (time.perf_counter() - start) / TOKENS


def medians(*sides: Callable[[], float]) -> list[float]:
    rounds = [[side() for side in sides] for _ in range(ROUNDS)]
    return [statistics.median(side) for side in zip(*rounds, strict=True)]


def joint(machine: TorchMachine, rows: int) -> Plan:
    return plan_of(*(random_raise(layer, machine.info.width, rows) for layer in range(6, 18)))


def test_a_captured_step_is_faster_than_an_eager_one(machine: TorchMachine, record_property: Callable[..., None]) -> None:
    graphs = machine._graphs

    def eager() -> float:
        machine._decoder._graphs = None
        try:
            return seconds(machine, plan_of())
        finally:
            machine._decoder._graphs = graphs

    captured_time, eager_time = medians(lambda: seconds(machine, plan_of()), eager)
    record_property("eager ÷ captured", eager_time / captured_time)
    assert captured_time < eager_time


@pytest.mark.parametrize("rows", [1, 10])
def test_a_steered_step_is_captured_too(
    machine: TorchMachine, rows: int, record_property: Callable[..., None]
) -> None:
    plain, steered = medians(lambda: seconds(machine, plan_of()), lambda: seconds(machine, joint(machine, rows)))
    record_property(f"unsteered ÷ steered, {rows} rows", plain / steered)
    record_property("tokens per second", 1 / plain)
    assert machine._graphs is not None and machine._graphs.failure is None
