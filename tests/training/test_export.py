"""What training leaves is the same adapter for both engines, and what it was while it was trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.engine.llama.support import open_machine as open_llama
from tests.engine.torch.support import TEXT, plan_of
from tests.engine.torch.support import open_machine as open_torch
from tests.tiny import TinyModel
from tests.training.support import run, task
from trimtab.engine.llama.machine import LlamaMachine
from trimtab.engine.program import Adapter
from trimtab.engine.torch.machine import TorchMachine
from trimtab.training.options import Options, Settled, settle
from trimtab.training.torch import export
from trimtab.training.torch.lora import Targets
from trimtab.training.torch.network import Network, Place

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def greedy(
    machine: LlamaMachine | TorchMachine, adapter: Adapter | None, tokens: Sequence[int], count: int = 24
) -> tuple[list[int], FloatArray]:
    """Greedy tokens under an adapter, and the logits before the first."""
    machine.install(plan_of(*([adapter] if adapter else [])))
    machine.cut(0)
    logits = machine.decode(list(tokens)).copy()
    first, chosen = logits, []
    for _ in range(count):
        chosen.append(int(logits.argmax()))
        logits = machine.decode(chosen[-1:]).copy()
    return chosen, first


def settled(blocks: int, targets: Targets) -> Settled:
    return settle(Options(method="lorra", targets=targets), parameters=1, blocks=blocks)


def written(model: TinyModel, folder: Path, targets: Targets = "all") -> tuple[Network, Path, Path]:
    """A random adapter on all blocks but the last, written for both engines."""
    network = Network(model.safetensors, Place(torch.device("cpu")), targets, frozen=True)
    blocks = len(network.anatomy.layers) - 1
    options = settled(blocks + 1, targets)
    network.adapters.add(
        "made", blocks=blocks, rank=options.rank, alpha=options.lora_alpha, dropout=0.0, seed=3
    )
    for key, factor in network.adapters.factors("made").items():
        if key.endswith(".b"):
            factor.data.normal_(0, 0.1, generator=torch.Generator().manual_seed(len(key)))
    gguf = export.write_gguf(network, "made", options, folder / "adapter.gguf")
    assert gguf is not None
    return network, export.write_peft(network, "made", options, folder / "adapter"), gguf


def test_both_engines_speak_the_same_under_one_adapter(tiny: TinyModel, tmp_path: Path) -> None:
    network, peft, gguf = written(tiny, tmp_path)
    machine, llama = open_torch(tiny.safetensors), open_llama(tiny.gguf)
    tokens = machine.tokenize(TEXT, special=False, bos=True)
    plain, before = greedy(machine, None, tokens)
    ours, logits = greedy(machine, Adapter.load(peft), tokens)
    theirs, others = greedy(llama, Adapter.load(gguf), tokens)
    llama.close()
    assert ours == theirs
    assert ours != plain
    moved = np.abs(logits - before).max()
    assert np.abs(logits - others).max() < 0.02 * moved
    with torch.no_grad():
        trained = network.anatomy.model(torch.tensor([tokens]), use_cache=False).logits[0, -1].float().numpy()
    assert np.abs(trained - logits).max() < 1e-3 * moved


@pytest.mark.parametrize("targets", ["attention", "qv"])
def test_adapters_of_fewer_layers_are_the_same_in_both_engines(
    tiny_llama: TinyModel, tmp_path: Path, targets: Targets
) -> None:
    _, peft, gguf = written(tiny_llama, tmp_path, targets)
    machine, llama = open_torch(tiny_llama.safetensors), open_llama(tiny_llama.gguf)
    tokens = machine.tokenize(TEXT, special=False, bos=True)
    assert greedy(machine, Adapter.load(peft), tokens)[0] == greedy(llama, Adapter.load(gguf), tokens)[0]
    llama.close()


def test_peft_itself_reads_the_folder(tiny_llama: TinyModel, tmp_path: Path) -> None:
    from peft import PeftModel

    from tests.engine.torch.support import plain_logits, plain_model

    network, folder, _ = written(tiny_llama, tmp_path)
    model = PeftModel.from_pretrained(plain_model(tiny_llama.safetensors), str(folder)).eval()
    tokens = [1, 40, 41, 42, 60, 61]
    with torch.no_grad():
        trained = network.anatomy.model(torch.tensor([tokens]), use_cache=False).logits[0].numpy()
    np.testing.assert_allclose(plain_logits(model, tokens), trained, atol=1e-4)


@pytest.mark.parametrize("method", ["rahf-scit", "rahf-dual"])
def test_a_trained_adapter_speaks_the_same_in_both_engines_and_not_as_the_base(
    tiny_llama: TinyModel, tmp_path: Path, method: str
) -> None:
    run(tiny_llama, tmp_path, method=method, epochs=2.0, fit_steps=20, fit_rate=2e-2)
    machine, llama = open_torch(tiny_llama.safetensors), open_llama(tiny_llama.gguf)
    tokens = machine.tokenize(task().pairs[0].prompt[0].content, special=False, bos=True)
    plain, _ = greedy(machine, None, tokens)
    ours, _ = greedy(machine, Adapter.load(tmp_path / "adapter"), tokens)
    theirs, _ = greedy(llama, Adapter.load(tmp_path / "adapter.gguf"), tokens)
    llama.close()
    assert ours == theirs
    assert ours != plain


def test_a_whole_model_is_a_folder_that_the_engine_loads(tiny_llama: TinyModel, tmp_path: Path) -> None:
    outcome = run(tiny_llama, tmp_path, method="sft", epochs=6.0)
    assert outcome.written == (str(tmp_path / "model"),)
    base, machine = open_torch(tiny_llama.safetensors), open_torch(tmp_path / "model")
    assert machine.info.vocabulary_hash == base.info.vocabulary_hash
    assert machine.info.template == base.info.template
    tokens = machine.tokenize("yes, the", special=False, bos=True)
    _, tuned = greedy(machine, None, tokens, 1)
    _, plain = greedy(base, None, tokens, 1)
    assert np.abs(tuned - plain).max() > 0.1


def test_a_family_unknown_to_us_gets_its_peft_folder_and_a_remark(
    tiny_llama: TinyModel, tmp_path: Path
) -> None:
    """Granite's settings on Llama's weights: the same layout under another name."""
    folder = Path(shutil.copytree(tiny_llama.safetensors, tmp_path / "granite"))
    settings = json.loads((folder / "config.json").read_text())
    settings |= {"model_type": "granite", "architectures": ["GraniteForCausalLM"], "logits_scaling": 1.0}
    settings |= {"attention_multiplier": 0.25, "embedding_multiplier": 1.0, "residual_multiplier": 1.0}
    (folder / "config.json").write_text(json.dumps(settings))
    other = TinyModel("granite", tiny_llama.gguf, folder, tiny_llama.shape)
    outcome = run(other, tmp_path / "out", method="lorra", fit_steps=1)
    assert outcome.written == (str(tmp_path / "out" / "adapter"),)
    assert "convert_lora_to_gguf" in outcome.remark
