"""Tokens and their bytes, for byte-level and for sentencepiece-like vocabularies."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

from tests.tiny import TinyModel
from trimtab.engine.torch.tokens import Tokens
from trimtab.engine.vocabulary import vocabulary_hash
from trimtab.errors import ModelError

STRANGE = "Überraschung: 🙂 日本 \t\n and a\u0301 \x00 end"


@pytest.fixture(scope="module")
def byte_level(tiny_llama: TinyModel) -> Tokens:
    return Tokens(tiny_llama.safetensors, 512, [3])


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    """A vocabulary as sentencepiece models are converted: spaces as ▁, unknown characters as bytes."""
    folder = tmp_path_factory.mktemp("spm")
    texts = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "▁a", "▁ab", "ab"]
    merges = [("▁", "a"), ("▁a", "b"), ("a", "b")]
    vocabulary = {text: number for number, text in enumerate(texts)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in texts[:3]])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return Tokens(folder, len(texts) + 3, [2])


@pytest.mark.parametrize("text", [STRANGE, "plain words", "  two  spaces ", ""])
def test_the_bytes_of_all_tokens_are_the_text(byte_level: Tokens, text: str) -> None:
    tokens = byte_level.tokenize(text, special=False, bos=False)
    assert b"".join(byte_level.pieces(tokens)) == text.encode()


def test_a_character_split_over_tokens_comes_in_parts(byte_level: Tokens) -> None:
    pieces = byte_level.pieces(byte_level.tokenize("🙂", special=False, bos=False))
    assert len(pieces) > 1 and b"".join(pieces) == "🙂".encode()


def test_sentencepiece_bytes_and_spaces_are_told_apart(sentences: Tokens) -> None:
    tokens = sentences.tokenize("ab a🙂", special=False, bos=False)
    pieces = sentences.pieces(tokens)
    assert b"".join(pieces) == " ab a🙂".encode()
    assert pieces[-4:] == [bytes([byte]) for byte in "🙂".encode()]


def test_special_texts_become_special_tokens_only_where_asked(byte_level: Tokens) -> None:
    text = "<|im_start|>user"
    assert byte_level.tokenize(text, special=True, bos=False)[0] == 2
    plain = byte_level.tokenize(text, special=False, bos=False)
    assert 2 not in plain and b"".join(byte_level.pieces(plain)) == text.encode()
    assert byte_level.tokenize(text, special=True, bos=False)[0] == 2
    assert set(byte_level.special_texts()) == {"<|endoftext|>", "<|startoftext|>", "<|im_start|>", "<|im_end|>"}


def test_the_start_token_comes_where_the_model_was_trained_with_one(
    byte_level: Tokens, sentences: Tokens
) -> None:
    assert byte_level.tokenize("", special=False, bos=True) == [1]
    assert byte_level.tokenize("a", special=False, bos=True)[0] == 1
    assert sentences.tokenize("a", special=False, bos=True) == sentences.tokenize("a", special=False, bos=False)


def test_a_reply_ends_at_every_known_end(byte_level: Tokens) -> None:
    assert [byte_level.is_end(token) for token in (0, 1, 2, 3, 40)] == [True, False, False, True, False]


def test_the_template_and_its_variables_come_from_the_folder(byte_level: Tokens) -> None:
    template = byte_level.template()
    assert template is not None and "<|im_start|>" in template
    assert byte_level.variables()["bos_token"] == "<|startoftext|>"
    assert byte_level.variables()["eos_token"] == "<|im_end|>"


def test_the_vocabularys_hash_is_over_stored_texts_with_their_lengths(sentences: Tokens) -> None:
    texts = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "▁a", "▁ab", "ab"]
    texts += [f"[PAD{number}]" for number in range(len(texts), len(texts) + 3)]
    data = b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in texts)
    assert sentences.hash() == hashlib.sha256(data).hexdigest() == vocabulary_hash(texts)


def test_texts_that_run_together_the_same_have_other_hashes() -> None:
    assert vocabulary_hash(["ab", "c"]) != vocabulary_hash(["a", "bc"])


def test_truncation_and_padding_stored_in_the_folder_are_not_followed(
    tiny_llama: TinyModel, tmp_path: Path
) -> None:
    stored = Tokenizer.from_file(str(tiny_llama.safetensors / "tokenizer.json"))
    stored.enable_truncation(4)
    stored.enable_padding(length=16)
    stored.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text((tiny_llama.safetensors / "tokenizer_config.json").read_text())
    tokens = Tokens(tmp_path, 512, [])
    for text in ("a", STRANGE):
        ids = tokens.tokenize(text, special=False, bos=False)
        assert b"".join(tokens.pieces(ids)) == text.encode()


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="tokenizer"):
        Tokens(tmp_path, 10, [])


def test_a_damaged_tokenizer_is_named(tiny_llama: TinyModel, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{ not json")
    with pytest.raises(ModelError, match="tokenizer"):
        Tokens(tmp_path, 10, [])
