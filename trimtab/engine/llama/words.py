"""The model's tokeniser: text to tokens and back, and what its special tokens are."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

from trimtab.engine.llama.native import Native
from trimtab.errors import EngineError

_CONTROL, _USER_DEFINED = 1 << 3, 1 << 4


class Words:
    """Tokenises as llama.cpp does for this model."""

    def __init__(self, native: Native) -> None:
        self._api: Any = native.api
        self._vocabulary = native.vocabulary
        self.size: int = self._api.llama_vocab_n_tokens(native.vocabulary)
        self._piece_room = ctypes.create_string_buffer(64)

    def tokenize(self, text: str, *, special: bool, bos: bool) -> list[int]:
        data = text.encode("utf-8", errors="replace")
        start = self.start() if bos else []
        room = len(data) + 16
        for _ in range(2):
            tokens = (ctypes.c_int32 * room)()
            count = self._api.llama_tokenize(self._vocabulary, data, len(data), tokens, room, False, special)
            if count >= 0:
                return start + tokens[:count]
            room = -count
        raise EngineError(f"A text of {len(data):,} bytes could not be tokenised.", "Shorten it.")

    def start(self) -> list[int]:
        """The start token, alone, if the model was trained with one."""
        token = self._api.llama_vocab_bos(self._vocabulary)
        return [token] if token >= 0 and self._api.llama_vocab_get_add_bos(self._vocabulary) else []

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        return [self._piece(token) for token in tokens]

    def is_end(self, token: int) -> bool:
        return 0 <= token < self.size and bool(self._api.llama_vocab_is_eog(self._vocabulary, token))

    @functools.cached_property
    def specials(self) -> list[str]:
        found = []
        for token in range(self.size):
            if self._api.llama_vocab_get_attr(self._vocabulary, token) & (_CONTROL | _USER_DEFINED):
                text = self._piece(token).decode("utf-8", errors="replace")
                if text:
                    found.append(text)
        return found

    @functools.cached_property
    def variables(self) -> dict[str, str]:
        """What chat templates call the special tokens."""
        found = {}
        for name in ("bos", "eos", "pad"):
            token = getattr(self._api, f"llama_vocab_{name}")(self._vocabulary)
            found[f"{name}_token"] = (
                self._piece(token).decode("utf-8", errors="replace") if token >= 0 else ""
            )
        return found

    def _piece(self, token: int) -> bytes:
        if not 0 <= token < self.size:
            raise EngineError(f"Token {token} does not exist; there are {self.size}.")
        for _ in range(2):
            room = self._piece_room
            count = self._api.llama_token_to_piece(self._vocabulary, token, room, len(room), 0, True)
            if count >= 0:
                return room.raw[:count]
            self._piece_room = ctypes.create_string_buffer(-count)
        raise EngineError(f"The text of token {token} could not be read.")
