"""Loading: what is refused and how, and what a model is said to be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.engine.torch.support import close_to, open_machine, plain_logits, plain_model
from tests.tiny import TinyModel
from trimtab.engine.torch.machine import TorchMachine
from trimtab.errors import Cancelled, EngineError, ModelError, TrimtabError, Unsupported


@pytest.fixture
def folder(tiny_llama: TinyModel, tmp_path: Path) -> Path:
    """A copy that may be spoiled."""
    return Path(shutil.copytree(tiny_llama.safetensors, tmp_path / "model"))


def refuse(path: Path, kind: type[TrimtabError] = ModelError, match: str = ".") -> None:
    with pytest.raises(kind, match=match) as caught:
        open_machine(path)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def configure(folder: Path, **settings: Any) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))
    return folder


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    refuse(tmp_path / "nowhere", match="no model at")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    refuse(tmp_path / "notes.txt", match="folder")


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    refuse(tmp_path, match=r"config\.json")


def test_a_broken_config_is_named(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    refuse(folder, match=r"config\.json")


def test_missing_weights_are_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    refuse(folder, match=r"model\.safetensors")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth"])
def test_pickled_weights_are_refused_and_the_safe_way_named(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder / name)
    refuse(folder, match=f"{name}.*pickle.*safetensors")


@pytest.mark.parametrize("kept", [0, 4, 500, -1])
def test_truncated_weights_are_named(folder: Path, kept: int) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:kept])
    refuse(folder, match="damaged")


def test_weights_that_the_config_needs_and_the_file_lacks_are_named(folder: Path) -> None:
    refuse(configure(folder, num_hidden_layers=6), match=r"layers\.4")


def test_weights_of_another_shape_are_named(folder: Path) -> None:
    refuse(configure(folder, intermediate_size=96))


def test_an_unknown_architecture_is_named(folder: Path) -> None:
    refuse(configure(folder, model_type="hyperion"), match="hyperion")


def test_code_in_the_folder_is_never_run(folder: Path, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    (folder / "modeling_own.py").write_text(f"open({str(trace)!r}, 'w')\n")
    own = {"AutoConfig": "modeling_own.C", "AutoModelForCausalLM": "modeling_own.M"}
    refuse(configure(folder, model_type="hyperion", auto_map=own), match="own code")
    open_machine(configure(folder, model_type="llama", auto_map=own)).close()
    assert not trace.exists()


def test_a_model_that_does_not_continue_texts_is_named(folder: Path) -> None:
    refuse(configure(folder, model_type="t5", architectures=["T5ForConditionalGeneration"]), Unsupported)


def test_a_quantised_folder_is_named(folder: Path) -> None:
    refuse(configure(folder, quantization_config={"quant_method": "gptq"}), Unsupported, "quantised")


def test_an_index_that_points_out_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "other.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../other.safetensors"}}))
    refuse(folder, match="not allowed")


def test_a_missing_shard_is_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refuse(folder, match="00001")


def test_sharded_weights_load_like_whole_ones(tiny_llama: TinyModel, tmp_path: Path) -> None:
    model = plain_model(tiny_llama.safetensors)
    model.save_pretrained(tmp_path, max_shard_size="100KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_llama.safetensors / file, tmp_path / file)
    close_to(open_machine(tmp_path).decode([1, 5, 6]), plain_logits(model, [1, 5, 6])[-1])


def test_a_window_larger_than_memory_is_named(folder: Path) -> None:
    with pytest.raises(EngineError, match=r"GiB.*context of at most"):
        open_machine(folder, context=10**10)


def test_a_missing_card_is_named(folder: Path) -> None:
    with pytest.raises(Unsupported, match="CUDA"):
        open_machine(folder, device="cuda:99")


def test_loading_can_be_stopped(tiny_llama: TinyModel) -> None:
    from trimtab.engine.contract import LoadRequest
    from trimtab.engine.torch.load import load

    with pytest.raises(Cancelled):
        load(LoadRequest(path=str(tiny_llama.safetensors)), lambda fraction: fraction < 0.5)


def test_a_model_is_described_as_it_is(llama: TorchMachine, tiny_llama: TinyModel) -> None:
    info, shape = llama.info, tiny_llama.shape
    assert (info.engine, info.architecture, info.device) == ("torch", "llama", "cpu")
    assert (info.layers, info.width, info.vocabulary) == (shape.layers, shape.width, 512)
    assert (info.context, info.trained_context) == (256, shape.context)
    assert info.parameters == sum(each.numel() for each in plain_model(tiny_llama.safetensors).parameters())
    assert info.steerable == tuple(range(shape.layers))
    assert info.quantisation == "f32" and info.threads == 1 and info.can_cut


def test_a_window_longer_than_learned_positions_is_cut_to_them(tiny_model: Callable[[str], TinyModel]) -> None:
    machine = open_machine(tiny_model("gpt2").safetensors, context=5000)
    assert machine.info.context == machine.info.trained_context
    assert any("positions" in warning for warning in machine.info.warnings)


@pytest.mark.parametrize("name", ["llama", "gemma2", "phi2", "gpt2"])
def test_the_head_is_linear_in_the_normed_state(name: str, tiny_model: Callable[[str], TinyModel]) -> None:
    machine = open_machine(tiny_model(name).safetensors)
    direction = np.random.default_rng(0).normal(size=machine.info.width).astype(np.float32)
    weight = machine.unembed(range(machine.info.vocabulary))
    close_to(machine.head(direction), weight @ direction)


def test_the_heads_scale_counts_and_the_rows_are_as_stored(other: Callable[[str], Path]) -> None:
    machine = open_machine(other("granite"))
    direction = np.ones(machine.info.width, dtype=np.float32)
    close_to(machine.head(direction), machine.unembed(range(machine.info.vocabulary)) @ direction / 6.0)


def test_the_heads_bias_is_told(tiny_model: Callable[[str], TinyModel], llama: TorchMachine) -> None:
    machine = open_machine(tiny_model("phi2").safetensors)
    bias = plain_model(tiny_model("phi2").safetensors).lm_head.bias.detach().numpy()
    found = machine.head_bias()
    assert found is not None
    np.testing.assert_array_equal(found, bias)
    assert llama.head_bias() is None


def test_the_soft_cap_is_told(tiny_model: Callable[[str], TinyModel], llama: TorchMachine) -> None:
    assert open_machine(tiny_model("gemma2").safetensors).softcap() == tiny_model("gemma2").shape.logit_cap
    assert llama.softcap() == 0.0
