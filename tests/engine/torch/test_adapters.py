"""Adapters at any scale are what peft makes of them, and come and go without a trace."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

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


def test_another_scale_loads_nothing_again(adapted: TorchMachine, lora: TinyAdapter, tmp_path: Path) -> None:
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
    "settings",
    [
        {"modules_to_save": ["lm_head"]},
        {"bias": "all"},
        {"peft_type": "IA3"},
        {"layer_replication": [[0, 4]]},
    ],
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


def test_a_good_adapter_loads_after_a_bad_one(
    tiny_llama: TinyModel, lora: TinyAdapter, tmp_path: Path
) -> None:
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


@pytest.mark.parametrize(
    "settings", [{"r": 400_000}, {"rank_pattern": {"q_proj": 400_000}}, {"target_modules": "all-linear"}]
)
def test_a_rank_that_the_weights_do_not_have_is_refused_before_room_is_made_for_it(
    tiny_llama: TinyModel, lora: TinyAdapter, tmp_path: Path, settings: dict[str, object]
) -> None:
    machine = open_machine(tiny_llama.safetensors)
    folder = changed(lora, tmp_path, **settings)
    if "target_modules" in settings:  # a factor of no size, which a few bytes can say
        weights = load_file(folder / "adapter_model.safetensors")
        name = next(key for key in weights if key.endswith("lora_A.weight"))
        weights[name] = np.zeros((400_000, 0), dtype=np.float32)
        save_file(weights, folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text(
            json.dumps(json.loads((folder / "adapter_config.json").read_text()) | {"r": 400_000})
        )
    with pytest.raises(ModelError, match="rank 400000"):
        machine.install(plan_of(Adapter.load(folder)))


def test_an_adapter_that_lacks_a_module_it_names_is_refused(
    tiny_llama: TinyModel, lora: TinyAdapter, tmp_path: Path
) -> None:
    machine = open_machine(tiny_llama.safetensors)
    with pytest.raises(ModelError, match="lacks: lm_head"):
        machine.install(plan_of(Adapter.load(changed(lora, tmp_path, target_modules=["q_proj", "lm_head"]))))


def test_an_adapter_for_all_linear_layers_gets_the_modules_it_has_weights_for(
    tiny_llama: TinyModel, lora: TinyAdapter, tmp_path: Path
) -> None:
    machine = open_machine(tiny_llama.safetensors)
    adapter = Adapter.load(changed(lora, tmp_path, target_modules="all-linear"))
    tokens, found = decoded(machine, adapter)
    close_to(found, merged(tiny_llama, [(lora, 1.0)], tokens))


def lora_on_the_head(model: TinyModel, folder: Path) -> Adapter:
    rng = np.random.default_rng(3)
    factors = {"A": rng.normal(size=(2, model.shape.width)), "B": rng.normal(size=(512, 2))}
    folder.mkdir()
    save_file(
        {
            f"base_model.model.lm_head.lora_{at}.weight": each.astype(np.float32)
            for at, each in factors.items()
        },
        folder / "adapter_model.safetensors",
    )
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["lm_head"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return Adapter.load(folder)


def test_the_head_is_measured_without_the_adapter_that_is_on(tiny_llama: TinyModel, tmp_path: Path) -> None:
    machine = open_machine(tiny_llama.safetensors)
    direction = np.random.default_rng(0).normal(size=machine.info.width).astype(np.float32)
    plain, rows, (_, logits) = machine.head(direction), machine.unembed(range(512)), decoded(machine)
    _, adapted = decoded(machine, lora_on_the_head(tiny_llama, tmp_path / "head"))
    assert np.abs(adapted - logits).max() > 0.1
    np.testing.assert_array_equal(machine.head(direction), plain)
    np.testing.assert_array_equal(machine.unembed(range(512)), rows)


def test_no_more_than_the_adapters_used_last_stay_loaded(tiny_llama: TinyModel, tmp_path: Path) -> None:
    machine = open_machine(tiny_llama.safetensors)
    made = [
        Adapter.load(tiny_lora(tiny_llama, tmp_path / str(seed), seed=seed, rank=1).peft)
        for seed in range(12)
    ]
    _, first = decoded(machine, made[0])
    for adapter in made[1:]:
        machine.install(plan_of(adapter))
    left = {name for layer in machine._adapters._layers() for name in layer.lora_A}
    assert len(left) <= 9
    _, again = decoded(machine, made[0])
    np.testing.assert_array_equal(again, first)
