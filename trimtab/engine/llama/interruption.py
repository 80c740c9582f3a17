"""Stops a forward pass from within, when somebody asked for that."""

from __future__ import annotations

from collections.abc import Callable

from trimtab.engine.llama.native import Native


class Interruption:
    """llama.cpp's abort callback.

    It is called at every node of the graph, hundreds of times for a token. While a prompt is read that is
    nothing beside a node's work; for single tokens it would show, and the caller asks between them anyway.
    """

    def __init__(self, native: Native) -> None:
        self._native = native
        self._wanted: Callable[[], bool] | None = None
        kind = native.api.ggml_abort_callback
        self._ask = kind(lambda _: self.wanted)
        self._nothing = kind()
        self._armed = False

    def ask(self, wanted: Callable[[], bool] | None) -> None:
        self._wanted = wanted

    @property
    def wanted(self) -> bool:
        return self._wanted is not None and self._wanted()

    def arm(self, tokens: int) -> None:
        """Before a decode of so many tokens."""
        arm = tokens > 1 and self._wanted is not None
        if arm != self._armed:
            callback = self._ask if arm else self._nothing
            self._native.api.llama_set_abort_callback(self._native.context, callback, None)
            self._armed = arm
