"""Choosing the next token from logits, the same for every engine."""

from __future__ import annotations

import math
import secrets
from collections import deque
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from trimtab.engine.contract import FloatArray, Sampling
from trimtab.errors import EngineError

_HEAD = 1024
"""How many of the likeliest tokens are sorted before the rest is looked at."""


class Sampler:
    """Draws tokens under one `Sampling`; the same seed and logits give the same tokens."""

    def __init__(self, sampling: Sampling, history: Iterable[int] = ()) -> None:
        self.seed = sampling.seed if sampling.seed is not None else secrets.randbits(32)
        self._sampling = sampling
        self._random = np.random.Generator(np.random.PCG64(self.seed))
        self._recent: deque[int] = deque(history, maxlen=sampling.repeat_last)
        self._scratch: FloatArray = np.empty(0, dtype=np.float32)

    def choose(self, logits: FloatArray) -> tuple[int, float]:
        """The token, and its log-probability before penalty, cuts and temperature."""
        sampling = self._sampling
        total = self._log_total(logits)
        if not math.isfinite(total):
            raise EngineError("The model's output is not a number any more.", "Turn the steering down.")
        scores = self._penalised(logits)
        token = int(np.argmax(scores)) if sampling.temperature == 0 else self._draw(scores)
        self._recent.append(token)
        return token, float(logits[token]) - total

    def _log_total(self, logits: FloatArray) -> float:
        if self._scratch.shape != logits.shape:
            self._scratch = np.empty_like(logits)
        highest = logits.max()
        np.subtract(logits, highest, out=self._scratch)
        np.exp(self._scratch, out=self._scratch)
        return float(highest) + math.log(float(self._scratch.sum(dtype=np.float64)))

    def _penalised(self, logits: FloatArray) -> FloatArray:
        if self._sampling.repeat_penalty == 1 or not self._recent:
            return logits
        scores = logits.copy()
        seen = np.fromiter(set(self._recent), dtype=np.int64)
        penalty = np.float32(self._sampling.repeat_penalty)
        scores[seen] = np.where(scores[seen] > 0, scores[seen] / penalty, scores[seen] * penalty)
        return scores

    def _draw(self, scores: FloatArray) -> int:
        sampling = self._sampling
        if sampling.top_k == 0 and sampling.top_p == 1 and sampling.min_p == 0:
            return self._place((scores - scores.max()).astype(np.float64))
        tokens = self._likeliest(scores)
        kept = scores[tokens].astype(np.float64)
        if sampling.top_p < 1:
            mass = np.cumsum(np.exp(kept - kept[0]))
            # A token is kept while the mass before it is short of top_p: at least one always is.
            whole = mass[-1] if sampling.top_k else self._mass(scores, float(kept[0]))
            kept = kept[: 1 + int(np.searchsorted(mass, sampling.top_p * whole, side="left"))]
        if sampling.min_p > 0:
            kept = kept[kept >= kept[0] + math.log(sampling.min_p)]
        return int(tokens[self._place(kept - kept[0])])

    def _place(self, heights: npt.NDArray[np.float64]) -> int:
        """Where a draw falls among tokens of these log-weights, the highest being 0."""
        weights = np.cumsum(np.exp(heights / self._sampling.temperature))
        place = np.searchsorted(weights, self._random.random() * weights[-1], side="right")
        return min(int(place), heights.size - 1)

    def _likeliest(self, scores: FloatArray) -> npt.NDArray[np.int64]:
        """The tokens that the cuts may keep, likeliest first, equals by id."""
        sampling = self._sampling
        if 0 < sampling.top_k < scores.size:
            count = sampling.top_k
        elif sampling.top_k == 0 and scores.size > _HEAD and self._head_is_enough(scores):
            count = _HEAD
        else:
            return np.argsort(-scores, kind="stable")
        found = np.argpartition(scores, scores.size - count)[scores.size - count :]
        found.sort()
        return found[np.argsort(-scores[found], kind="stable")]

    def _head_is_enough(self, scores: FloatArray) -> bool:
        """Whether top_p or min_p cuts before the head ends, so that the long tail need not be sorted."""
        head = np.partition(scores, scores.size - _HEAD)[scores.size - _HEAD :].astype(np.float64)
        highest = float(head.max())
        if self._sampling.min_p > 0 and head.min() < highest + math.log(self._sampling.min_p):
            return True
        inside = float(np.exp(head - highest).sum())
        return self._sampling.top_p < 1 and inside >= self._sampling.top_p * self._mass(scores, highest)

    @staticmethod
    def _mass(scores: FloatArray, highest: float) -> float:
        return float(np.exp(scores - np.float32(highest)).sum(dtype=np.float64))
