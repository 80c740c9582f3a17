"""What an engine's own part must supply; everything above it is shared by all engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from trimtab.engine.contract import ActivationRequest, FloatArray, ModelInfo, Progress
from trimtab.engine.plan import Plan


@dataclass(eq=False)
class Readings:
    """What was noted at each layer over one or more forward passes under one plan."""

    positions: npt.NDArray[np.int64]
    """Shape (layers,): how many positions passed an active layer."""
    moved: npt.NDArray[np.int64]
    """Of these, how many were shifted."""
    norm_sum: npt.NDArray[np.float64]
    norm_max: npt.NDArray[np.float64]
    norm_last: npt.NDArray[np.float64]
    """The norm of the shift at the last position."""
    watched: npt.NDArray[np.float64]
    """The logits of the plan's watches at the last position, in the plan's order."""
    missed: dict[tuple[int, int], tuple[int, float]] = field(default_factory=dict)
    """By (layer, row of the joint raise): how often its target was missed, and by how much at most."""


class Machine(Protocol):
    """One loaded model with one sequence of tokens behind it, its cache.

    The sequence is told apart from the tokens by the caller, who knows what was decoded in which order.
    Layers count from 0, and a layer's output is what the next block reads.
    """

    info: ModelInfo

    def tokenize(self, text: str, *, special: bool, bos: bool) -> list[int]:
        """With `special`, the texts of special tokens become these tokens; with `bos`, the start token
        comes first if the model was trained so."""
        ...

    def pieces(self, tokens: Sequence[int]) -> list[bytes]: ...

    def is_end(self, token: int) -> bool: ...

    def special_texts(self) -> list[str]:
        """The texts that `tokenize` would turn into special tokens."""
        ...

    def template_variables(self) -> dict[str, str]:
        """`bos_token` and the like, for the chat template."""
        ...

    def unsupported(self, plan: Plan) -> str | None:
        """What in the plan it cannot carry out, by name, or None."""
        ...

    def install(self, plan: Plan) -> None:
        """From now on every position is decoded under this plan."""
        ...

    def decode(self, tokens: Sequence[int]) -> FloatArray:
        """Appends the tokens to the sequence; the writable logits after the last, until the next pass.

        Tunes that need the hidden state (those not `linear`) are done before the logits are made; the
        caller adds the linear ones. Raises `Cancelled` if `interrupt` was set meanwhile; what of the
        tokens is then in the sequence is unknown, and the caller cuts it back.
        """
        ...

    def readings(self) -> Readings:
        """What was noted since the last call of this or of `install`."""
        ...

    def deltas(self) -> dict[int, FloatArray]:
        """By layer with a raise, the shift that the raise gave to the last position decoded."""
        ...

    def cut(self, length: int) -> bool:
        """Keeps the first `length` positions. False if that cannot be done: the sequence is then empty."""
        ...

    def slide(self, keep: int, drop: int) -> None:
        """Lets go of the positions [keep, keep + drop) and moves later ones down."""
        ...

    def interrupt(self, wanted: Callable[[], bool] | None) -> None:
        """What to ask, from within a forward pass, whether to stop."""
        ...

    def head(self, direction: FloatArray) -> FloatArray:
        """What adding `direction` to the final normed state adds to the logits, before any soft cap."""
        ...

    def head_bias(self) -> FloatArray | None:
        """The constant that the head adds to the logits, or None."""
        ...

    def softcap(self) -> float:
        """The soft cap on the logits, 0 for none."""
        ...

    def state_at_end(self, tokens: Sequence[int], layers: Sequence[int]) -> FloatArray:
        """Shape (layers, width): unsteered outputs at the last of `tokens`, in a sequence of their own."""
        ...

    def activations(
        self, texts: Sequence[tuple[list[int], slice]], request: ActivationRequest, progress: Progress
    ) -> FloatArray:
        """Shape (texts, layers, width): unsteered, each text in a sequence of its own; of each text the
        last or the mean of the positions in its slice."""
        ...

    def score(
        self, pairs: Sequence[tuple[list[int], list[int]]], plan: Plan, progress: Progress
    ) -> list[FloatArray]:
        """For each (context, continuation) the log-probability of each token of the continuation."""
        ...

    def unembed(self, tokens: Sequence[int]) -> FloatArray: ...

    def close(self) -> None: ...
