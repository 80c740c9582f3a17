"""LoRA adapters on llama.cpp."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.engine.llama.support import fresh, plan_of
from tests.tiny import TinyAdapter, TinyModel, tiny_lora
from tests.tiny.bare import BareLlama
from trimtab.engine.files import adapter_files
from trimtab.engine.interventions import Adapter
from trimtab.engine.llama.machine import LlamaMachine
from trimtab.engine.plan import NOTHING
from trimtab.errors import ProgramError


@pytest.mark.parametrize("scale", [1.0, -0.5])
def test_an_adapter_does_what_the_bare_library_does(
    tiny_llama: TinyModel,
    tiny_llama_lora: TinyAdapter,
    machine: LlamaMachine,
    tokens: list[int],
    scale: float,
) -> None:
    adapter = Adapter(files=adapter_files(tiny_llama_lora.gguf), scale=scale)
    with BareLlama(tiny_llama.gguf, lora=tiny_llama_lora.gguf, scale=scale) as bare:
        expected = bare.logits(tokens)[-1]
    np.testing.assert_allclose(fresh(machine, plan_of(adapter), tokens), expected, atol=5e-5)


def test_an_adapter_leaves_no_trace(
    tiny_llama_lora: TinyAdapter, machine: LlamaMachine, tokens: list[int]
) -> None:
    bare = fresh(machine, NOTHING, tokens)
    state = machine.state_at_end(tokens, [2])
    steered = fresh(machine, plan_of(Adapter(files=adapter_files(tiny_llama_lora.gguf))), tokens)
    assert np.abs(steered - bare).max() > 1e-2
    np.testing.assert_array_equal(machine.state_at_end(tokens, [2]), state)
    np.testing.assert_array_equal(fresh(machine, NOTHING, tokens), bare)


def test_one_adapter_twice_is_its_scales_added(
    tiny_llama_lora: TinyAdapter, machine: LlamaMachine, tokens: list[int]
) -> None:
    files = adapter_files(tiny_llama_lora.gguf)
    twice = fresh(machine, plan_of(Adapter(files=files, scale=0.3), Adapter(files=files, scale=0.4)), tokens)
    np.testing.assert_allclose(
        twice, fresh(machine, plan_of(Adapter(files=files, scale=0.7)), tokens), atol=1e-5
    )


def test_two_adapters_act_together(
    tiny_llama: TinyModel,
    tiny_llama_lora: TinyAdapter,
    machine: LlamaMachine,
    tokens: list[int],
    tmp_path: Path,
) -> None:
    first = Adapter(files=adapter_files(tiny_llama_lora.gguf))
    second = Adapter(files=adapter_files(tiny_lora(tiny_llama, tmp_path, seed=5).gguf))
    both, one = fresh(machine, plan_of(first, second), tokens), fresh(machine, plan_of(first), tokens)
    assert np.abs(both - one).max() > 1e-2


def test_a_peft_folder_is_refused_by_name(tiny_llama_lora: TinyAdapter, machine: LlamaMachine) -> None:
    plan = plan_of(Adapter(files=adapter_files(tiny_llama_lora.peft), label="polite"))
    assert "Adapter (polite) is a peft folder" in (machine.unsupported(plan) or "")


@pytest.mark.parametrize("damage", ["text", "cut", "model", "changed", "gone"])
def test_a_bad_adapter_file_is_one_line(
    tiny_llama: TinyModel, machine: LlamaMachine, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "bad.gguf"
    sound = tiny_lora(tiny_llama, tmp_path, seed=9).gguf.read_bytes()
    path.write_bytes(
        {"text": b"hello", "cut": sound[:-200], "model": tiny_llama.gguf.read_bytes()}.get(damage, sound)
    )
    adapter = Adapter(files=adapter_files(path))
    if damage == "changed":
        path.write_bytes(sound[:-1] + b"\x77")
    if damage == "gone":
        path.unlink()
    with pytest.raises(ProgramError) as caught:
        machine.install(plan_of(adapter))
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    machine.install(NOTHING)


def test_an_adapter_of_other_dimensions_is_refused(machine: LlamaMachine, tmp_path: Path) -> None:
    from tests.tiny import make

    other = tiny_lora(make("llama", tmp_path, width=128), tmp_path)
    with pytest.raises(ProgramError, match="cannot be used on this model"):
        machine.install(plan_of(Adapter(files=adapter_files(other.gguf))))


def test_no_more_than_the_adapters_used_last_stay_loaded(
    tiny_llama: TinyModel, machine: LlamaMachine, tokens: list[int], tmp_path: Path
) -> None:
    held = machine._parts.adapters._loaded
    made = [
        Adapter(files=adapter_files(tiny_lora(tiny_llama, tmp_path / str(seed), seed=seed, rank=1).gguf))
        for seed in range(12)
    ]
    first = fresh(machine, plan_of(made[0]), tokens)
    for adapter in made[1:]:
        machine.install(plan_of(adapter))
    assert len(held) <= 9
    assert made[-1].files[0].digest in held
    assert made[0].files[0].digest not in held
    np.testing.assert_array_equal(fresh(machine, plan_of(made[0]), tokens), first)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the names of files are text")
def test_an_adapters_file_may_have_a_name_that_is_no_text(
    tiny_llama_lora: TinyAdapter, machine: LlamaMachine, tmp_path: Path
) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.gguf")
    shutil.copy(tiny_llama_lora.gguf, path)
    machine.install(plan_of(Adapter(files=adapter_files(path))))
