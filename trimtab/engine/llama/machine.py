"""One model loaded by llama.cpp, with the chat in its sequence 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from trimtab.engine.contract import FloatArray, ModelInfo
from trimtab.engine.gguf_file import GgufFile
from trimtab.engine.llama.forward import Forward
from trimtab.engine.llama.interruption import Interruption
from trimtab.engine.llama.native import Native
from trimtab.engine.llama.words import Words
from trimtab.errors import Cancelled, ContextFull, Unsupported

CHAT, ASIDE = 0, 1
"""The sequences of the context: the chat, and whatever is read beside it."""


class LlamaMachine:
    """A `Machine` over llama.cpp."""

    def __init__(
        self,
        info: ModelInfo,
        native: Native,
        words: Words,
        forward: Forward,
        interruption: Interruption,
        file: GgufFile,
        softcap: float,
    ) -> None:
        self.info = info
        self._native = native
        self._api = native.api
        self._words = words
        self._forward = forward
        self._interruption = interruption
        self._file = file
        self._softcap = softcap
        self._length = 0

    def tokenize(self, text: str, *, special: bool, bos: bool) -> list[int]:
        return self._words.tokenize(text, special=special, bos=bos)

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        return self._words.pieces(tokens)

    def is_end(self, token: int) -> bool:
        return self._words.is_end(token)

    def special_texts(self) -> list[str]:
        return self._words.specials

    def template_variables(self) -> dict[str, str]:
        return self._words.variables

    def decode(self, tokens: Sequence[int]) -> FloatArray:
        count = len(tokens)
        if self._length + count > self.info.context:
            raise ContextFull(
                f"The model's window of {self.info.context:,} tokens is full.",
                "Start a new chat, or load it with a larger context.",
            )
        try:
            if count == 1:
                self._forward.batch.one(tokens[0], self._length)
                self._forward.run()
                self._length += 1
            else:
                self._read(tokens)
        except BaseException:
            self._length = self._api.llama_memory_seq_pos_max(self._native.memory, CHAT) + 1
            raise
        return self._forward.logits()

    def _read(self, tokens: Sequence[int]) -> None:
        """Decodes many tokens piece by piece, with logits after the last."""
        batch = self._forward.batch
        for start in range(0, len(tokens), batch.capacity):
            if start and self._interruption.wanted:
                raise Cancelled("Stopped.")
            piece = tokens[start : start + batch.capacity]
            last = start + len(piece) == len(tokens)
            batch.clear()
            batch.add(piece, self._length, CHAT, [len(piece) - 1] if last else [])
            self._forward.run()
            self._length += len(piece)

    def cut(self, length: int) -> bool:
        held = self._api.llama_memory_seq_pos_max(self._native.memory, CHAT) + 1
        done = held <= length or bool(self._api.llama_memory_seq_rm(self._native.memory, CHAT, length, -1))
        if not done:
            self._api.llama_memory_seq_rm(self._native.memory, CHAT, -1, -1)
        self._length = min(held, length) if done else 0
        return done

    def slide(self, keep: int, drop: int) -> None:
        if not self.info.can_shift:
            raise Unsupported(
                "This model's window cannot let go of its oldest part.",
                "Start a new chat, or load it with a larger context.",
            )
        self._api.llama_memory_seq_rm(self._native.memory, CHAT, keep, keep + drop)
        self._api.llama_memory_seq_add(self._native.memory, CHAT, keep + drop, -1, -drop)
        self._length -= drop

    def interrupt(self, wanted: Callable[[], bool] | None) -> None:
        self._interruption.ask(wanted)

    def softcap(self) -> float:
        return self._softcap

    def unembed(self, tokens: Sequence[int]) -> FloatArray:
        name = "output.weight" if "output.weight" in self._file.tensors else "token_embd.weight"
        return self._file.rows(name, tokens)

    def close(self) -> None:
        self._native.close()
        self._file.close()
