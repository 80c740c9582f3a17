"""The loop to compare with: llama.cpp's own calls and nothing else, greedy."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

import llama_cpp.llama_cpp as api
import numpy as np


def bare_loop(
    path: Path, *, threads: int, prompt: list[int], context: int
) -> tuple[Callable[[int], Iterator[None]], Callable[[], None]]:
    """A function that decodes some tokens after the prompt, yielding at each, and one that frees all."""
    api.llama_backend_init()
    model = api.llama_model_load_from_file(str(path).encode(), api.llama_model_default_params())
    settings = api.llama_context_default_params()
    settings.n_ctx = context
    settings.n_threads = settings.n_threads_batch = threads
    session = api.llama_init_from_model(model, settings)
    memory = api.llama_get_memory(session)
    size = api.llama_vocab_n_tokens(api.llama_model_get_vocab(model))

    def decode(tokens: list[int]) -> int:
        array = (api.llama_token * len(tokens))(*tokens)
        if api.llama_decode(session, api.llama_batch_get_one(array, len(tokens))):
            raise RuntimeError("llama_decode failed")
        logits = np.ctypeslib.as_array(api.llama_get_logits_ith(session, -1), (size,))
        return int(logits.argmax())

    def run(count: int) -> Iterator[None]:
        api.llama_memory_seq_rm(memory, 0, len(prompt) - 1, -1)
        token = decode(prompt[-1:])
        yield None
        for _ in range(count - 1):
            token = decode([token])
            yield None

    def close() -> None:
        api.llama_free(session)
        api.llama_model_free(model)

    decode(prompt)
    api.llama_log_set(_silent, ctypes.c_void_p(0))
    return run, close


@api.llama_log_callback  # type: ignore[untyped-decorator]
def _silent(level: int, text: bytes, data: object) -> None:
    """Takes what llama.cpp would print."""
