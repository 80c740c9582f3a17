"""The tokenizer of a model folder: text to ids and ids to bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from trimtab.engine.torch.folder import first_line
from trimtab.engine.vocabulary import vocabulary_hash
from trimtab.errors import ModelError

_ENDS = frozenset(
    {
        "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>",
        "<|return|>", "<|call|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]",
    }
)  # fmt: skip
"""What ends a reply where the vocabulary has it as a special token, whatever the model's settings say."""


class Tokens:
    """A fast tokenizer, with the questions that an engine is asked."""

    def __init__(self, folder: Path, size: int, ends: Sequence[int]) -> None:
        """`size` is the number of logits; `ends` what the model's settings call an end."""
        self._held = _load(folder)
        self._backend = self._held.backend_tokenizer
        self._backend.no_truncation()  # what a folder was trained with may be stored in it
        self._backend.no_padding()
        self._size = size
        self._specials = {
            int(number): str(token.content)
            for number, token in self._held.added_tokens_decoder.items()
            if token.special
        }
        self._added = {int(n): str(token.content) for n, token in self._held.added_tokens_decoder.items()}
        self._bytes_of = _byte_reader(self._backend)
        start = self._held.bos_token_id
        begun = self._backend.encode("a", add_special_tokens=True).ids
        self._start = [int(start)] if start is not None and begun[:1] == [start] else []
        own = [] if self._held.eos_token_id is None else [int(self._held.eos_token_id)]
        self._ends = {*ends, *own, *(n for n, text in self._specials.items() if text in _ENDS)}

    def tokenize(self, text: str, *, special: bool, bos: bool) -> list[int]:
        self._backend.encode_special_tokens = not special
        ids = [int(n) for n in self._backend.encode(text, add_special_tokens=False).ids] if text else []
        return [*self._start, *ids] if bos else ids

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        return [self._piece(token) for token in tokens]

    def is_end(self, token: int) -> bool:
        return token in self._ends

    def special_texts(self) -> list[str]:
        return list(self._specials.values())

    def variables(self) -> dict[str, str]:
        names = ("bos_token", "eos_token", "unk_token", "pad_token")
        found = {name: getattr(self._held, name, None) for name in names}
        return {name: str(value) for name, value in found.items() if value is not None}

    def template(self) -> str | None:
        held = self._held.chat_template
        if isinstance(held, dict):
            held = held.get("default")
        return held if isinstance(held, str) and held.strip() else None

    def hash(self) -> str:
        return vocabulary_hash(self._texts())

    def _texts(self) -> Iterator[str]:
        """The stored text of every id; ids past the vocabulary are named as a converter to GGUF names them."""
        for number, text in enumerate(self._held.convert_ids_to_tokens(range(self._size))):
            yield text if isinstance(text, str) else f"[PAD{number}]"

    def _piece(self, token: int) -> bytes:
        added = self._added.get(token)
        if added is not None:
            return added.encode("utf-8", "replace")
        text = self._backend.id_to_token(token)
        return b"" if text is None else self._bytes_of(text)


def _load(folder: Path) -> Any:
    from transformers import AutoTokenizer

    names = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
    if not any((folder / name).is_file() for name in names):
        raise ModelError(f"{folder} holds no tokenizer.", "Get the whole folder of the model, tokenizer.json too.")
    try:
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False, use_fast=True)
    except Exception as error:
        raise ModelError(
            f"The tokenizer in {folder} cannot be read: {first_line(error)}", "It needs a tokenizer.json; get the folder again."
        ) from error
    if not getattr(found, "is_fast", False):
        raise ModelError(
            f"The tokenizer in {folder} is not in the form of tokenizer.json.",
            "Save it again with a current version of transformers.",
        )
    return found


def _byte_reader(backend: Any) -> Any:
    """How this tokenizer's stored texts stand for bytes, told from its decoder."""
    steps = _decoders(backend)
    kinds = {step.get("type") for step in steps}
    if "ByteLevel" in kinds:
        table = _byte_level()
        return lambda text: b"".join(
            bytes([table[char]]) if char in table else char.encode("utf-8", "replace") for char in text
        )
    replaced = {
        str(step["pattern"]["String"]): str(step["content"])
        for step in steps
        if step.get("type") == "Replace" and "String" in step.get("pattern", {})
    }
    replaced.update({str(step["replacement"]): " " for step in steps if step.get("type") == "Metaspace"})

    def read(text: str) -> bytes:
        if "ByteFallback" in kinds and len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
            try:
                return bytes([int(text[3:5], 16)])
            except ValueError:
                pass
        for old, new in replaced.items():
            text = text.replace(old, new)
        return text.encode("utf-8", "replace")

    return read


def _decoders(backend: Any) -> list[dict[str, Any]]:
    if backend.decoder is None:
        return []
    state = json.loads(backend.decoder.__getstate__())
    steps: list[dict[str, Any]] = state["decoders"] if state.get("type") == "Sequence" else [state]
    return steps


def _byte_level() -> dict[str, int]:
    """The characters that byte-level vocabularies write bytes with: printable ones as they are, and the
    others, in order, from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    table.update({chr(0x100 + place): byte for place, byte in enumerate(others)})
    return table
