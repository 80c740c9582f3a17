"""The tiny models are what they claim: one model in two formats, read alike by the two libraries."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import gguf
import numpy as np
import pytest

from tests.tiny import TinyAdapter, TinyModel, make, quantise, tiny_lora
from tests.tiny.bare import BareLlama, BareTorch
from tests.tiny.quantised import Kind
from tests.tiny.tokenizer import CONTROL, VOCABULARY

TRICKY = (
    "plain words, and some more of them.",
    "it's we'll I'VE don't 'tis rock'n'roll ''s",
    "  two   three    spaces \t tabs\t\t and an end  ",
    "lines\nand\n\nlines\r\nand\n \n  more\n",
    "1 12 123 12345.678 3x4 v2.0 ٣٤ ²½",
    "café naïve señor Ångström ﬁ",
    "你好，世界。日本語のテスト 한국어",
    "Кто там? Ελλάδα עברית العربية हिन्दी",
    "🙂 👩‍👩‍👧 🏳️‍🌈 x🙂y",
    "a\u00a0b\u2003c\u200bd\ufeffe",
    "--->>> ((())) ?!?! <|im_star <|im_end",
    "\x00\x01\x7f",
    "",
)


@dataclass(frozen=True)
class Pair:
    model: TinyModel
    llama: BareLlama
    torch: BareTorch


@pytest.fixture(scope="module")
def pair(tiny: TinyModel) -> Iterator[Pair]:
    with BareLlama(tiny.gguf) as llama:
        yield Pair(tiny, llama, BareTorch(tiny.safetensors))


def prompt(length: int = 40) -> list[int]:
    """Tokens at random, the control tokens among them."""
    return [int(token) for token in np.random.default_rng(3).integers(0, VOCABULARY, length)]


def test_the_two_libraries_compute_the_same_logits(pair: Pair) -> None:
    np.testing.assert_allclose(pair.llama.logits(prompt()), pair.torch.logits(prompt()), rtol=0, atol=1e-4)


def test_the_two_libraries_speak_the_same_greedy_text(pair: Pair) -> None:
    assert pair.llama.greedy(prompt(), 64) == pair.torch.greedy(prompt(), 64)


def test_logits_are_spread(pair: Pair) -> None:
    assert 1.0 < pair.torch.logits(prompt()).std(axis=1).mean() < 5.0


def test_greedy_text_does_not_stall(pair: Pair) -> None:
    assert len(set(pair.llama.greedy(prompt(), 64))) >= 16


def test_greedy_text_never_hangs_on_a_tie(pair: Pair) -> None:
    tokens = prompt() + pair.llama.greedy(prompt(), 64)
    best = np.sort(pair.llama.logits(tokens)[len(prompt()) - 1 :], axis=1)
    assert (best[:, -1] - best[:, -2]).min() > 1e-3


def test_greedy_text_has_no_control_tokens(pair: Pair) -> None:
    assert min(pair.llama.greedy(prompt(), 64)) >= len(CONTROL)


@pytest.mark.parametrize("text", TRICKY)
def test_the_two_libraries_tokenize_alike(pair: Pair, text: str) -> None:
    assert pair.llama.tokenize(text) == pair.torch.tokenize(text)


@pytest.mark.parametrize("text", TRICKY)
def test_tokens_give_the_text_back(pair: Pair, text: str) -> None:
    assert pair.llama.detokenize(pair.llama.tokenize(text)) == text.encode()


def test_accents_apart_from_their_letters_are_read_alike(pair: Pair) -> None:
    text = "cafe\u0301 nai\u0308ve"
    # Of Qwen2's texts transformers composes the accents, llama.cpp does not.
    composed = unicodedata.normalize("NFC", text) if pair.model.architecture == "qwen2" else text
    assert pair.llama.tokenize(composed) == pair.torch.tokenize(text)


def test_control_tokens_are_read_where_they_are_wanted(pair: Pair) -> None:
    text = "<|im_start|>user\nhello<|im_end|>\n"
    assert pair.llama.tokenize(text, special=True) == pair.torch.tokenize(text)
    assert not set(pair.llama.tokenize(text)) & set(range(len(CONTROL)))


def test_the_two_libraries_begin_a_text_alike(pair: Pair) -> None:
    assert pair.llama.tokenize("hello", bos=True) == pair.torch.tokenize("hello", bos=True)


@pytest.mark.parametrize("architecture", ["llama", "qwen3"])
def test_the_two_formats_of_an_adapter_are_one(
    architecture: str, tiny_model: Callable[[str], TinyModel], tmp_path: Path
) -> None:
    model = tiny_model(architecture)
    adapter = tiny_lora(model, tmp_path)
    with BareLlama(model.gguf, lora=adapter.gguf) as llama:
        ours = llama.logits(prompt())
    theirs = BareTorch(model.safetensors, lora=adapter.peft).logits(prompt())
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)


def test_an_adapter_changes_the_model(tiny_llama: TinyModel, tiny_llama_lora: TinyAdapter) -> None:
    with (
        BareLlama(tiny_llama.gguf) as plain,
        BareLlama(tiny_llama.gguf, lora=tiny_llama_lora.gguf) as adapted,
    ):
        change = adapted.logits(prompt()) - plain.logits(prompt())
    assert 0.3 < change.std() < 3.0


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_quantised_copy_is_near_the_original(wide_llama: Path, kind: Kind) -> None:
    with BareLlama(wide_llama) as plain, BareLlama(quantise(wide_llama, kind)) as copy:
        exact, rough = plain.logits(prompt()), copy.logits(prompt())
    assert 0 < np.abs(exact - rough).mean() < {"f16": 1e-2, "Q8_0": 1e-1, "Q4_K": 1.0}[kind]


def test_a_quantised_copy_has_the_type_it_is_named_for(wide_llama: Path) -> None:
    tensors = gguf.GGUFReader(quantise(wide_llama, "Q4_K")).tensors
    assert {tensor.tensor_type.name for tensor in tensors if "ffn_up" in tensor.name} == {"Q4_K"}


def test_models_are_the_same_every_time(tiny_llama: TinyModel, tmp_path: Path) -> None:
    assert make("llama", tmp_path).gguf.read_bytes() == tiny_llama.gguf.read_bytes()


@pytest.mark.parametrize("text", TRICKY)
def test_pieces_are_tokenized_alike_and_give_the_text_back(tiny_pieces: TinyModel, text: str) -> None:
    with BareLlama(tiny_pieces.gguf) as llama:
        tokens = llama.tokenize(text)
        assert tokens == BareTorch(tiny_pieces.safetensors).tokenize(text)
        assert llama.detokenize(tokens) == text.encode()


def test_a_character_without_a_piece_falls_to_bytes(tiny_pieces: TinyModel) -> None:
    with BareLlama(tiny_pieces.gguf) as llama:
        assert [llama.detokenize([token]) for token in llama.tokenize("🙂")] == [
            b"\xf0",
            b"\x9f",
            b"\x99",
            b"\x82",
        ]
