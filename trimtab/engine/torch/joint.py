"""The joint raise on a device: exact, and without a step that depends on data, so that it can be captured.

Numbers of Python's own in `torch.where` are copied to the device with a wait, which ends a capture: there are none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trimtab.engine.joint import CLOSE, LEAST_RIDGE, MISSED
from trimtab.engine.plan import JointRaise

MOST_ROWS = 10
"""With k rows there are 2^k sets of active rows, and all are tried at once."""
_CAPACITIES = (1, 2, 4, 6, 8, MOST_ROWS)
_SINGULAR = 1e-10
_ROOT_STEPS = 24
_CONTRADICTED = 1e-7
"""How far, relative to what is asked, the best set may stray before its targets contradict each other."""
_NEVER = -1e30


def capacity(rows: int) -> int:
    """The size of the buffers that hold so many rows."""
    return next(size for size in _CAPACITIES if size >= rows)


class JointBuffers:
    """One layer's joint raise in device memory; another raise of the same capacity only refills it.

    Of all sets of rows, the one that solves the problem is that whose multipliers are not negative and
    whose other rows are satisfied. Rounding may leave none or several: the least violating is taken.
    """

    def __init__(self, rows: int, width: int, device: torch.device) -> None:
        self.rows = capacity(rows)
        sets = 1 << self.rows
        self._members = ((np.arange(sets)[:, None] >> np.arange(self.rows)) & 1).astype(bool)
        self._held: npt.NDArray[np.float32] | None = None

        def buffer(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        self._weights = buffer(self.rows, width)
        self._biases = buffer(self.rows)
        self._targets = buffer(self.rows)
        self._strengths = buffer(self.rows)
        self._lengths = buffer(self.rows)
        self._gram = buffer(self.rows, self.rows)
        self._factor = buffer(self.rows, self.rows)
        self._vectors = buffer(sets, self.rows, self.rows)
        self._spectra = buffer(sets, self.rows)
        self._inverses = buffer(self.rows, sets * self.rows)
        self._barred = buffer(sets)
        self._member = torch.from_numpy(self._members).to(device)
        self._cap = buffer(1)
        self._limit = buffer(1)
        self._ridge = buffer(1)
        self.capped = False
        self.dependent = False
        """Whether some rows are spanned by others, so that targets may contradict each other."""

    @property
    def shape(self) -> tuple[int, bool, bool]:
        """Equal for raises whose solution takes the same steps."""
        return self.rows, self.capped, self.dependent

    def load(self, raised: JointRaise) -> None:
        if self._held is None or not np.array_equal(self._held, raised.weights):
            self._load_weights(raised.weights)
            self._held = raised.weights.copy()
        _fill(self._biases, raised.biases)
        _fill(self._targets, raised.targets, rest=_NEVER)
        _fill(self._strengths, raised.strengths)
        self.capped = raised.cap is not None
        self._cap.fill_(raised.cap or 0.0)

    def solve(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """For f32 states of shape (n, width): the shifts, and each row's shortfall after them, (n, rows)."""
        gaps = self._targets - (states.double() @ self._weights.T + self._biases)
        wanted = torch.where(gaps > 0, gaps * self._strengths, gaps)
        tried = (wanted @ self._inverses).view(-1, *self._member.shape)
        multipliers, violation = self._choose(tried, wanted)
        limited = torch.zeros_like(violation, dtype=torch.bool)
        if self.dependent:
            asked = (wanted / self._lengths).amax(1, keepdim=True)
            limited = violation > _CONTRADICTED * asked
            least = self._damped(wanted, self._ridge.expand_as(violation))
            multipliers = torch.where(limited, least, multipliers)
        if self.capped:
            length = self._length(multipliers)
            over = length > self._cap * (1 + CLOSE)
            shortened = self._shorten(wanted, self._ridge * limited, length)
            multipliers = torch.where(over, shortened, multipliers)
            limited = limited | over
        shifts = (multipliers @ self._weights).float()
        short = wanted - (multipliers @ self._factor.T) @ self._factor
        least_short = MISSED * wanted.amax(1, keepdim=True).clamp_min(0.0)
        return shifts, short.masked_fill(~(limited & (short > least_short)), 0.0)

    def _choose(self, tried: Tensor, wanted: Tensor, damping: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Of every set's multipliers, (n, sets, rows), the least violating, and by how much it does, (n, 1)."""
        reached = tried @ self._gram
        if damping is not None:
            reached = reached + damping * tried
        unmet = (wanted[:, None, :] - reached) / self._lengths
        violation = torch.where(self._member, -tried * self._lengths, unmet).amax(2)
        if damping is None:
            violation = violation + self._barred
        least, best = violation.clamp_min(0.0).min(1)
        chosen = torch.gather(tried, 1, best[:, None, None].expand(-1, 1, tried.shape[2]))
        return chosen.squeeze(1).clamp_min(0.0), least.unsqueeze(1)

    def _damped(self, wanted: Tensor, damping: Tensor) -> Tensor:
        """The multipliers that minimise squared shortfall plus `damping` (n, 1) times squared length."""
        asked = wanted[None, :, :] * self._member[:, None, :]
        turned = (asked @ self._vectors) / (self._spectra[:, None, :] + damping).clamp_min(1e-30)
        tried = (turned @ self._vectors.mT).transpose(0, 1) * self._member
        return self._choose(tried, wanted, damping[:, :, None])[0]

    def _shorten(self, wanted: Tensor, low: Tensor, length: Tensor) -> Tensor:
        """The least squared shortfall at the length of the cap; `length` is that at the damping `low`.

        Root of 1/length - 1/cap over the damping, nearly a straight line: false position (Illinois) closes
        in on it in a few steps.
        """
        high = self._limit * wanted.clamp_min(0.0).norm(dim=1, keepdim=True) / self._cap + 1e-12
        at_low, at_high = self._excess(length), self._excess(self._length(self._damped(wanted, high)))
        found, before = high, torch.ones_like(length, dtype=torch.bool)
        for step in range(_ROOT_STEPS):
            span = at_high - at_low
            found = torch.where(span > 0, (low * at_high - high * at_low) / span, high)
            value = self._excess(self._length(self._damped(wanted, found)))
            above = value > 0
            stale = 1.0 - 0.5 * (above == before).double() if step else torch.ones_like(value)
            at_low, at_high = torch.where(above, at_low * stale, value), torch.where(above, value, at_high * stale)
            low, high = torch.where(above, low, found), torch.where(above, found, high)
            before = above
        return self._damped(wanted, found)

    def _excess(self, length: Tensor) -> Tensor:
        return 1.0 / length.clamp_min(1e-30) - 1.0 / self._cap

    def _length(self, multipliers: Tensor) -> Tensor:
        length: Tensor = torch.linalg.vector_norm(multipliers @ self._factor.T, dim=1, keepdim=True)
        return length

    def _load_weights(self, weights: npt.NDArray[np.float32]) -> None:
        rows, sets = weights.shape[0], len(self._members)
        full = np.zeros((self.rows, weights.shape[1]))
        full[:rows] = weights
        gram = full @ full.T
        lengths = np.sqrt(np.diag(gram))
        lengths[rows:] = 1.0
        masked = np.where(self._members[:, :, None] & self._members[:, None, :], gram, 0.0)
        unit = masked / np.outer(lengths, lengths)
        outside = np.zeros_like(masked)
        outside[:, np.arange(self.rows), np.arange(self.rows)] = ~self._members
        barred = np.linalg.eigvalsh(unit + outside)[:, 0] < _SINGULAR
        spectra, vectors = np.linalg.eigh(masked + outside * gram.max(initial=1.0))
        inverses = np.zeros_like(masked)
        usable = ~barred
        inverses[usable] = np.linalg.inv((masked + outside)[usable]) - outside[usable]
        values, axes = np.linalg.eigh(gram)
        self.dependent = bool(barred[: 1 << rows].any())
        self._ridge.fill_(LEAST_RIDGE * float(np.trace(gram)) / rows)
        self._factor.copy_(torch.from_numpy(np.sqrt(np.maximum(values, 0.0))[:, None] * axes.T))
        _fill(self._weights, weights)
        self._lengths.copy_(torch.from_numpy(lengths))
        self._gram.copy_(torch.from_numpy(gram))
        self._vectors.copy_(torch.from_numpy(vectors))
        self._spectra.copy_(torch.from_numpy(np.maximum(spectra, 0.0)))
        self._inverses.copy_(torch.from_numpy(inverses.transpose(1, 0, 2).reshape(self.rows, sets * self.rows)))
        self._barred.copy_(torch.from_numpy(np.where(barred, 1e20, 0.0)))
        self._limit.fill_(float(np.sqrt(values[-1])))


def _fill(buffer: Tensor, values: npt.NDArray[np.floating], rest: float = 0.0) -> None:
    buffer.fill_(rest)
    buffer[: len(values)].copy_(torch.from_numpy(np.ascontiguousarray(values)))
