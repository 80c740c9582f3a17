"""The native objects of one loaded model, and their release."""

from __future__ import annotations

from typing import Any

from trimtab.engine.llama.library import Library


class Native:
    """A model and its context, freed once, the context first."""

    def __init__(self, library: Library, model: int) -> None:
        self.library = library
        self.api: Any = library.api
        self.model = model
        self.context = 0
        self.vocabulary: int = self.api.llama_model_get_vocab(model)

    @property
    def memory(self) -> int:
        found: int = self.api.llama_get_memory(self.context)
        return found

    def adopt(self, context: int) -> None:
        """Takes over a context made of this model."""
        self.context = context

    def free_context(self) -> None:
        if self.context:
            self.api.llama_free(self.context)
        self.context = 0

    def close(self) -> None:
        self.free_context()
        if self.model:
            self.api.llama_model_free(self.model)
        self.model = 0
