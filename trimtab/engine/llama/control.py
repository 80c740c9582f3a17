"""The control vector: llama.cpp's own constant shift, one for each layer but the first."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np

from trimtab.engine.contract import FloatArray
from trimtab.engine.llama.native import Native


class ControlVector:
    """Setting or clearing it makes llama.cpp build its graph anew, which takes milliseconds."""

    def __init__(self, native: Native, layers: int, width: int) -> None:
        self._native = native
        # Block 0 is out of its reach. A shorter buffer would leave older layers set.
        self._values = np.zeros((layers - 1, width), dtype=np.float32)
        self._set: Any = native.library.function(
            "llama_set_adapter_cvec", ctypes.c_int32,
            ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32,
        )  # fmt: skip
        self.layers: tuple[int, ...] = ()

    def put(self, shifts: Mapping[int, FloatArray]) -> bool:
        """Adds these from now on and nothing else; False if llama.cpp will not."""
        self._values.fill(0.0)
        for layer, shift in shifts.items():
            self._values[layer - 1] = shift
        count, width = self._values.size, self._values.shape[1]
        address = self._values.ctypes.data
        context = self._native.context
        if not shifts or self._set(context, address, count, width, min(shifts), max(shifts)) != 0:
            self.clear()
            return False
        self.layers = tuple(sorted(shifts))
        return True

    def holds(self, shifts: Mapping[int, FloatArray]) -> bool:
        """Whether it is these, to the bit, that it adds."""
        return self.layers == tuple(sorted(shifts)) and all(
            np.array_equal(self._values[layer - 1], shift) for layer, shift in shifts.items()
        )

    def clear(self) -> None:
        if self.layers:
            self._set(self._native.context, None, 0, self._values.shape[1], 0, 0)
        self.layers = ()
