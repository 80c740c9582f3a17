"""Tunes that need the hidden state: gradient steps on it, in the middle of llama.cpp's forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from trimtab.engine import math, tuning
from trimtab.engine.contract import FloatArray
from trimtab.engine.llama.hook import Hook
from trimtab.engine.llama.sites import FINAL, Sites
from trimtab.engine.program import Tune
from trimtab.errors import ProgramError

_KEPT = 64


class StateTuner:
    """Edits the rows that make output, before the final norm or after it."""

    def __init__(
        self,
        hook: Hook,
        sites: Sites,
        unembed: Callable[[Sequence[int]], FloatArray],
        softcap: float,
        layers: int,
        outputs: Callable[[], Sequence[int]],
    ) -> None:
        self._hook = hook
        self._sites = sites
        self._unembed = unembed
        self._softcap = softcap
        self._last = f"l_out-{layers - 1}"
        self._outputs = outputs
        self._objectives: dict[tuple[object, ...], tuning.Objective] = {}
        self._tunes: tuple[Tune, ...] = ()

    @property
    def busy(self) -> bool:
        return bool(self._tunes)

    def install(self, tunes: Sequence[Tune]) -> None:
        """From now on these, in turn: those before the norm, then those after it."""
        self._tunes = tuple(tunes)
        for node, site in ((self._last, "prenorm"), (FINAL, "normed")):
            here = [tune for tune in tunes if tune.site == site]
            self._hook.edit(node, self._editor(here) if here else None)

    def _editor(self, tunes: Sequence[Tune]) -> Callable[[FloatArray], None]:
        prepared = [(tune, self._objective(tune), self._hold(tune)) for tune in tunes]

        def change(rows: FloatArray) -> None:
            # Where all rows come by, only those that make output are worth the steps.
            outputs = self._outputs()
            chosen = slice(None) if len(rows) == len(outputs) else list(outputs)
            states = rows[chosen].astype(np.float64)
            for tune, objective, hold in prepared:
                states = math.tune_states(
                    states, objective, step=tune.step, steps=tune.steps, penalty=tune.penalty, hold=hold
                )
            rows[chosen] = states

        return change

    def _hold(self, tune: Tune) -> float | None:
        """Phi is read off the logits, so a hold on it counts the head's scale."""
        if tune.hold is None or tune.objective != "phi":
            return tune.hold
        return tune.hold / self._sites.head_scale

    def _objective(self, tune: Tune) -> tuning.Objective:
        key = tune.anchors, tune.objective, tune.site
        if key not in self._objectives:
            if len(self._objectives) >= _KEPT:
                del self._objectives[next(iter(self._objectives))]
            self._objectives[key] = self._make(tune)
        return self._objectives[key]

    def _make(self, tune: Tune) -> tuning.Objective:
        anchors, norm = tune.anchors, None
        if tune.site == "prenorm":
            norm = self._sites.norm
            if norm is None:
                raise ProgramError(
                    f"{tune.title} needs a final norm that is known.", "Use the site after the norm."
                )
        split = len(anchors.positive)
        rows = self._unembed(anchors.positive + anchors.negative).astype(np.float64)
        if tune.objective == "phi":
            direction = math.anchor_direction(
                rows[:split], rows[split:], anchors.positive_weights, anchors.negative_weights
            )
            return tuning.Phi(direction, norm)
        scale, bias = self._sites.head_scale, self._sites.head_bias
        constants = (
            None if bias is None else bias[list(anchors.positive + anchors.negative)].astype(np.float64)
        )
        return tuning.LogOdds(
            positive=rows[:split] * scale,
            negative=rows[split:] * scale,
            positive_weights=anchors.positive_weights,
            negative_weights=anchors.negative_weights,
            norm=norm,
            positive_bias=None if constants is None else constants[:split],
            negative_bias=None if constants is None else constants[split:],
            softcap=self._softcap,
        )
