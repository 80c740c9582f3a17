"""Tunes by gradient steps on the final hidden state: the reference for every closed form."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trimtab.engine.program import Anchors, Tune
from trimtab.engine.torch.families import Anatomy

_LAST_STEP_TRIES = 12


class Objective:
    """What a tune raises, as a function of the state after the final norm."""

    def __init__(self, anatomy: Anatomy, tune: Tune) -> None:
        self._anatomy = anatomy
        self._kind = tune.objective
        anchors = tune.anchors
        tokens = torch.tensor(anchors.positive + anchors.negative, device=anatomy.weight.device)
        self._rows = anatomy.weight.detach()[tokens].float()
        bias = anatomy.bias
        self._bias = torch.zeros_like(self._rows[:, 0]) if bias is None else bias.detach()[tokens].float()
        self._split = len(anchors.positive)
        self._shares = _shares(anchors, self._rows)
        weights = anchors.positive_weights + anchors.negative_weights
        self._logs = torch.tensor(weights, device=self._rows.device).log()

    def __call__(self, normed: Tensor) -> Tensor:
        """Of states (n, width): the objective of each, (n,)."""
        products = normed @ self._rows.T
        if self._kind == "phi":
            return products @ self._shares
        logits = (products + self._bias) * self._anatomy.scale
        if self._anatomy.softcap:
            logits = self._anatomy.softcap * torch.tanh(logits / self._anatomy.softcap)
        logits = logits + self._logs
        positive, negative = logits[:, : self._split], logits[:, self._split :]
        return positive.logsumexp(1) - negative.logsumexp(1)

    def reading(self, objective: Tensor) -> Tensor:
        """The objective in the units of a hold: phi is read off the logits, so the head's scale counts."""
        return objective * self._anatomy.scale if self._kind == "phi" else objective


class Tuner:
    """Carries out tunes; keeps what it needs of each between tokens."""

    def __init__(self, anatomy: Anatomy) -> None:
        self._anatomy = anatomy
        with torch.inference_mode(False):
            self._norm = copy.deepcopy(anatomy.norm).float().requires_grad_(False)
        """In f32 whatever the model's type, since small steps are lost in bf16."""
        self._objectives: dict[tuple[Anchors, str], Objective] = {}

    def normed(self, last: Tensor, normed: Tensor, tunes: Sequence[Tune]) -> Tensor:
        """The states after the final norm, tuned: first at the site before the norm, then after it.

        Both of shape (n, width); `last` is the last block's output.
        """
        before = [tune for tune in tunes if tune.site == "prenorm"]
        after = [tune for tune in tunes if tune.site == "normed"]
        if before:
            state = _plain(last)
            for tune in before:
                state = self._climb(tune, state, through_norm=True)
            with torch.no_grad():
                normed = self._norm(state).to(normed.dtype)
        state = _plain(normed)
        for tune in after:
            state = self._climb(tune, state, through_norm=False)
        return state.to(normed.dtype) if after else normed

    def forget(self) -> None:
        self._objectives.clear()

    def _climb(self, tune: Tune, start: Tensor, *, through_norm: bool) -> Tensor:
        """`steps` steps of gradient ascent, or as many as bring the objective to the hold."""
        objective = self._objective(tune)

        def aim(state: Tensor) -> Tensor:
            return objective(self._norm(state) if through_norm else state)

        state = start
        left = torch.ones_like(start[:, :1])
        for _ in range(tune.steps):
            leaf = state.detach().requires_grad_()
            with torch.enable_grad():
                value = aim(leaf)
                (rise,) = torch.autograd.grad(value.sum(), leaf)
            change = tune.step * (rise - 2 * tune.penalty * (state - start))
            if tune.hold is not None:
                share = left * _share(state, change, lambda at: objective.reading(aim(at)), tune.hold)
                change, left = share * change, (share == 1.0).float()
                if not bool(share.any()):
                    break
            state = state + change
        return state

    def _objective(self, tune: Tune) -> Objective:
        key = tune.anchors, tune.objective
        if key not in self._objectives:
            self._objectives[key] = Objective(self._anatomy, tune)
        return self._objectives[key]


@torch.no_grad()
def _share(state: Tensor, change: Tensor, reading: Callable[[Tensor], Tensor], hold: float) -> Tensor:
    """How much of each step to take, (n, 1): all of it, or what brings the reading to the hold.

    False position by the Illinois rule, for the objective need not be linear along the step.
    """
    low, high = torch.zeros_like(state[:, :1]), torch.ones_like(state[:, :1])
    low_gap, high_gap = (reading(at).unsqueeze(1) - hold for at in (state, state + change))
    there, reaches = low_gap >= 0, high_gap >= 0
    if bool((reaches & ~there).any()):
        for _ in range(_LAST_STEP_TRIES):
            at = torch.where(high_gap > low_gap, low - low_gap * (high - low) / (high_gap - low_gap), high)
            gap = reading(state + at * change).unsqueeze(1) - hold
            over = gap >= 0
            low_gap, high_gap = torch.where(over, 0.5 * low_gap, gap), torch.where(over, gap, 0.5 * high_gap)
            low, high = torch.where(over, low, at), torch.where(over, at, high)
    return torch.where(there, 0.0, torch.where(reaches, high, 1.0))


def _plain(state: Tensor) -> Tensor:
    """A copy in f32 that autograd may work on: tensors made in inference mode are closed to it."""
    with torch.inference_mode(False), torch.no_grad():
        return state.clone().float()


def _shares(anchors: Anchors, like: Tensor) -> Tensor:
    parts = []
    for weights, sign in ((anchors.positive_weights, 1.0), (anchors.negative_weights, -1.0)):
        part = torch.tensor(weights, dtype=like.dtype, device=like.device)
        parts.append(sign * part / part.sum() if len(part) else part)
    return torch.cat(parts)
