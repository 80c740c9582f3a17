"""Which model a file holds, told without loading it."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest

from tests.engine.machines import load_machine
from tests.tiny import TinyModel, make, quantise
from trimtab.engine.identity import fingerprint, identify, identity_of
from trimtab.errors import ModelError, TrimtabError


def test_a_model_has_one_fingerprint_in_both_formats(tiny: TinyModel) -> None:
    assert identify(tiny.gguf).fingerprint == identify(tiny.safetensors).fingerprint


def test_sentencepiece_vocabularies_too(tiny_pieces: TinyModel) -> None:
    assert identify(tiny_pieces.gguf).fingerprint == identify(tiny_pieces.safetensors).fingerprint


@pytest.mark.parametrize("kind", ["llama", "torch"])
def test_a_loaded_model_has_the_fingerprint_of_its_files(tiny_llama: TinyModel, kind: str) -> None:
    machine = load_machine(kind, tiny_llama)
    try:
        told = identity_of(machine.info)
    finally:
        machine.close()
    assert told.fingerprint == identify(tiny_llama.gguf).fingerprint


def test_a_quantisation_keeps_the_fingerprint_and_changes_the_weights(tiny_llama: TinyModel) -> None:
    whole, half = identify(tiny_llama.gguf), identify(quantise(tiny_llama.gguf, "f16"))
    assert whole.fingerprint == half.fingerprint
    assert whole.weights_hash != half.weights_hash
    assert (whole.quantisation, half.quantisation) == ("F32", "F16")


def test_other_weights_of_the_same_shape_are_told_apart(tiny_llama: TinyModel, tmp_path: Path) -> None:
    other = make("llama", tmp_path, seed=77)
    assert identify(other.gguf).fingerprint == identify(tiny_llama.gguf).fingerprint
    assert identify(other.gguf).weights_hash != identify(tiny_llama.gguf).weights_hash
    assert identify(other.safetensors).weights_hash != identify(tiny_llama.safetensors).weights_hash


def test_a_copy_is_the_same_to_the_last_bit(tiny_llama: TinyModel, tmp_path: Path) -> None:
    copy = shutil.copy(tiny_llama.gguf, tmp_path / "copy.gguf")
    assert identify(copy) == identify(tiny_llama.gguf)


@pytest.mark.parametrize(
    "changed",
    [("qwen2", 4, 64, 512, "a"), ("llama", 5, 64, 512, "a"), ("llama", 4, 65, 512, "a"),
     ("llama", 4, 64, 513, "a"), ("llama", 4, 64, 512, "b")],
)  # fmt: skip
def test_whatever_differs_changes_the_fingerprint(changed: tuple[str, int, int, int, str]) -> None:
    assert fingerprint(*changed) != fingerprint("llama", 4, 64, 512, "a")


@pytest.mark.parametrize(
    ("one", "other"),
    [("mistral", "llama"), ("qwen2_moe", "qwen2moe"), ("gemma3_text", "gemma3"), ("cohere", "command-r")],
)
def test_the_formats_names_for_an_architecture_are_one(one: str, other: str) -> None:
    assert fingerprint(one, 4, 64, 512, "a") == fingerprint(other, 4, 64, 512, "a")


def folder_of(model: TinyModel, place: Path) -> Path:
    return Path(shutil.copytree(model.safetensors, place / "copy"))


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_refused_by_name(
    tiny_llama: TinyModel, tmp_path: Path, missing: str
) -> None:
    folder = folder_of(tiny_llama, tmp_path)
    (folder / missing).unlink()
    with pytest.raises(TrimtabError, match=missing):
        identify(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", struct.pack("<Q", 1 << 60) + b"{}"),
        ("model.safetensors", struct.pack("<Q", 2) + b"[]"),
        ("model.safetensors", b"\1"),
        ("model.safetensors", struct.pack("<Q", 67)
         + b'{"x.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,9999999]}}'),
        ("config.json", b"[" * 100_000),
        ("config.json", b'{"model_type": "llama"}'),
        ("tokenizer.json", b'{"model": {"vocab": 7}}'),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_refused(
    tiny_llama: TinyModel, tmp_path: Path, name: str, content: bytes
) -> None:
    folder = folder_of(tiny_llama, tmp_path)
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError):
        identify(folder)


def test_an_index_that_points_elsewhere_is_refused(tiny_llama: TinyModel, tmp_path: Path) -> None:
    folder = folder_of(tiny_llama, tmp_path)
    (folder / "model.safetensors").rename(tmp_path / "model.safetensors")
    index = {"weight_map": {"x": "../model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match="not allowed"):
        identify(folder)
