"""Runs forward passes and hands out their logits."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from trimtab.engine.contract import FloatArray
from trimtab.engine.llama.batch import Batch
from trimtab.engine.llama.hook import Hook
from trimtab.engine.llama.interruption import Interruption
from trimtab.engine.llama.native import Native
from trimtab.errors import Cancelled, ContextFull, EngineError

_NO_SLOT, _ABORTED = 1, 2


class Forward:
    """The decode call of one context."""

    def __init__(
        self, native: Native, batch: Batch, interruption: Interruption, hook: Hook, vocabulary: int
    ) -> None:
        self.batch = batch
        self.vocabulary = vocabulary
        self._native = native
        self._interruption = interruption
        self._hook = hook
        self._decode = native.api.llama_decode
        self._logits_at = native.library.function(
            "llama_get_logits_ith", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32
        )
        self._address = 0
        self._view: FloatArray = np.zeros(0, dtype=np.float32)

    def run(self, *, check: bool = True) -> None:
        """Decodes the batch; with `check`, what the hook found wrong is raised."""
        self._interruption.arm(self.batch.raw.n_tokens)
        code = self._decode(self._native.context, self.batch.raw)
        if code != 0:
            raise self._failure(code)
        if check:
            error = self._hook.error()
            if error is not None:
                raise error

    def alone(
        self, tokens: Sequence[int], sequence: int, *, outputs: Sequence[int], check: bool = True
    ) -> None:
        """Decodes a few tokens in a sequence that is empty before and after."""
        self.batch.clear()
        self.batch.add(tokens, 0, sequence, outputs)
        try:
            self.run(check=check)
        finally:
            self.forget(sequence)

    def forget(self, sequence: int) -> None:
        self._native.api.llama_memory_seq_rm(self._native.memory, sequence, -1, -1)

    def length(self, sequence: int) -> int:
        return int(self._native.api.llama_memory_seq_pos_max(self._native.memory, sequence)) + 1

    def logits(self, index: int = -1) -> FloatArray:
        """The writable logits of an output, given by its index in the batch or counted from the end.

        They are llama.cpp's own and hold until the next decode.
        """
        address = self._logits_at(self._native.context, index)
        if not address:
            raise EngineError("llama.cpp gave no logits.", self._native.library.log.reason())
        if address != self._address:
            self._address = address
            self._view = np.ctypeslib.as_array((ctypes.c_float * self.vocabulary).from_address(address))
        return self._view

    def _failure(self, code: int) -> ContextFull | Cancelled | EngineError:
        if code == _NO_SLOT:
            return ContextFull(
                "The model's window is full.", "Start a new chat, or load it with a larger context."
            )
        if code == _ABORTED:
            return Cancelled("Stopped.")
        reason = self._native.library.log.reason()
        return EngineError(
            f"llama.cpp failed ({code}){f': {reason}' if reason else ''}.", "Load the model again."
        )
