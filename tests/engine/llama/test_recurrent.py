"""A model without attention: its state cannot be cut, only begun anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.engine.llama.support import NOTHING, captured, fresh, plan_of, shifts
from tests.tiny import tokenizer
from tests.tiny.families import FAMILIES
from trimtab.engine.contract import ActivationRequest
from trimtab.engine.llama.machine import LlamaMachine
from trimtab.errors import Unsupported

TEXT = list(range(5, 40))


@pytest.fixture
def mamba(tmp_path: Path, opener: Callable[..., LlamaMachine]) -> LlamaMachine:
    return opener(write_mamba(tmp_path / "mamba.gguf"))


def test_it_says_that_it_can_neither_cut_nor_slide(mamba: LlamaMachine) -> None:
    assert (mamba.info.can_cut, mamba.info.can_shift) == (False, False)
    mamba.decode(TEXT)
    with pytest.raises(Unsupported):
        mamba.slide(2, 2)


def test_a_cut_leaves_it_empty_and_ready(mamba: LlamaMachine) -> None:
    expected = fresh(mamba, NOTHING, TEXT)
    assert not mamba.cut(10)
    np.testing.assert_array_equal(mamba.decode(TEXT), expected)


def test_cutting_nothing_off_is_no_cut(mamba: LlamaMachine) -> None:
    expected = fresh(mamba, NOTHING, [*TEXT, 7])
    mamba.cut(0)
    mamba.decode(TEXT)
    assert mamba.cut(len(TEXT))
    np.testing.assert_allclose(mamba.decode([7]), expected, atol=1e-4)


def test_it_is_steered_and_read_like_any_other(mamba: LlamaMachine) -> None:
    plan = plan_of(*shifts(mamba, [0, 1]))
    mamba.install(plan)
    mamba.decode(TEXT[:10])
    request = ActivationRequest(passages=(), layers=(0, 1), positions="mean")
    texts = [(TEXT, slice(3, 9)), (TEXT[:5], slice(0, 5))]
    found = mamba.activations(texts, request, lambda fraction: True)
    beside = mamba.decode(TEXT[10:]).copy()
    np.testing.assert_allclose(beside, fresh(mamba, plan, TEXT), rtol=1e-4, atol=1e-4)
    for row, (tokens, where) in zip(found, texts, strict=True):
        mamba.cut(0)
        mamba.install(NOTHING)
        with captured(mamba, [0, 1]) as states:
            for token in tokens:
                mamba.decode([token])
        np.testing.assert_allclose(row, [states[layer][where].mean(axis=0) for layer in (0, 1)], atol=1e-4)


def write_mamba(path: Path, layers: int = 2, width: int = 64) -> Path:
    inner, states, rank, kernel = 2 * width, 16, 4, 4
    draw = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_context_length(1024)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(kernel)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(states)
    writer.add_ssm_time_step_rank(rank)
    writer.add_layer_norm_rms_eps(1e-5)
    tokenizer.write_gguf(writer, FAMILIES["llama"])

    def random(name: str, *shape: int) -> None:
        writer.add_tensor(name, (draw.standard_normal(shape) * shape[-1] ** -0.5).astype(np.float32))

    random("token_embd.weight", tokenizer.VOCABULARY, width)
    writer.add_tensor("output_norm.weight", np.ones(width, dtype=np.float32))
    for block in (f"blk.{layer}" for layer in range(layers)):
        writer.add_tensor(f"{block}.attn_norm.weight", np.ones(width, dtype=np.float32))
        random(f"{block}.ssm_in.weight", 2 * inner, width)
        random(f"{block}.ssm_conv1d.weight", inner, kernel)
        random(f"{block}.ssm_conv1d.bias", inner)
        random(f"{block}.ssm_x.weight", rank + 2 * states, inner)
        random(f"{block}.ssm_dt.weight", inner, rank)
        random(f"{block}.ssm_dt.bias", inner)
        writer.add_tensor(f"{block}.ssm_a", -np.tile(np.arange(1, states + 1, dtype=np.float32), (inner, 1)))
        writer.add_tensor(f"{block}.ssm_d", np.ones(inner, dtype=np.float32))
        random(f"{block}.ssm_out.weight", width, inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
