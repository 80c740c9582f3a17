"""A tiny model with a token of its own for a text that is no control token, as Gemma has for line breaks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import gguf

from tests.tiny.models import TinyModel


def with_defined_token(model: TinyModel, folder: Path, text: str) -> TinyModel:
    """The same weights; the last token of the byte-level vocabulary, and the merge that makes it, give way."""
    made = TinyModel(model.architecture, folder / "model.gguf", folder / "transformers", model.shape)
    shutil.copytree(model.safetensors, made.safetensors)
    number = _in_folder(made.safetensors / "tokenizer.json", text)
    _in_gguf(model.gguf, made.gguf, number, text)
    return made


def _in_folder(path: Path, text: str) -> int:
    settings = json.loads(path.read_text(encoding="utf-8"))
    words = settings["model"]["vocab"]
    last = max(words, key=words.__getitem__)
    number = int(words.pop(last))
    settings["model"]["merges"].pop()
    token = {"id": number, "content": text, "special": False, "normalized": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    settings["added_tokens"].append(token | flags)
    path.write_text(json.dumps(settings), encoding="utf-8")
    return number


def _in_gguf(source: Path, target: Path, number: int, text: str) -> None:
    reader = gguf.GGUFReader(source)
    fields = {key: field for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    writer = gguf.GGUFWriter(target, fields.pop("general.architecture").contents())
    for key, field in fields.items():
        value = field.contents()
        if key == "tokenizer.ggml.tokens":
            value[number] = text
        elif key == "tokenizer.ggml.token_type":
            value[number] = int(gguf.TokenType.USER_DEFINED)
        elif key == "tokenizer.ggml.merges":
            value.pop()
        kind, inner = field.types[0], field.types[-1]
        writer.add_key_value(key, value, kind, sub_type=inner if kind is gguf.GGUFValueType.ARRAY else None)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
