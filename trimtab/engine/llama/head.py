"""What a change of the final normed state adds to the logits, measured on the model itself."""

from __future__ import annotations

import hashlib

import numpy as np

from trimtab.engine import math
from trimtab.engine.contract import FloatArray
from trimtab.engine.llama.forward import Forward
from trimtab.engine.llama.hook import Hook, Mode
from trimtab.engine.llama.sites import ASIDE, FINAL

_KEPT = 64


class Head:
    """The map from the final normed state to the logits.

    A direction is written into the node of the final norm and the logits are read, so whatever the model does
    behind it, such as a logit scale, is in the answer; only the soft cap is undone.
    """

    def __init__(self, forward: Forward, hook: Hook, softcap: float) -> None:
        self._forward = forward
        self._hook = hook
        self._softcap = softcap
        self._measured: dict[bytes, FloatArray] = {}

    def apply(self, direction: FloatArray) -> FloatArray:
        """To be called while nothing is steered."""
        direction = np.ascontiguousarray(direction, dtype=np.float32)
        key = hashlib.sha256(direction.tobytes()).digest()
        if key not in self._measured:
            if len(self._measured) >= _KEPT:
                del self._measured[next(iter(self._measured))]
            self._measured[key] = self._measure(direction)
        return self._measured[key]

    def _measure(self, direction: FloatArray) -> FloatArray:
        length = float(np.linalg.norm(direction.astype(np.float64)))
        if not length:
            return np.zeros(self._forward.vocabulary, dtype=np.float32)
        # A unit vector's logits lie far below any soft cap, where it can be undone to the last digit.
        unit = (direction / length).astype(np.float32)

        def write(rows: FloatArray) -> None:
            rows[-2] = unit
            rows[-1] = 0.0

        token = self._forward.vocabulary // 3
        self._hook.edit(FINAL, write)
        self._hook.mode = Mode.EDIT
        try:
            self._forward.alone([token, token], ASIDE, outputs=[0, 1])
        finally:
            self._hook.mode = Mode.IDLE
            self._hook.edit(FINAL, None)
        with_it, without = (self._forward.logits(at).astype(np.float64) for at in (0, 1))
        if self._softcap:
            with_it, without = (math.undo_softcap(row, self._softcap) for row in (with_it, without))
        return ((with_it - without) * length).astype(np.float32)
