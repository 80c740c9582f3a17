"""What a plan does to the rows of each layer, in compiled code or, without a compiler's output, in numpy."""

from __future__ import annotations

import ctypes
import functools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trimtab.engine.joint import JointSolver
from trimtab.engine.machine import Readings
from trimtab.engine.plan import Plan
from trimtab.engine.program import MAX_ROWS_PER_LAYER

FloatArray = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]

ABI = 1
NODES, NAME_LENGTH = 8, 64

_ROWS = MAX_ROWS_PER_LAYER
_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")


class Kernel:
    """Carries out plans on rows of hidden states and keeps readings of what it did."""

    def __init__(self, layers: int, width: int, *, native: bool = True) -> None:
        self.layers = layers
        self.width = width
        self.library = library() if native else None
        self._plan = Plan(fingerprint="")
        self._active: tuple[int, ...] = ()
        self._solvers: dict[int, JointSolver] = {}
        self._watches: dict[int, _Watches] = {}
        self._shifts: dict[int, FloatArray] = {}
        self._watched = np.full(1, np.nan)
        self._coefficients = np.zeros((layers, _ROWS))
        self._missed = np.zeros((layers, _ROWS), dtype=np.int64)
        self._shortfall = np.zeros((layers, _ROWS))
        self._positions = np.zeros(layers, dtype=np.int64)
        self._moved = np.zeros(layers, dtype=np.int64)
        self._norm_sum = np.zeros(layers)
        self._norm_max = np.zeros(layers)
        self._norm_last = np.zeros(layers)
        self._scalars = np.zeros((3, layers, _ROWS))
        """Biases, targets, strengths."""
        self._order = np.zeros((layers, _ROWS), dtype=np.int32)
        self._order_counts = np.zeros(layers, dtype=np.int32)
        self._scratch = np.zeros(width)
        self._table = (LayerStruct * layers)()
        self._packed: dict[int, tuple[npt.NDArray[Any], ...]] = {}
        self.state = self._make_state()
        """What the compiled code reads and writes; it points into this object's arrays."""

    @property
    def native(self) -> bool:
        return self.library is not None

    @property
    def active(self) -> tuple[int, ...]:
        """The layers at which the installed plan reads or changes something."""
        return self._active

    def install(self, plan: Plan) -> None:
        """From now on rows are treated under this plan; readings begin anew."""
        wanted = plan.layers
        for layer in self._active:
            if layer not in wanted:
                self._table[layer].active = 0
        self._solvers = {
            layer: JointSolver(rows, self._solvers.get(layer)) for layer, rows in plan.raises.items()
        }
        self._shifts = {
            layer: np.ascontiguousarray(shift, dtype=np.float32) for layer, shift in plan.shifts.items()
        }
        if plan.watches != self._plan.watches:
            self._watches = _by_layer(plan)
        self._plan = plan
        self._active = wanted
        self._watched = np.full(max(1, len(plan.watches)), np.nan)
        self.state.watched = _address(self._watched)
        self._coefficients.fill(0.0)
        for layer in wanted:
            self._pack(layer)
        self._reset()

    def apply(self, layer: int, rows: FloatArray | int, count: int | None = None) -> bool:
        """Treats rows in place, an array of shape (rows, width) or the address of `count` rows.

        Answers whether any row was changed.
        """
        if isinstance(rows, int):
            count = count or 0
            if self.library is not None:
                return bool(self.library.tt_apply(ctypes.byref(self.state), layer, rows, count))
            rows = rows_at(rows, count, self.width)
        elif rows.dtype != np.float32 or not rows.flags.c_contiguous or rows.shape[1:] != (self.width,):
            raise ValueError(f"rows are C-contiguous float32 of shape (n, {self.width})")
        if self.library is not None:
            return bool(self.library.tt_apply(ctypes.byref(self.state), layer, _address(rows), len(rows)))
        return self._apply(layer, rows) if layer in self._active and len(rows) else False

    def readings(self) -> Readings:
        """What was noted since the last call of this or of `install`."""
        missed = {
            (int(layer), int(row)): (int(self._missed[layer, row]), float(self._shortfall[layer, row]))
            for layer, row in np.argwhere(self._missed)
        }
        readings = Readings(
            positions=self._positions.copy(),
            moved=self._moved.copy(),
            norm_sum=self._norm_sum.copy(),
            norm_max=self._norm_max.copy(),
            norm_last=self._norm_last.copy(),
            watched=self._watched[: len(self._plan.watches)].copy(),
            missed=missed,
        )
        self._reset()
        return readings

    def deltas(self) -> dict[int, FloatArray]:
        """By layer with a raise, the shift that the raise gave to the last row."""
        return {
            layer: (self._coefficients[layer, : rows.rows] @ rows.weights).astype(np.float32)
            for layer, rows in self._plan.raises.items()
        }

    def _reset(self) -> None:
        for noted in (
            self._positions, self._moved, self._norm_sum, self._norm_max, self._norm_last,
            self._missed, self._shortfall,
        ):  # fmt: skip
            noted.fill(0)

    def _apply(self, layer: int, rows: FloatArray) -> bool:
        """The same as the compiled code, in numpy."""
        shift, solver, watches = (
            self._shifts.get(layer), self._solvers.get(layer), self._watches.get(layer),
        )  # fmt: skip
        if shift is not None:
            rows += shift
        still = float(np.linalg.norm(shift.astype(np.float64))) if shift is not None else 0.0
        norms = np.full(len(rows), still)
        raised = np.zeros(0, dtype=np.int64)
        if solver is not None:
            raised = self._raise(layer, solver, rows, norms, shift)
        self._positions[layer] += len(rows)
        self._moved[layer] += np.count_nonzero(norms)
        self._norm_sum[layer] += norms.sum()
        self._norm_max[layer] = max(self._norm_max[layer], norms.max())
        self._norm_last[layer] = norms[-1]
        if watches is not None:
            self._watched[watches.slots] = watches.logits(rows[-1])
        return shift is not None or bool(raised.size)

    def _raise(
        self, layer: int, solver: JointSolver, rows: FloatArray, norms: Float64Array, shift: FloatArray | None
    ) -> npt.NDArray[np.int64]:
        k = solver.rows.rows
        residuals = solver.residuals(solver.logits(rows))
        raised = np.flatnonzero((residuals > 0).any(axis=1))
        self._coefficients[layer, :k] = 0.0
        if not raised.size:
            return raised
        multipliers, report = solver.solve(residuals[raised])
        deltas = solver.shifts(multipliers)
        rows[raised] = (rows[raised] + deltas).astype(np.float32)
        norms[raised] = np.linalg.norm(deltas if shift is None else deltas + shift, axis=1)
        if report.limited.any():
            self._missed[layer, :k] += np.count_nonzero(report.shortfall, axis=0)
            np.maximum(
                self._shortfall[layer, :k], report.shortfall.max(axis=0), out=self._shortfall[layer, :k]
            )
        if raised[-1] == len(rows) - 1:
            self._coefficients[layer, :k] = solver.coefficients(multipliers[-1])
        return raised

    def _pack(self, layer: int) -> None:
        """Fills the compiled code's entry for one layer."""
        entry = self._table[layer]
        solver, shift, watches = (
            self._solvers.get(layer), self._shifts.get(layer), self._watches.get(layer),
        )  # fmt: skip
        rows = solver.rows if solver is not None else None
        if rows is None or rows.rows != entry.rows:
            self._order_counts[layer] = 0
        entry.active = 1
        entry.shift = _address(shift)
        entry.rows = rows.rows if rows is not None else 0
        entry.watches = len(watches.slots) if watches is not None else 0
        packed: list[npt.NDArray[Any]] = []
        if solver is not None and rows is not None:
            for into, values in zip(self._scalars, (rows.biases, rows.targets, rows.strengths), strict=True):
                into[layer, : rows.rows] = values
            square = (solver.gram, solver.factor, solver.projection)
            weights, gram, factor, projection = map(np.ascontiguousarray, (rows.weights, *square))
            packed += [weights, gram, factor, projection]
            entry.weights, entry.gram, entry.factor = _address(weights), _address(gram), _address(factor)
            entry.projection = None if solver.independent else _address(projection)
            entry.least_ridge = solver.least_ridge
            entry.cap = rows.cap or 0.0
        if watches is not None:
            entry.watch_weights = _address(watches.weights)
            entry.watch_biases = _address(watches.biases)
            entry.watch_slots = _address(watches.slots)
        self._packed[layer] = tuple(packed)

    def _make_state(self) -> StateStruct:
        return StateStruct(
            layers=self.layers,
            width=self.width,
            table=ctypes.addressof(self._table),
            biases=_address(self._scalars[0]),
            targets=_address(self._scalars[1]),
            strengths=_address(self._scalars[2]),
            coefficients=_address(self._coefficients),
            missed=_address(self._missed),
            shortfall=_address(self._shortfall),
            order=_address(self._order),
            counts=_address(self._order_counts),
            positions=_address(self._positions),
            moved=_address(self._moved),
            norm_sum=_address(self._norm_sum),
            norm_max=_address(self._norm_max),
            norm_last=_address(self._norm_last),
            watched=_address(self._watched),
            scratch=_address(self._scratch),
        )


class LayerStruct(ctypes.Structure):
    """`tt_layer` of _hook.c."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("active", "rows", "watches", "padding")),
        *((name, ctypes.c_void_p) for name in ("shift", "weights", "gram", "factor", "projection")),
        *((name, ctypes.c_double) for name in ("least_ridge", "cap")),
        *((name, ctypes.c_void_p) for name in ("watch_weights", "watch_biases", "watch_slots")),
    ]


class StateStruct(ctypes.Structure):
    """`tt_state` of _hook.c."""

    _fields_ = [
        ("layers", ctypes.c_int32),
        ("width", ctypes.c_int32),
        *(
            (name, ctypes.c_void_p)
            for name in (
                "table", "biases", "targets", "strengths", "coefficients", "missed", "shortfall", "order",
                "counts", "positions", "moved", "norm_sum", "norm_max", "norm_last", "watched", "scratch",
            )
        ),
    ]  # fmt: skip


class HookStruct(ctypes.Structure):
    """`tt_hook` of _hook.c."""

    _fields_ = [
        *(
            (name, ctypes.c_void_p)
            for name in (
                "kernel", "get_name", "row_count", "element_count", "is_contiguous", "dimensions",
                "get", "set", "edit", "buffer",
            )
        ),
        ("max_rows", ctypes.c_int64),
        ("captures", ctypes.c_void_p),
        ("captured", ctypes.c_void_p),
        ("capacity", ctypes.c_int64),
        ("seen", ctypes.c_void_p),
        ("nodes", (ctypes.c_char * NAME_LENGTH) * NODES),
        ("node_seen", ctypes.c_int32 * NODES),
        ("node_edited", ctypes.c_int32 * NODES),
        ("node_count", ctypes.c_int32),
        ("mode", ctypes.c_int32),
        ("error", ctypes.c_int32),
        ("error_layer", ctypes.c_int32),
        ("error_value", ctypes.c_int64),
    ]  # fmt: skip


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled code, or None where it was not built or belongs to another version."""
    path = Path(__file__).with_name(f"_hook{_SUFFIX}")
    try:
        found = ctypes.CDLL(str(path))
        found.tt_abi.restype = ctypes.c_int64
        abi = found.tt_abi()
    except (OSError, AttributeError):
        return None
    sizes = [ctypes.sizeof(struct) for struct in (LayerStruct, StateStruct, HookStruct)]
    if abi != ABI + 10**3 * sizes[0] + 10**6 * sizes[1] + 10**9 * sizes[2]:
        return None
    found.tt_apply.argtypes = [ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64]
    found.tt_apply.restype = ctypes.c_int32
    return found


def rows_at(address: int, count: int, width: int) -> FloatArray:
    """The float32 rows at an address, not copied."""
    block = (ctypes.c_float * (count * width)).from_address(address)
    return np.ctypeslib.as_array(block).reshape(count, width)


class _Watches:
    """The probes watched at one layer."""

    def __init__(self, weights: FloatArray, biases: Float64Array, slots: npt.NDArray[np.int32]) -> None:
        self.weights = weights
        self.biases = biases
        self.slots = slots
        self._wide = weights.astype(np.float64)

    def logits(self, row: FloatArray) -> Float64Array:
        return np.asarray(self._wide @ row.astype(np.float64) + self.biases)


def _by_layer(plan: Plan) -> dict[int, _Watches]:
    found: dict[int, _Watches] = {}
    for layer in sorted({watch.layer for watch in plan.watches}):
        here = [(slot, watch.probe) for slot, watch in enumerate(plan.watches) if watch.layer == layer]
        found[layer] = _Watches(
            np.stack([probe.weight.values for _, probe in here]),
            np.array([probe.bias for _, probe in here], dtype=np.float64),
            np.array([slot for slot, _ in here], dtype=np.int32),
        )
    return found


def _address(array: npt.NDArray[Any] | None) -> int | None:
    return None if array is None else int(array.ctypes.data)
