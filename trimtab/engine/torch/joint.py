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
    whose other rows are satisfied. Rounding may leave none or several: the least violating is taken. With
    rows of unit length, multipliers and violations alike are distances.
    """

    def __init__(self, rows: int, width: int, device: torch.device) -> None:
        self.rows = capacity(rows)
        sets = 1 << self.rows
        self._members = ((np.arange(sets)[:, None] >> np.arange(self.rows)) & 1).astype(bool)
        self._held: npt.NDArray[np.float32] | None = None

        def buffer(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        self._units = buffer(self.rows, width)
        self._offsets = buffer(self.rows)
        self._extra = buffer(self.rows)
        """Strengths less one."""
        self._lengths = buffer(self.rows)
        self._inverses = buffer(sets, self.rows, self.rows)
        self._violations = buffer(self.rows, sets * self.rows)
        """From what is wanted to how far each set's solution strays, row by row."""
        self._barred = buffer(sets)
        self._gram = buffer(self.rows, self.rows)
        self._factor = buffer(self.rows, self.rows)
        self._vectors = buffer(sets, self.rows, self.rows)
        self._spectra = buffer(sets, self.rows)
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
        lengths = np.linalg.norm(raised.weights.astype(np.float64), axis=1)
        _fill(self._offsets, (raised.targets - raised.biases) / lengths, rest=_NEVER)
        _fill(self._extra, raised.strengths - 1.0)
        self.capped = raised.cap is not None
        self._cap.fill_(raised.cap or 0.0)

    def solve(self, states: Tensor) -> tuple[Tensor, Tensor | None]:
        """For f32 states of shape (n, width): the shifts, and each row's shortfall after them, (n, rows).

        None stands for no shortfall, where there can be none.
        """
        gaps = torch.addmm(self._offsets, states.double(), self._units.T, alpha=-1.0)
        wanted = torch.addcmul(gaps, gaps.clamp_min(0.0), self._extra)
        violation = (wanted @ self._violations).view(-1, *self._member.shape).amax(2) + self._barred
        least, best = violation.min(1)
        chosen = self._inverses.index_select(0, best)
        multipliers = torch.bmm(chosen, wanted.unsqueeze(2)).squeeze(2).clamp_min(0.0)
        if not self.capped and not self.dependent:
            return (multipliers @ self._units).float(), None
        multipliers, short = self._limit_them(multipliers, wanted, least.unsqueeze(1))
        return (multipliers @ self._units).float(), short

    def _limit_them(self, free: Tensor, wanted: Tensor, strayed: Tensor) -> tuple[Tensor, Tensor]:
        """The multipliers where targets contradict each other or the cap is in the way, and the shortfall.

        Shortfall is weighed in logits, so rows have their own lengths here.
        """
        multipliers, asked = free / self._lengths, wanted * self._lengths
        limited = torch.zeros_like(strayed, dtype=torch.bool)
        if self.dependent:
            limited = strayed > _CONTRADICTED * wanted.amax(1, keepdim=True)
            least = self._damped(asked, self._ridge.expand_as(strayed))
            multipliers = torch.where(limited, least, multipliers)
        if self.capped:
            length = self._length(multipliers)
            over = length > self._cap * (1 + CLOSE)
            shortened = self._shorten(asked, self._ridge * limited, length)
            multipliers = torch.where(over, shortened, multipliers)
            limited = limited | over
        short = asked - (multipliers @ self._factor.T) @ self._factor
        least_short = MISSED * asked.amax(1, keepdim=True).clamp_min(0.0)
        return multipliers * self._lengths, short.masked_fill(~(limited & (short > least_short)), 0.0)

    def _damped(self, asked: Tensor, damping: Tensor) -> Tensor:
        """The multipliers that minimise squared shortfall plus `damping` (n, 1) times squared length."""
        parts = asked[None, :, :] * self._member[:, None, :]
        turned = (parts @ self._vectors) / (self._spectra[:, None, :] + damping).clamp_min(1e-30)
        tried = (turned @ self._vectors.mT).transpose(0, 1) * self._member
        unmet = (asked[:, None, :] - tried @ self._gram - damping[:, :, None] * tried) / self._lengths
        violation = torch.where(self._member, -tried * self._lengths, unmet).amax(2)
        best = violation.argmin(1)
        chosen = torch.gather(tried, 1, best[:, None, None].expand(-1, 1, tried.shape[2]))
        return chosen.squeeze(1).clamp_min(0.0)

    def _shorten(self, asked: Tensor, low: Tensor, length: Tensor) -> Tensor:
        """The least squared shortfall at the length of the cap; `length` is that at the damping `low`.

        Root of 1/length - 1/cap over the damping, nearly a straight line: false position (Illinois) closes
        in on it in a few steps.
        """
        high = self._limit * asked.clamp_min(0.0).norm(dim=1, keepdim=True) / self._cap + 1e-12
        at_low, at_high = self._excess(length), self._excess(self._length(self._damped(asked, high)))
        found, before = high, torch.ones_like(length, dtype=torch.bool)
        for step in range(_ROOT_STEPS):
            span = at_high - at_low
            found = torch.where(span > 0, (low * at_high - high * at_low) / span, high)
            value = self._excess(self._length(self._damped(asked, found)))
            above = value > 0
            stale = 1.0 - 0.5 * (above == before).double() if step else torch.ones_like(value)
            at_low, at_high = torch.where(above, at_low * stale, value), torch.where(above, value, at_high * stale)
            low, high = torch.where(above, low, found), torch.where(above, found, high)
            before = above
        return self._damped(asked, found)

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
        both = self._members[:, :, None] & self._members[:, None, :]
        outside = np.zeros_like(both, dtype=np.float64)
        outside[:, np.arange(self.rows), np.arange(self.rows)] = ~self._members
        unit_gram = gram / np.outer(lengths, lengths)
        units = np.where(both, unit_gram, 0.0)
        usable = np.linalg.eigvalsh(units + outside)[:, 0] >= _SINGULAR
        inverses = np.zeros_like(units)
        inverses[usable] = np.linalg.inv((units + outside)[usable]) - outside[usable]
        strays = np.where(self._members[:, None, :], -inverses, np.eye(self.rows) - inverses @ unit_gram)
        spectra, vectors = np.linalg.eigh(np.where(both, gram, 0.0) + outside * gram.max(initial=1.0))
        values, axes = np.linalg.eigh(gram)
        self.dependent = not usable[: 1 << rows].all()
        _copy(self._units, full / lengths[:, None])
        _copy(self._lengths, lengths)
        _copy(self._inverses, inverses)
        _copy(self._violations, strays.transpose(1, 0, 2).reshape(self.rows, sets * self.rows))
        _copy(self._barred, np.where(usable, 0.0, 1e20))
        _copy(self._gram, gram)
        _copy(self._factor, np.sqrt(np.maximum(values, 0.0))[:, None] * axes.T)
        _copy(self._vectors, vectors)
        _copy(self._spectra, np.maximum(spectra, 0.0))
        self._ridge.fill_(LEAST_RIDGE * float(np.trace(gram)) / rows)
        self._limit.fill_(float(np.sqrt(values[-1])))


def _copy(buffer: Tensor, values: npt.NDArray[np.floating]) -> None:
    buffer.copy_(torch.from_numpy(np.ascontiguousarray(values)))


def _fill(buffer: Tensor, values: npt.NDArray[np.floating], rest: float = 0.0) -> None:
    buffer.fill_(rest)
    _copy(buffer[: len(values)], values)
