"""Adapters at any scale are what peft makes of them, and come and go without a trace."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engine.torch.support import TEXT, close_to, open_machine, plain_logits, plain_model, plan_of
from tests.tiny import TinyAdapter, TinyModel, tiny_lora
from trimtab.engine.program import Adapter, AdapterFile
from trimtab.engine.torch.machine import TorchMachine
from trimtab.errors import ModelError, ProgramError, Unsupported


@pytest.fixture(scope="module")
def lora(tiny_llama: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> TinyAdapter:
    return tiny_lora(tiny_llama, tmp_path_factory.mktemp("lora"), seed=1)


@pytest.fixture(scope="module")
def second(tiny_llama: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> TinyAdapter:
    return tiny_lora(tiny_llama, tmp_path_factory.mktemp("lora2"), seed=2, rank=2)


@pytest.fixture(scope="module")
def adapted(tiny_llama: TinyModel) -> TorchMachine:
    """A machine of its own, for adapters stay in the model they were loaded into."""
    return open_machine(tiny_llama.safetensors)


def merged(model: TinyModel, parts: list[tuple[TinyAdapter, float]], tokens: list[int]) -> np.ndarray:
    """The plain model with `scale * B @ A` added to its weights, read straight from the files."""
    from safetensors.numpy import load_file

    plain = plain_model(model.safetensors)
    for adapter, scale in parts:
        weights = load_file(adapter.peft / "adapter_model.safetensors")
        config = json.loads((adapter.peft / "adapter_config.json").read_text())
        factor = scale * config["lora_alpha"] / config["r"]
        for key in weights:
            if key.endswith("lora_A.weight"):
                name = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
                change = factor * weights[key.replace("lora_A", "lora_B")] @ weights[key]
                with torch.no_grad():
                    plain.get_submodule(name).weight += torch.from_numpy(change)
    return np.asarray(plain_logits(plain, tokens)[-1])


def decoded(machine: TorchMachine, *adapters: Adapter) -> tuple[list[int], np.ndarray]:
    machine.install(plan_of(*adapters))
    machine.cut(0)
    tokens = machine.tokenize(TEXT, special=False, bos=True)
    return tokens, machine.decode(tokens)


@pytest.mark.parametrize("scale", [1.0, 0.5, -0.7, 0.0])
def test_an_adapter_at_a_scale_is_its_merge_at_that_scale(
    adapted: TorchMachine, tiny_llama: TinyModel, lora: TinyAdapter, scale: float
) -> None:
    tokens, found = decoded(adapted, Adapter.load(lora.peft, scale))
    close_to(found, merged(tiny_llama, [(lora, scale)], tokens))


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_an_adapter_at_full_scale_is_what_peft_makes_of_it(
    adapted: TorchMachine, tiny_llama: TinyModel, lora: TinyAdapter
) -> None:
    from peft import PeftModel

    tokens, found = decoded(adapted, Adapter.load(lora.peft))
    model = PeftModel.from_pretrained(plain_model(tiny_llama.safetensors), str(lora.peft)).eval()
    close_to(found, plain_logits(model, tokens)[-1])


def test_several_adapters_add_up(
    adapted: TorchMachine, tiny_llama: TinyModel, lora: TinyAdapter, second: TinyAdapter
) -> None:
    tokens, found = decoded(adapted, Adapter.load(lora.peft, 0.5), Adapter.load(second.peft, 1.5))
    close_to(found, merged(tiny_llama, [(lora, 0.5), (second, 1.5)], tokens))


def test_an_adapter_taken_away_leaves_nothing(
    adapted: TorchMachine, tiny_llama: TinyModel, lora: TinyAdapter
) -> None:
    decoded(adapted, Adapter.load(lora.peft))
    tokens, found = decoded(adapted)
    close_to(found, plain_logits(plain_model(tiny_llama.safetensors), tokens)[-1])


def test_another_scale_loads_nothing_again(
    adapted: TorchMachine, lora: TinyAdapter, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(lora.peft, tmp_path / "moved"))
    decoded(adapted, Adapter.load(folder))
    louder = Adapter.load(folder, 2.0)
    shutil.rmtree(folder)
    decoded(adapted, louder)


def test_files_may_lie_under_other_names(
    adapted: TorchMachine, tiny_llama: TinyModel, second: TinyAdapter, tmp_path: Path
) -> None:
    stored = []
    for file in Adapter.load(second.peft).files:
        shutil.copy(file.path, tmp_path / file.digest)
        stored.append(AdapterFile(name=file.name, digest=file.digest, path=str(tmp_path / file.digest)))
    machine = open_machine(tiny_llama.safetensors)
    tokens, found = decoded(machine, Adapter(files=tuple(stored)))
    close_to(found, merged(tiny_llama, [(second, 1.0)], tokens))


def test_activations_are_read_without_the_adapter(adapted: TorchMachine, lora: TinyAdapter) -> None:
    tokens, _ = decoded(adapted)
    plain = adapted.state_at_end(tokens, [1, 3])
    decoded(adapted, Adapter.load(lora.peft))
    np.testing.assert_array_equal(adapted.state_at_end(tokens, [1, 3]), plain)


def test_a_gguf_adapter_is_named_as_unsupported(adapted: TorchMachine, lora: TinyAdapter) -> None:
    plan = plan_of(Adapter.load(lora.gguf, label="polite"))
    reason = adapted.unsupported(plan)
    assert reason is not None and "polite" in reason and "llama.cpp" in reason
    with pytest.raises(Unsupported, match="polite"):
        adapted.install(plan)


def changed(lora: TinyAdapter, folder: Path, **settings: object) -> Path:
    copy = Path(shutil.copytree(lora.peft, folder / "adapter"))
    config = json.loads((copy / "adapter_config.json").read_text())
    (copy / "adapter_config.json").write_text(json.dumps(config | settings))
    return copy


@pytest.mark.parametrize(
    "settings", [{"modules_to_save": ["lm_head"]}, {"bias": "all"}, {"peft_type": "IA3"}, {"layer_replication": [[0, 4]]}]
)
def test_an_adapter_that_is_more_than_a_lora_is_refused(
    adapted: TorchMachine, lora: TinyAdapter, tmp_path: Path, settings: dict[str, object]
) -> None:
    with pytest.raises(Unsupported):
        adapted.install(plan_of(Adapter.load(changed(lora, tmp_path, **settings))))


def test_an_adapter_of_another_shape_is_refused_and_leaves_the_model_as_it_was(
    tiny_llama: TinyModel, lora: TinyAdapter, tmp_path: Path
) -> None:
    machine = open_machine(tiny_llama.safetensors)
    _, before = decoded(machine)
    with pytest.raises(ModelError):
        machine.install(plan_of(Adapter.load(changed(lora, tmp_path, r=7))))
    _, after = decoded(machine)
    np.testing.assert_array_equal(after, before)


def test_a_good_adapter_loads_after_a_bad_one(tiny_llama: TinyModel, lora: TinyAdapter, tmp_path: Path) -> None:
    machine = open_machine(tiny_llama.safetensors)
    with pytest.raises(ModelError):
        machine.install(plan_of(Adapter.load(changed(lora, tmp_path, r=7))))
    tokens, found = decoded(machine, Adapter.load(lora.peft, 0.5))
    close_to(found, merged(tiny_llama, [(lora, 0.5)], tokens))


def test_a_pickled_adapter_is_refused(lora: TinyAdapter, tmp_path: Path) -> None:
    shutil.copy(lora.peft / "adapter_config.json", tmp_path)
    (tmp_path / "adapter_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(ProgramError, match="pickle"):
        Adapter.load(tmp_path)
