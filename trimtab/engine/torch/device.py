"""Steering in buffers on the device: a captured step reads them, so a moved dial only refills them."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trimtab.engine.contract import FloatArray
from trimtab.engine.kernel import Kernel
from trimtab.engine.machine import Readings
from trimtab.engine.plan import Plan
from trimtab.engine.program import MAX_ROWS_PER_LAYER
from trimtab.engine.torch.joint import MOST_ROWS, JointBuffers, capacity

_POSITIONS, _MOVED, _SUM, _MAX, _LAST = range(5)
_CHUNK = 128
"""How many positions are solved at once: the sets of ten rows take 80 KB for each position."""
_WATCHES = 16


class DeviceSteering:
    """Pure PyTorch; what it notes stays on the device until `readings` fetches all in one copy.

    A layer with more rows than can be enumerated goes over to the kernel on the host and back.
    """

    def __init__(self, layers: int, width: int, device: torch.device, kernel: Kernel) -> None:
        self._layers, self._width, self._device = layers, width, device
        self._kernel = kernel
        self._plan = Plan(fingerprint="")
        self._shifts = torch.zeros((layers, width), device=device)
        self._deltas = torch.zeros((layers, width), device=device)
        self._joints: dict[tuple[int, int], JointBuffers] = {}
        self._active: dict[int, JointBuffers] = {}
        self._hosted: frozenset[int] = frozenset()
        self._watching: dict[int, slice] = {}
        self._order: list[int] = []
        self._passing = torch.zeros((layers, 4), dtype=torch.float64, device=device)
        """Of the pass that runs: positions moved, the sum of norms, the largest and the last."""
        self._passed = torch.zeros(layers, dtype=torch.float64, device=device)
        """One where a layer is active."""
        self._make_notes(_WATCHES)

    def install(self, plan: Plan) -> None:
        self._plan = plan
        self._hosted = frozenset(n for n, raised in plan.raises.items() if raised.rows > MOST_ROWS)
        self._kernel.install(plan)
        for layer in plan.layers:
            vector = plan.shifts.get(layer)
            if vector is None:
                self._shifts[layer].zero_()
            else:
                self._shifts[layer].copy_(torch.from_numpy(np.ascontiguousarray(vector)))
        self._active = {}
        for layer, raised in plan.raises.items():
            if layer not in self._hosted:
                key = layer, capacity(raised.rows)
                if key not in self._joints:
                    self._joints[key] = JointBuffers(raised.rows, self._width, self._device)
                self._joints[key].load(raised)
                self._active[layer] = self._joints[key]
        self._install_watches(plan)
        here = np.zeros(self._layers)
        here[[layer for layer in plan.layers if layer not in self._hosted]] = 1.0
        self._passed.copy_(torch.from_numpy(here))
        self._passing.zero_()
        self._notes.zero_()
        self._watched.fill_(torch.nan)

    def shape(self) -> Hashable | None:
        if self._hosted:
            return None
        raised = tuple((layer, joint.shape) for layer, joint in sorted(self._active.items()))
        shifted = tuple(sorted(self._plan.shifts))
        watched = tuple((layer, at.start, at.stop) for layer, at in self._watching.items())
        return shifted, raised, watched, len(self._watch_biases)

    def apply(self, layer: int, states: Tensor) -> None:
        if layer in self._hosted:
            rows = states.float().reshape(-1, self._width).cpu().contiguous()
            self._kernel.apply(layer, rows.numpy())
            states.copy_(rows.view(states.shape))
            return
        rows = states.reshape(-1, self._width).float()
        change = self._change(layer, rows)
        if change is not None:
            norms = torch.linalg.vector_norm(change, dim=1)
            self._passing[layer].copy_(norms if len(norms) == 1 else _sums(norms))
            rows = rows + change
            states.copy_(rows.view(states.shape))
        at = self._watching.get(layer)
        if at is not None:
            self._watched[at].copy_(torch.addmv(self._watch_biases[at], self._watch_weights[at], rows[-1]))

    def finish(self, count: int) -> None:
        """Adds what a pass of `count` positions noted at all its layers, at once."""
        counts, sums, most, last = self._passing.unbind(1)
        self._stats[:, _POSITIONS].add_(self._passed, alpha=count)
        self._stats[:, _MOVED].add_(counts.sign() if count == 1 else counts)
        self._stats[:, _SUM].add_(sums)
        self._stats[:, _MAX].copy_(torch.maximum(self._stats[:, _MAX], most))
        self._stats[:, _LAST].copy_(last)

    def _change(self, layer: int, rows: Tensor) -> Tensor | None:
        """What a layer's shift and raise add to f32 rows."""
        joint, shift = self._active.get(layer), None
        if layer in self._plan.shifts:
            shift = self._shifts[layer]
        if joint is None:
            return None if shift is None else shift.expand_as(rows)
        start = rows if shift is None else rows + shift
        solved = [joint.solve(part) for part in torch.split(start, _CHUNK)]
        raised = solved[0][0] if len(solved) == 1 else torch.cat([each for each, _ in solved])
        self._deltas[layer].copy_(raised[-1])
        missed = [short for _, short in solved if short is not None]
        if missed:
            self._note_missed(layer, torch.cat(missed))
        return raised if shift is None else raised + shift

    def readings(self) -> Readings:
        notes = self._notes.cpu().numpy()
        stats, watched, missed = self._split(notes)
        readings = Readings(
            positions=stats[:, _POSITIONS].astype(np.int64),
            moved=stats[:, _MOVED].astype(np.int64),
            norm_sum=stats[:, _SUM].copy(),
            norm_max=stats[:, _MAX].copy(),
            norm_last=stats[:, _LAST].copy(),
            watched=np.full(len(self._order), np.nan),
            missed={
                (int(layer), int(row)): (int(missed[layer, row, 0]), float(missed[layer, row, 1]))
                for layer, row in np.argwhere(missed[:, :, 0] > 0)
            },
        )
        readings.watched[self._order] = watched[: len(self._order)]
        self._stats.zero_()
        self._missed.zero_()
        if self._hosted:
            self._add_hosted(readings)
        return readings

    def deltas(self) -> dict[int, FloatArray]:
        hosted = self._kernel.deltas() if self._hosted else {}
        found = {layer: hosted[layer] for layer in self._hosted}
        if self._active:
            every = self._deltas.cpu().numpy()
            found.update({layer: every[layer].copy() for layer in self._active})
        return found

    def notes(self) -> Tensor:
        """What was noted so far, to be put back by `restore` after passes that should leave no trace."""
        return self._notes.clone()

    def restore(self, notes: Tensor) -> None:
        self._notes.copy_(notes)

    def _make_notes(self, watches: int) -> None:
        size = self._layers * 5 + watches + self._layers * MAX_ROWS_PER_LAYER * 2
        self._notes = torch.zeros(size, dtype=torch.float64, device=self._device)
        self._watch_weights = torch.zeros((watches, self._width), device=self._device)
        self._watch_biases = torch.zeros(watches, device=self._device)
        stats, after = self._layers * 5, self._layers * 5 + watches
        self._stats = self._notes[:stats].view(self._layers, 5)
        self._watched = self._notes[stats:after]
        self._missed = self._notes[after:].view(self._layers, MAX_ROWS_PER_LAYER, 2)

    def _split(
        self, notes: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        stats, after = self._layers * 5, self._layers * 5 + len(self._watch_biases)
        return (
            notes[:stats].reshape(self._layers, 5),
            notes[stats:after],
            notes[after:].reshape(self._layers, MAX_ROWS_PER_LAYER, 2),
        )

    def _install_watches(self, plan: Plan) -> None:
        watches = plan.watches
        if len(watches) > len(self._watch_biases):
            self._make_notes(1 << (len(watches) - 1).bit_length())
        self._order = sorted(range(len(watches)), key=lambda n: watches[n].layer)
        self._watching = {}
        for place, number in enumerate(self._order):
            watch = watches[number]
            self._watch_weights[place].copy_(torch.from_numpy(watch.probe.weight.values.copy()))
            self._watch_biases[place] = watch.probe.bias
            first = self._watching.get(watch.layer, slice(place, place)).start
            self._watching[watch.layer] = slice(first, place + 1)

    def _note_missed(self, layer: int, short: Tensor) -> None:
        note = self._missed[layer, : short.shape[1]]
        note[:, 0] += (short > 0).sum(0)
        note[:, 1] = torch.maximum(note[:, 1], short.amax(0))

    def _add_hosted(self, readings: Readings) -> None:
        """The kernel saw only the hosted layers, so its notes fill what the device left at zero."""
        hosted = self._kernel.readings()
        for field in ("positions", "moved", "norm_sum", "norm_max", "norm_last"):
            into, of = getattr(readings, field), getattr(hosted, field)
            for layer in self._hosted:
                into[layer] = of[layer]
        for number, watch in enumerate(self._plan.watches):
            if watch.layer in self._hosted:
                readings.watched[number] = hosted.watched[number]
        readings.missed.update(hosted.missed)


def _sums(norms: Tensor) -> Tensor:
    """Of many positions: how many moved, the sum of norms, the largest and the last."""
    return torch.stack([(norms > 0).sum(), norms.sum(), norms.amax(), norms[-1]])
