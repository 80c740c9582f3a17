"""llama.cpp's own rules for control-vector files, over its own GGUF parser; the loader itself is in no library."""

from __future__ import annotations

import contextlib
import ctypes
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trimtab.engine.llama.library import open_library
from trimtab.engine.llama.machine import LlamaMachine
from trimtab.engine.plan import NOTHING

FloatArray = npt.NDArray[np.float32]
_POINTER, _COUNT, _INT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int
_F32 = 0


class Refused(Exception):
    """llama.cpp would not take the file."""


class _Settings(ctypes.Structure):
    _fields_ = (("no_alloc", ctypes.c_bool), ("context", ctypes.POINTER(ctypes.c_void_p)))


def load_directions(path: Path) -> FloatArray:
    """What llama.cpp would hand to `llama_set_adapter_cvec`: row 0 is for block 1, and so on."""
    gguf = _Gguf()
    with gguf.open(path) as (file, tensors):
        count = gguf.count(file)
        rows: dict[int, FloatArray] = {}
        for at in range(count):
            name = gguf.name(file, at)
            number = _number(name)
            tensor = gguf.tensor(tensors, name)
            if gguf.type(file, at) != _F32:
                raise Refused(f"{name!r} is not F32")
            if gguf.dimensions(tensor) != 1:
                raise Refused(f"{name!r} is not of one dimension")
            values = np.ctypeslib.as_array(gguf.data(tensor), (gguf.elements(tensor),)).copy()
            if rows and values.size != next(iter(rows.values())).size:
                raise Refused(f"{name!r} is of another width")
            rows[number] = rows.get(number, 0) + values
    if not rows:
        raise Refused("there is no direction")
    width = next(iter(rows.values())).size
    table = np.zeros((max(rows), width), dtype=np.float32)
    for number, row in rows.items():
        table[number - 1] += row
    return table


def _number(name: bytes) -> int:
    """As `std::stoi` reads what follows the first dot."""
    head, dot, tail = name.partition(b".")
    match = re.match(rb"\s*[+-]?\d+", tail)
    if not dot or head != b"direction" or match is None:
        raise Refused(f"{name!r} is no direction")
    number = int(match[0])
    if number < 1:
        raise Refused(f"{name!r} is for no block that can be reached")
    return number


class _Gguf:
    """The functions of llama.cpp's GGUF reader that its loader calls."""

    def __init__(self) -> None:
        library = open_library()
        self._init = library.function("gguf_init_from_file", _POINTER, ctypes.c_char_p, _Settings)
        self._free = library.function("gguf_free", None, _POINTER)
        self._free_tensors = library.function("ggml_free", None, _POINTER)
        self.count = library.function("gguf_get_n_tensors", _COUNT, _POINTER)
        self.name = library.function("gguf_get_tensor_name", ctypes.c_char_p, _POINTER, _COUNT)
        self.type = library.function("gguf_get_tensor_type", _INT, _POINTER, _COUNT)
        self.tensor = library.function("ggml_get_tensor", _POINTER, _POINTER, ctypes.c_char_p)
        self.dimensions = library.function("ggml_n_dims", _INT, _POINTER)
        self.elements = library.function("ggml_nelements", _COUNT, _POINTER)
        self.data = library.function("ggml_get_data_f32", ctypes.POINTER(ctypes.c_float), _POINTER)

    @contextlib.contextmanager
    def open(self, path: Path) -> Iterator[tuple[Any, Any]]:
        tensors = ctypes.c_void_p()
        file = self._init(str(path).encode(), _Settings(False, ctypes.pointer(tensors)))
        if not file:
            raise Refused("it is no GGUF file")
        try:
            yield file, tensors
        finally:
            self._free(file)
            self._free_tensors(tensors)


@contextlib.contextmanager
def control_vector(machine: LlamaMachine, table: FloatArray, scale: float = 1.0) -> Iterator[None]:
    """The model under a control vector set as llama.cpp's programs set it, past everything of Trimtab's."""
    machine.install(NOTHING)  # what the engine had set itself, it would take away later
    native = machine._native
    put = native.library.function(
        "llama_set_adapter_cvec", ctypes.c_int32,
        _POINTER, _POINTER, ctypes.c_size_t, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32,
    )  # fmt: skip
    layers, width = machine.info.layers, table.shape[1]
    # A shorter buffer would leave what an earlier one set at later blocks.
    values = np.zeros((layers - 1, width), dtype=np.float32)
    values[: len(table)] = table * np.float32(scale)
    assert put(native.context, values.ctypes.data, values.size, width, 1, layers) == 0
    try:
        yield
    finally:
        put(native.context, None, 0, width, 0, 0)
