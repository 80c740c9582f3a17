"""The two libraries with nothing of ours around them: logits and greedy tokens of a tiny model."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


class BareLlama:
    """A llama.cpp context in which everything is float32, on one thread."""

    def __init__(
        self, path: Path, *, context: int = 256, lora: Path | None = None, scale: float = 1.0
    ) -> None:
        import llama_cpp

        self._lib: Any = llama_cpp
        silence()
        parameters = llama_cpp.llama_model_default_params()
        parameters.n_gpu_layers = 0
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        if not self.model:
            raise ValueError(f"llama.cpp cannot load {path}.")
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.width = llama_cpp.llama_vocab_n_tokens(self.vocab)
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = context
        settings.n_threads = settings.n_threads_batch = 1
        settings.type_k = settings.type_v = 0
        settings.flash_attn_type = 0
        self.context = llama_cpp.llama_init_from_model(self.model, settings)
        if not self.context:
            raise ValueError(f"llama.cpp cannot make a context for {path}.")
        if lora is not None:
            adapter = llama_cpp.llama_adapter_lora_init(self.model, str(lora).encode())
            if not adapter:
                raise ValueError(f"llama.cpp cannot load the adapter {lora}.")
            adapters = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(adapter)
            llama_cpp.llama_set_adapters_lora(self.context, adapters, 1, (ctypes.c_float * 1)(scale))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lib.llama_free(self.context)
        self._lib.llama_model_free(self.model)

    def tokenize(self, text: str, *, special: bool = False, bos: bool = False) -> list[int]:
        data = text.encode()
        room = (self._lib.llama_token * (len(data) + 8))()
        count = self._lib.llama_tokenize(self.vocab, data, len(data), room, len(room), bos, special)
        return list(room[:count])

    def detokenize(self, tokens: Sequence[int]) -> bytes:
        pieces = []
        for token in tokens:
            room = ctypes.create_string_buffer(256)
            count = self._lib.llama_token_to_piece(self.vocab, token, room, len(room), 0, True)
            pieces.append(room.raw[:count])
        return b"".join(pieces)

    def logits(self, tokens: Sequence[int]) -> FloatArray:
        """Of every position, from an empty cache."""
        self._lib.llama_memory_clear(self._lib.llama_get_memory(self.context), True)
        batch = self._lib.llama_batch_init(len(tokens), 0, 1)
        try:
            batch.n_tokens = len(tokens)
            for place, token in enumerate(tokens):
                batch.token[place] = token
                batch.pos[place] = place
                batch.n_seq_id[place] = 1
                batch.seq_id[place][0] = 0
                batch.logits[place] = 1
            self._decode(batch)
        finally:
            self._lib.llama_batch_free(batch)
        return np.stack([self._row(place) for place in range(len(tokens))])

    def greedy(self, tokens: Sequence[int], count: int) -> list[int]:
        """The likeliest next tokens, one decode each; control tokens do not end it."""
        row = self.logits(tokens)[-1]
        reply = []
        for _ in range(count):
            token = int(row.argmax())
            reply.append(token)
            self._decode(self._lib.llama_batch_get_one((self._lib.llama_token * 1)(token), 1))
            row = self._row(-1)
        return reply

    def _decode(self, batch: Any) -> None:
        status = self._lib.llama_decode(self.context, batch)
        if status != 0:
            raise ValueError(f"llama_decode answers {status}.")

    def _row(self, place: int) -> FloatArray:
        pointer = self._lib.llama_get_logits_ith(self.context, place)
        return np.ctypeslib.as_array(pointer, (self.width,)).copy()


class BareTorch:
    """A transformers model in float32 with plain attention, on one thread."""

    def __init__(self, folder: Path, *, lora: Path | None = None) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._torch: Any = torch
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.model: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        )
        if lora is not None:
            from peft import PeftModel

            self.model = PeftModel.from_pretrained(self.model, str(lora))
        self.model.eval()

    def tokenize(self, text: str, *, bos: bool = False) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=bos))

    def logits(self, tokens: Sequence[int]) -> FloatArray:
        with self._one_thread(), self._torch.inference_mode():
            out: FloatArray = self.model(self._torch.tensor([list(tokens)])).logits[0].numpy()
        return out

    def greedy(self, tokens: Sequence[int], count: int) -> list[int]:
        """The likeliest next tokens, one cached step each; control tokens do not end it."""
        reply: list[int] = []
        cache, new = None, list(tokens)
        with self._one_thread(), self._torch.inference_mode():
            for _ in range(count):
                out = self.model(self._torch.tensor([new]), past_key_values=cache, use_cache=True)
                cache, new = out.past_key_values, [int(out.logits[0, -1].argmax())]
                reply += new
        return reply

    @contextmanager
    def _one_thread(self) -> Iterator[None]:
        before = self._torch.get_num_threads()
        self._torch.set_num_threads(1)
        try:
            yield
        finally:
            self._torch.set_num_threads(before)


def silence() -> None:
    """llama.cpp's log goes nowhere."""
    import llama_cpp

    llama_cpp.llama_log_set(_drop(), None)


@functools.cache
def _drop() -> Any:
    """Kept, as the library may call it at any time."""
    import llama_cpp

    return llama_cpp.llama_log_callback(lambda level, text, data: None)
