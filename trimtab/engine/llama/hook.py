"""The eval callback through which llama.cpp's nodes are read, steered, captured and edited."""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trimtab.engine.kernel import NAME_LENGTH, NODES, HookStruct, Kernel, rows_at
from trimtab.errors import EngineError

FloatArray = npt.NDArray[np.float32]
Edit = Callable[[FloatArray], None]
"""Changes the rows of a node, shape (rows, width), in place."""


class Mode(enum.IntFlag):
    """What the callback does; more than one may be on."""

    IDLE = 0
    LOOK = 1
    STEER = 2
    CAPTURE = 4
    EDIT = 8


@dataclass(frozen=True)
class Seen:
    """Which nodes passed while the hook looked, and what is wrong with those that cannot be used."""

    layers: tuple[int, ...]
    """The layers whose output can be read and written."""
    nodes: tuple[str, ...]
    """The named nodes that can."""
    problems: Mapping[str, str]


GGML_FUNCTIONS = (
    "ggml_get_name",
    "ggml_nrows",
    "ggml_nelements",
    "ggml_is_contiguous",
    "ggml_n_dims",
    "ggml_backend_tensor_get",
    "ggml_backend_tensor_set",
)
_PROBLEMS = {
    1: "is not f32",
    2: "is not contiguous",
    3: "does not have the model's width",
    4: "has more rows than the hook has room for",
    5: "brought more rows than were to be captured",
    6: "could not be edited",
}

_EVAL = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_bool, ctypes.c_void_p)
_EDIT = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64)


class Hook:
    """One context's eval callback: pass `callback` and `user_data` when the context is made.

    `ggml` holds the addresses of `GGML_FUNCTIONS`, found through the loaded libllama: opening libggml-base once
    more could map a second copy of it. `max_rows` is the context's micro-batch.
    It never signals through what it returns, for llama.cpp would go on with garbage: `error` tells after a decode.
    """

    def __init__(
        self,
        kernel: Kernel,
        ggml: Mapping[str, int],
        max_rows: int,
        *,
        nodes: Sequence[str] = ("result_norm",),
    ) -> None:
        self._kernel = kernel
        self._buffer = np.zeros((max_rows, kernel.width), dtype=np.float32)
        self._captures: dict[int, FloatArray] = {}
        self._capture_table = (ctypes.c_void_p * kernel.layers)()
        self._captured = np.zeros(kernel.layers, dtype=np.int64)
        self._seen = np.zeros(kernel.layers, dtype=np.int32)
        self._edits: dict[int, Edit] = {}
        self._raised: BaseException | None = None
        self._edit_callback = _EDIT(self._edit)
        self._state = HookStruct(
            kernel=ctypes.addressof(kernel.state),
            get_name=ggml["ggml_get_name"],
            row_count=ggml["ggml_nrows"],
            element_count=ggml["ggml_nelements"],
            is_contiguous=ggml["ggml_is_contiguous"],
            dimensions=ggml["ggml_n_dims"],
            get=ggml["ggml_backend_tensor_get"],
            set=ggml["ggml_backend_tensor_set"],
            edit=_function_address(self._edit_callback),
            buffer=self._buffer.ctypes.data,
            max_rows=max_rows,
            captures=ctypes.addressof(self._capture_table),
            captured=self._captured.ctypes.data,
            seen=self._seen.ctypes.data,
        )
        for name in nodes:
            self._node(name)
        if kernel.library is not None:
            self.callback = ctypes.cast(kernel.library.tt_eval, _EVAL)
        else:
            self._fallback = _Fallback(kernel, self._state, ggml, self._edit)
            self.callback = _EVAL(self._fallback.eval)
        self.user_data = ctypes.addressof(self._state)

    @property
    def native(self) -> bool:
        return self._kernel.native

    @property
    def mode(self) -> Mode:
        return Mode(self._state.mode)

    @mode.setter
    def mode(self, mode: Mode) -> None:
        if mode & Mode.LOOK and not self.mode & Mode.LOOK:
            self._seen.fill(0)
            self._state.node_seen = (ctypes.c_int32 * NODES)()
        self._state.mode = int(mode)

    def look(self) -> Seen:
        """What passed since the mode took in `LOOK`."""
        layers = {f"l_out-{layer}": int(found) for layer, found in enumerate(self._seen)}
        nodes = {
            self._state.nodes[node].value.decode(): int(self._state.node_seen[node])
            for node in range(self._state.node_count)
        }
        return Seen(
            layers=tuple(layer for layer, found in enumerate(self._seen) if found == 1),
            nodes=tuple(name for name, found in nodes.items() if found == 1),
            problems={name: _PROBLEMS[found - 1] for name, found in (layers | nodes).items() if found > 1},
        )

    def capture(self, layers: Iterable[int], capacity: int) -> None:
        """From now on, in mode `CAPTURE`, keeps up to `capacity` rows of each of these layers, as steered."""
        self._captures = {
            layer: np.empty((capacity, self._kernel.width), dtype=np.float32) for layer in layers
        }
        self._state.capacity = capacity
        for layer in range(self._kernel.layers):
            rows = self._captures.get(layer)
            self._capture_table[layer] = None if rows is None else rows.ctypes.data
        self.rewind()

    def rewind(self) -> None:
        """Forgets the rows captured, to capture anew into the same room."""
        self._captured.fill(0)

    def captured(self) -> dict[int, FloatArray]:
        """By layer the rows captured so far, in the order they passed; not copied."""
        return {layer: rows[: self._captured[layer]] for layer, rows in self._captures.items()}

    def edit(self, node: str, change: Edit | None) -> None:
        """In mode `EDIT`, `change` is called with the rows of the node named so; None stops that."""
        number = self._node(node)
        if change is None:
            self._edits.pop(number, None)
        else:
            self._edits[number] = change
        self._state.node_edited[number] = change is not None

    def error(self) -> EngineError | None:
        """What went wrong since this was asked last: what was decoded then is not to be trusted."""
        code, raised = self._state.error, self._raised
        self._state.error, self._raised = 0, None
        if not code:
            return None
        layer, value = self._state.error_layer, self._state.error_value
        name = f"l_out-{layer}" if layer >= 0 else "a named node"
        found = EngineError(
            f"Steering failed at {name}: it {_PROBLEMS[code]} ({value}).",
            str(raised) if raised is not None else "Load the model anew; if it stays, report this model.",
        )
        found.__cause__ = raised
        return found

    def _node(self, name: str) -> int:
        count = self._state.node_count
        for node in range(count):
            if self._state.nodes[node].value == name.encode():
                return node
        if count == NODES or len(name) >= NAME_LENGTH:
            raise EngineError(f"The hook has no room for the node {name!r}.")
        self._state.nodes[count].value = name.encode()
        self._state.node_count = count + 1
        return int(count)

    def _edit(self, node: int, address: int, count: int) -> int:
        try:
            self._edits[node](rows_at(address, count, self._kernel.width))
        except BaseException as error:  # noqa: BLE001  an exception must not leave through llama.cpp
            self._raised = self._raised or error
            return 0
        return 1


class _Fallback:
    """The compiled callback's work in Python, on the same state."""

    def __init__(
        self,
        kernel: Kernel,
        state: HookStruct,
        ggml: Mapping[str, int],
        edit: Callable[[int, int, int], int],
    ) -> None:
        self._kernel = kernel
        self._state = state
        self._edit = edit
        self._layers = {f"l_out-{layer}".encode(): layer for layer in range(kernel.layers)}
        pointer, size = ctypes.c_void_p, ctypes.c_size_t

        def function(name: str, result: Any, *arguments: Any) -> Any:
            return ctypes.CFUNCTYPE(result, *arguments)(ggml[name])

        self._name = function("ggml_get_name", ctypes.c_char_p, pointer)
        self._row_count = function("ggml_nrows", ctypes.c_int64, pointer)
        self._element_count = function("ggml_nelements", ctypes.c_int64, pointer)
        self._contiguous = function("ggml_is_contiguous", ctypes.c_bool, pointer)
        self._dimensions = function("ggml_n_dims", ctypes.c_int, pointer)
        self._get = function("ggml_backend_tensor_get", None, pointer, pointer, size, size)
        self._set = function("ggml_backend_tensor_set", None, pointer, pointer, size, size)

    def eval(self, tensor: int, ask: bool, _: int | None) -> bool:
        if ask and not self._state.mode:
            return False
        try:
            name: bytes = self._name(tensor)
            layer = self._layers.get(name, -1)
            if ask:
                return self._wanted(tensor, name, layer)
            self._handle(tensor, name, layer)
        except BaseException:  # noqa: BLE001  an exception must not leave through llama.cpp
            self._fail(6, -1, 0)
        return not ask

    def _wanted(self, tensor: int, name: bytes, layer: int) -> bool:
        mode, state = self._state.mode, self._state
        node = self._node(name) if mode & (Mode.LOOK | Mode.EDIT) else -1
        if mode & Mode.LOOK:
            if layer >= 0:
                ctypes.c_int32.from_address(state.seen + 4 * layer).value = 1 + self._judge(tensor)
            if node >= 0:
                state.node_seen[node] = 1 + self._judge(tensor)
        if node >= 0 and mode & Mode.EDIT and state.node_edited[node]:
            return True
        if layer < 0:
            return False
        steered = mode & Mode.STEER and layer in self._kernel.active
        return bool(steered or (mode & Mode.CAPTURE and self._capture(layer)))

    def _handle(self, tensor: int, name: bytes, layer: int) -> None:
        state, mode, width = self._state, self._state.mode, self._kernel.width
        wrong = self._judge(tensor)
        if wrong:
            self._fail(wrong, layer, self._element_count(tensor))
            return
        count = self._row_count(tensor)
        if count > state.max_rows:
            self._fail(4, layer, count)
            return
        if count <= 0:
            return
        size = count * width * 4
        node = self._node(name) if mode & Mode.EDIT else -1
        changed = False
        self._get(tensor, state.buffer, 0, size)
        if layer >= 0 and mode & Mode.STEER:
            changed = self._kernel.apply(layer, state.buffer, count)
        if node >= 0 and state.node_edited[node]:
            if self._edit(node, state.buffer, count):
                changed = True
            else:
                self._fail(6, layer, node)
        if layer >= 0 and mode & Mode.CAPTURE and self._capture(layer):
            used = ctypes.c_int64.from_address(state.captured + 8 * layer)
            if used.value + count > state.capacity:
                self._fail(5, layer, used.value + count)
            else:
                ctypes.memmove(self._capture(layer) + used.value * width * 4, state.buffer, size)
                used.value += count
        if changed:
            self._set(tensor, state.buffer, 0, size)

    def _judge(self, tensor: int) -> int:
        if ctypes.c_int32.from_address(tensor).value != 0:
            return 1
        if not self._contiguous(tensor):
            return 2
        whole = self._row_count(tensor) * self._kernel.width
        return 3 if self._dimensions(tensor) > 2 or self._element_count(tensor) != whole else 0

    def _capture(self, layer: int) -> int:
        return ctypes.c_void_p.from_address(self._state.captures + 8 * layer).value or 0

    def _node(self, name: bytes) -> int:
        for node in range(self._state.node_count):
            if self._state.nodes[node].value == name:
                return node
        return -1

    def _fail(self, code: int, layer: int, value: int) -> None:
        if not self._state.error:
            self._state.error, self._state.error_layer, self._state.error_value = code, layer, value


def _function_address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0
