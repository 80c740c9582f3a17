"""What methods may ask of the model, without knowing which engine runs it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from trimtab.engine.contract import FloatArray, ModelInfo
from trimtab.plugins.errors import PluginError

T = TypeVar("T")


class AsksModel(Protocol):
    """The few questions that are passed on; `trimtab.engine.client.EngineClient` answers them."""

    @property
    def info(self) -> ModelInfo | None: ...

    async def tokenize(self, text: str) -> list[int]: ...

    async def pieces(self, tokens: Sequence[int]) -> list[bytes]: ...

    async def unembed(self, tokens: Sequence[int]) -> FloatArray: ...


class MethodContext:
    """Asks each question of one loaded model once, so that moving a slider asks none.

    Make a new one when another model is loaded.
    """

    def __init__(self, model: AsksModel) -> None:
        if model.info is None:
            raise PluginError("No model is loaded.", "Load one.")
        self.info = model.info
        self._model = model
        self._tokens: dict[str, tuple[int, ...]] = {}
        self._pieces: dict[int, bytes] = {}
        self._rows: dict[int, FloatArray] = {}
        self._made: dict[Hashable, Any] = {}

    async def tokenize(self, text: str) -> tuple[int, ...]:
        """The tokens of a plain text: no special tokens in it, and none added."""
        if text not in self._tokens:
            self._tokens[text] = tuple(await self._asked().tokenize(text))
        return self._tokens[text]

    async def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        """The bytes each token stands for."""
        new = [token for token in dict.fromkeys(tokens) if token not in self._pieces]
        if new:
            self._pieces.update(zip(new, await self._asked().pieces(new), strict=True))
        return [self._pieces[token] for token in tokens]

    async def unembed(self, tokens: Sequence[int]) -> FloatArray:
        """Shape (tokens, width): rows of the unembedding matrix, which turns the final state into logits."""
        new = [token for token in dict.fromkeys(tokens) if token not in self._rows]
        if new:
            self._rows.update(zip(new, await self._asked().unembed(new), strict=True))
        if not tokens:
            return np.zeros((0, self.info.width), dtype=np.float32)
        return np.stack([self._rows[token] for token in tokens])

    def remember(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` made when this key was first asked for."""
        if key not in self._made:
            self._made[key] = make()
        return cast(T, self._made[key])

    def _asked(self) -> AsksModel:
        if self._model.info != self.info:
            raise PluginError(
                f"{self.info.name} is no longer the model that is loaded.", "Steer the one that is."
            )
        return self._model
