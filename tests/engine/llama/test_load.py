"""What the llama.cpp engine loads, and what it refuses and how."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.engine.llama.support import rewrite
from tests.tiny import TinyModel
from trimtab.engine.contract import LoadRequest
from trimtab.engine.llama import memory
from trimtab.engine.llama.check import system_info
from trimtab.engine.llama.layout import PINNED
from trimtab.engine.llama.library import Library
from trimtab.engine.llama.load import load
from trimtab.engine.llama.machine import LlamaMachine
from trimtab.engine.llama.model_file import Dimensions
from trimtab.errors import Cancelled, EngineError, ModelError, Unsupported

Writer = gguf.GGUFWriter


def opened(path: Path, **options: object) -> LlamaMachine:
    settings: dict[str, object] = {"threads": 1, "context": 128} | options
    return load(LoadRequest(path=str(path), **settings), lambda fraction: True)  # type: ignore[arg-type]


def write(path: Path, architecture: str, fill: Callable[[Writer], None]) -> Path:
    writer = Writer(path, architecture)
    fill(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def control_vector(writer: Writer) -> None:
    writer.add_string("controlvector.model_hint", "llama")
    writer.add_tensor("direction.1", np.ones(64, dtype=np.float32))


def adapter(writer: Writer) -> None:
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_tensor("blk.0.attn_q.weight.lora_a", np.ones((4, 64), dtype=np.float32))


def vision(writer: Writer) -> None:
    writer.add_type("mmproj")
    writer.add_tensor("v.patch_embd.weight", np.ones((4, 64), dtype=np.float32))


def vocabulary_only(writer: Writer) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["a", "b"])


def language_model(writer: Writer, *, tokens: int = 8, epsilon: float = 1e-5) -> None:
    writer.add_block_count(1)
    writer.add_embedding_length(64)
    writer.add_context_length(64)
    writer.add_head_count(4)
    writer.add_feed_forward_length(64)
    writer.add_layer_norm_rms_eps(epsilon)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"t{at}" for at in range(tokens)])
    writer.add_token_merges(["t 0"])
    writer.add_tensor("token_embd.weight", np.ones((8, 64), dtype=np.float32))


@pytest.mark.parametrize(
    ("name", "make", "complaint"),
    [
        ("missing.gguf", lambda path: None, "There is no file"),
        ("empty.gguf", lambda path: path.write_bytes(b""), "is empty"),
        ("text.gguf", lambda path: path.write_text("Dear model,\n"), "is not a GGUF file"),
        ("folder.gguf", lambda path: path.mkdir(), "is a folder"),
        (
            "note.gguf",
            lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
            "git-lfs",
        ),
        ("cv.gguf", lambda path: write(path, "controlvector", control_vector), "is a control vector"),
        ("lora.gguf", lambda path: write(path, "llama", adapter), "is a LoRA adapter"),
        ("mmproj.gguf", lambda path: write(path, "clip", vision), "vision part"),
        ("vocab.gguf", lambda path: write(path, "llama", vocabulary_only), "only a vocabulary"),
        (
            "new.gguf",
            lambda path: write(path, "brandnew", language_model),
            "unknown model architecture: 'brandnew'",
        ),
        ("part.gguf", lambda path: write(path, "llama", language_model), "'output_norm.weight' not found"),
        (
            "words.gguf",
            lambda path: write(path, "llama", lambda w: language_model(w, tokens=9)),
            "token embeddings",
        ),
        (
            "norm.gguf",
            lambda path: write(path, "llama", lambda w: language_model(w, epsilon=float("nan"))),
            "layer_norm_rms_epsilon is nan",
        ),
    ],
)
def test_what_is_no_model_is_refused_in_one_line_with_a_way_out(
    tmp_path: Path, name: str, make: Callable[[Path], object], complaint: str
) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(ModelError, match=complaint) as caught:
        opened(path)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("architecture", ["bert", "t5"])
def test_models_that_do_not_write_are_refused_by_name(tmp_path: Path, architecture: str) -> None:
    path = write(tmp_path / "m.gguf", architecture, language_model)
    with pytest.raises(Unsupported, match=architecture):
        opened(path)


def test_a_model_in_parts_is_the_model(tiny_llama: TinyModel, tmp_path: Path) -> None:
    whole = opened(tiny_llama.gguf)
    parts = opened(rewrite(tiny_llama.gguf, tmp_path / "m.gguf", "llama", parts=3))
    np.testing.assert_array_equal(parts.decode([5, 6, 7]), whole.decode([5, 6, 7]))
    np.testing.assert_array_equal(parts.unembed([9, 3]), whole.unembed([9, 3]))
    assert parts.info.vocabulary_hash == whole.info.vocabulary_hash
    whole.close()
    parts.close()


def test_a_truncated_model_is_refused(tiny_llama: TinyModel, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_llama.gguf.read_bytes()[:-4096])
    with pytest.raises(ModelError, match="cut short"):
        opened(path)


def test_a_vocabulary_that_names_a_token_twice_is_refused(tmp_path: Path) -> None:
    def twice(writer: Writer) -> None:
        language_model(writer)
        writer.kv_data[0]["tokenizer.ggml.tokens"].value[1] = "t0"

    with pytest.raises(ModelError, match="same text"):
        opened(write(tmp_path / "twice.gguf", "llama", twice))


def test_a_context_larger_than_memory_is_refused_before_it_is_made(tiny_llama: TinyModel) -> None:
    with pytest.raises(ModelError, match="needs") as caught:
        opened(tiny_llama.gguf, context=1 << 30)
    assert "Ask for a context of" in caught.value.hint


def test_the_suggested_context_fits() -> None:
    size = Dimensions("llama", 32, 4096, 131_072, 128_000, 32 * 8 * 256, 32, 14_336, 0)
    with pytest.raises(ModelError) as caught:
        memory.choose_context(100_000, size, batch=512, exact=False, room=4_000_000_000)
    suggested = int("".join(filter(str.isdigit, caught.value.hint)))
    assert memory.choose_context(suggested, size, batch=512, exact=False, room=4_000_000_000) == suggested
    assert memory.context_bytes(size, suggested + 512, batch=512, exact=False) > 4_000_000_000


def test_loading_stops_when_asked_to(tiny_llama: TinyModel) -> None:
    with pytest.raises(Cancelled):
        load(LoadRequest(path=str(tiny_llama.gguf)), lambda fraction: False)


def test_an_error_in_progress_comes_out_of_loading(tiny_llama: TinyModel) -> None:
    def broken(fraction: float) -> bool:
        raise EngineError("the line is dead")

    with pytest.raises(EngineError, match="the line is dead"):
        load(LoadRequest(path=str(tiny_llama.gguf)), broken)


def test_another_version_of_the_binding_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import llama_cpp

    monkeypatch.setattr(llama_cpp, "__version__", "9.9.9")
    with pytest.raises(EngineError, match=r"9\.9\.9") as caught:
        Library()
    assert PINNED in caught.value.hint


def test_a_missing_function_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from trimtab.engine.llama import layout

    monkeypatch.setattr(layout, "FUNCTIONS", (*layout.FUNCTIONS, "llama_no_such_thing"))
    with pytest.raises(EngineError, match="llama_no_such_thing"):
        Library()


def test_a_moved_field_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from llama_cpp import llama_cpp as binding

    class Moved(ctypes.Structure):
        _fields_ = list(reversed(binding.llama_batch._fields_))

    monkeypatch.setattr(binding, "llama_batch", Moved)
    with pytest.raises(EngineError, match=r"llama_batch\.n_tokens is not at byte 0"):
        Library()


def test_doctor_learns_the_version_and_a_cpu() -> None:
    info = system_info()
    assert info.version == PINNED
    assert "cpu" in {device.kind for device in info.devices}
