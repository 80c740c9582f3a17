"""Reading GGUF files, sound and damaged."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.tiny import TinyModel
from trimtab.engine.gguf_file import open_gguf
from trimtab.engine.llama.model_file import check_model
from trimtab.errors import ModelError, TrimtabError


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((8, 256)).astype(np.float32)


def write(path: Path, **tensors: np.ndarray) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_metadata_and_tensors_are_what_the_reference_reader_finds(tiny_llama: TinyModel) -> None:
    reference = gguf.GGUFReader(tiny_llama.gguf)
    with open_gguf(tiny_llama.gguf) as file:
        assert set(file.metadata) == {key for key in reference.fields if not key.startswith("GGUF.")}
        assert file.text("general.architecture") == "llama"
        assert file.number("llama.block_count") == tiny_llama.shape.layers
        found = {name: (tensor.shape, tensor.start) for name, tensor in file.tensors.items()}
        assert found == {
            tensor.name: (tuple(int(n) for n in tensor.shape), tensor.data_offset)
            for tensor in reference.tensors
        }


def test_the_vocabulary_is_read_in_order(tiny_llama: TinyModel) -> None:
    field = gguf.GGUFReader(tiny_llama.gguf).fields["tokenizer.ggml.tokens"]
    with open_gguf(tiny_llama.gguf) as file:
        assert list(file.texts("tokenizer.ggml.tokens")) == [bytes(field.parts[at]) for at in field.data]


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q5_1", "BF16", "F16"])
def test_single_rows_equal_the_whole_tensor_dequantised(tmp_path: Path, rows: np.ndarray, kind: str) -> None:
    quantised = gguf.quants.quantize(rows, gguf.GGMLQuantizationType[kind])
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("x", quantised, raw_dtype=gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    whole = gguf.quants.dequantize(quantised, gguf.GGMLQuantizationType[kind])
    with open_gguf(path) as file:
        np.testing.assert_array_equal(file.rows("x", [5, 0, 5]), whole[[5, 0, 5]])
        np.testing.assert_array_equal(file.whole("x"), whole)


def test_a_large_vocabulary_opens_fast(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_token_list([f"token {at}" for at in range(150_000)])
    writer.add_token_merges([f"a{at} b{at}" for at in range(150_000)])
    writer.add_token_types([1] * 150_000)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()

    def seconds() -> float:
        start = time.perf_counter()
        open_gguf(path).close()
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < 0.1


def test_a_split_model_is_one_file(tmp_path: Path, rows: np.ndarray) -> None:
    first = split(tmp_path, rows)
    with open_gguf(first) as file:
        np.testing.assert_array_equal(file.rows("x", [1]), rows[[1]])
        np.testing.assert_array_equal(file.rows("y", [2]), -rows[[2]])


def test_a_missing_part_is_named(tmp_path: Path, rows: np.ndarray) -> None:
    first = split(tmp_path, rows)
    (tmp_path / "m-00002-of-00002.gguf").unlink()
    with pytest.raises(ModelError, match=r"m-00002-of-00002\.gguf is missing"):
        open_gguf(first)


def test_a_later_part_names_the_first(tmp_path: Path, rows: np.ndarray) -> None:
    split(tmp_path, rows)
    with pytest.raises(ModelError, match=r"Open the first: m-00001-of-00002\.gguf"):
        open_gguf(tmp_path / "m-00002-of-00002.gguf")


def test_big_endian_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + struct.pack(">IQQ", 3, 0, 0))
    with pytest.raises(ModelError, match="big-endian"):
        open_gguf(path)


def test_a_file_cut_short_is_refused(tmp_path: Path, rows: np.ndarray) -> None:
    path = write(tmp_path / "m.gguf", x=rows)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cut short"):
        open_gguf(path)


@pytest.mark.parametrize(
    ("tail", "complaint"),
    [
        (struct.pack("<IQQ", 3, 1 << 60, 0), "claims 1152921504606846976 tensors"),
        (struct.pack("<IQQ", 3, 0, 1 << 60), "claims 1152921504606846976 metadata"),
        (struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1 << 40) + b"x" * 64, "metadata key claims"),
        (
            struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"k", 9, 8, 1 << 50) + b"x" * 64,
            "strings",
        ),
        (struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"k", 9, 4, 1 << 50) + b"x" * 64, "values"),
        (
            struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIIQQ", 1, b"k", 9, 8, 2, 1 << 63) + b"x" * 64,
            "beyond",
        ),
        (struct.pack("<IQQ", 1, 0, 0), "version 1"),
        (b"", "ends in the middle"),
    ],
)
def test_an_impossible_count_is_refused_before_it_is_used(
    tmp_path: Path, tail: bytes, complaint: str
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(b"GGUF" + tail)
    with pytest.raises(ModelError, match=complaint):
        open_gguf(path)


@pytest.mark.parametrize("seed", range(4))
def test_a_mutated_file_is_read_or_refused_with_a_typed_error(
    tiny_llama: TinyModel, tmp_path: Path, seed: int
) -> None:
    sound = tiny_llama.gguf.read_bytes()
    tables = sound.index(b"blk.0")
    draw = random.Random(seed)
    path = tmp_path / "m.gguf"
    for _ in range(75):
        damaged = bytearray(sound)
        for _ in range(draw.choice([1, 1, 2, 5])):
            at = draw.choice([draw.randrange(1500), draw.randrange(tables + 4000)])
            damaged[at : at + 8] = draw.choice(
                [b"\0" * 8, b"\xff" * 8, b"\xff" * 4, draw.randbytes(1), draw.randbytes(8)]
            )
        path.write_bytes(damaged if draw.random() < 0.8 else damaged[: draw.randrange(len(damaged))])
        refusal = refusal_of(path)
        if refusal is not None:
            assert "\n" not in str(refusal)
            assert refusal.hint


def refusal_of(path: Path) -> TrimtabError | None:
    try:
        with open_gguf(path) as file:
            check_model(file)
    except TrimtabError as error:
        return error
    return None


def split(folder: Path, rows: np.ndarray) -> Path:
    parts: list[Callable[[gguf.GGUFWriter], None]] = [
        lambda writer: writer.add_tensor("x", rows),
        lambda writer: writer.add_tensor("y", -rows),
    ]
    for number, fill in enumerate(parts):
        writer = gguf.GGUFWriter(folder / f"m-{number + 1:05}-of-00002.gguf", "llama")
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", 2)
        writer.add_int32("split.tensors.count", 2)
        fill(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
    return folder / "m-00001-of-00002.gguf"
