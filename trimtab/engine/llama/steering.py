"""Puts a plan in place: through the hook while it is new, through the control vector where it rests."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from trimtab.engine.contract import FloatArray
from trimtab.engine.kernel import Kernel
from trimtab.engine.llama.adapters import Adapters
from trimtab.engine.llama.control import ControlVector
from trimtab.engine.llama.hook import Hook, Mode
from trimtab.engine.llama.sites import Sites
from trimtab.engine.llama.tuning import StateTuner
from trimtab.engine.machine import Readings
from trimtab.engine.plan import Plan

_RESTED = 8
"""After so many decodes under one plan its constant shifts move to the control vector."""

NOTHING = Plan(fingerprint="")


class Steering:
    """What is done to the hidden states of one context, and the readings of it."""

    def __init__(
        self,
        kernel: Kernel,
        hook: Hook,
        control: ControlVector,
        adapters: Adapters,
        tuner: StateTuner,
        sites: Sites,
    ) -> None:
        self._kernel = kernel
        self._hook = hook
        self._control = control
        self._adapters = adapters
        self._tuner = tuner
        self._sites = sites
        self._plan = NOTHING
        self._movable: dict[int, FloatArray] = {}
        self._decodes = 0
        self._rows = self._outputs = 0
        self._norms = np.zeros(kernel.layers)
        self._held: Readings | None = None

    def install(self, plan: Plan) -> None:
        """From now on this plan; readings begin anew."""
        self._adapters.use(plan.adapters)
        self._plan = plan
        self._movable = self._constant(plan) if self._sites.control_vector else {}
        self._decodes = 0
        self._held = None
        if self._control.layers and not self._control.holds(self._movable):
            self._control.clear()
        self._give_to_kernel()
        self._tuner.install([tune for tune in plan.tunes if not tune.linear])
        self._resume()

    def before(self) -> None:
        """To be called before each decode."""
        if not self._movable or self._control.layers:
            return
        if self._decodes == _RESTED:
            self._rest()
        self._decodes += 1

    def after(self, rows: int, outputs: int) -> None:
        """To be called after each decode of so many rows, of which so many made output."""
        self._rows += rows
        self._outputs += outputs

    def readings(self) -> Readings:
        found = self._kernel.readings()
        if self._control.layers:
            self._add_resting(found)
        if self._held is not None:
            found, self._held = _joined(self._held, found), None
        self._rows = self._outputs = 0
        return found

    def deltas(self) -> dict[int, FloatArray]:
        return self._kernel.deltas()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Meanwhile nothing is steered; the plan and its readings come back afterwards."""
        held, self._held = self.readings(), None
        resting = bool(self._control.layers)
        self._hook.mode = Mode.IDLE
        self._control.clear()
        self._adapters.use(())
        try:
            yield
        finally:
            self._adapters.use(self._plan.adapters)
            if resting:
                self._decodes = 0
                self._give_to_kernel()
            self._resume()
            self._rows = self._outputs = 0
            self._held = held

    @contextmanager
    def instead(self, plan: Plan) -> Iterator[None]:
        """Meanwhile another plan; the first and its readings come back afterwards."""
        before, held = self._plan, self.readings()
        try:
            self.install(plan)
            yield
        finally:
            self.install(before)
            self._held = held

    def _constant(self, plan: Plan) -> dict[int, FloatArray]:
        """The shifts at layers where nothing is measured, which so need no hook."""
        measured = {*plan.raises, *(watch.layer for watch in plan.watches)}
        return {layer: shift for layer, shift in plan.shifts.items() if layer and layer not in measured}

    def _rest(self) -> None:
        """Moves what is constant to the control vector, keeping what was read until now."""
        held = self.readings()
        if self._control.put(self._movable):
            self._give_to_kernel()
            self._resume()
        else:
            self._movable = {}
        self._held = held

    def _give_to_kernel(self) -> None:
        """All of the plan but what the control vector does."""
        resting = self._control.layers
        left = {layer: shift for layer, shift in self._plan.shifts.items() if layer not in resting}
        self._norms.fill(0.0)
        for layer in resting:
            self._norms[layer] = np.linalg.norm(self._plan.shifts[layer].astype(np.float64))
        self._kernel.install(dataclasses.replace(self._plan, shifts=left))
        self._rows = self._outputs = 0

    def _resume(self) -> None:
        steer = Mode.STEER if self._kernel.active else Mode.IDLE
        self._hook.mode = steer | (Mode.EDIT if self._tuner.busy else Mode.IDLE)

    def _add_resting(self, readings: Readings) -> None:
        """The control vector's shifts are not measured but known."""
        last = self._kernel.layers - 1
        for layer in self._control.layers:
            rows = self._outputs if layer == last and self._sites.last_is_outputs else self._rows
            if not rows:
                continue
            norm = float(self._norms[layer])
            readings.positions[layer] += rows
            readings.moved[layer] += rows
            readings.norm_sum[layer] += rows * norm
            readings.norm_max[layer] = max(readings.norm_max[layer], norm)
            readings.norm_last[layer] = norm


def _joined(first: Readings, second: Readings) -> Readings:
    seen = second.positions > 0
    missed: dict[tuple[int, int], tuple[int, float]] = dict(first.missed)
    for place, (times, by) in second.missed.items():
        before = missed.get(place, (0, 0.0))
        missed[place] = before[0] + times, max(before[1], by)
    return Readings(
        positions=first.positions + second.positions,
        moved=first.moved + second.moved,
        norm_sum=first.norm_sum + second.norm_sum,
        norm_max=np.maximum(first.norm_max, second.norm_max),
        norm_last=np.where(seen, second.norm_last, first.norm_last),
        watched=np.where(np.isnan(second.watched), first.watched, second.watched),
        missed=missed,
    )
