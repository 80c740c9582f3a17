"""The joint raise: the shortest shift that lifts several probes to their targets at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trimtab.engine.plan import JointRaise

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

DEPENDENT = 1e-9
"""A probe whose squared sine to the span of others is below this counts as lying in it."""
LEAST_RIDGE = 1e-8
"""Stands for the limit of no ridge where targets contradict each other, in mean squared probe norms."""
CLOSE = 1e-10
"""Relative tolerance on constraints and on the cap."""
MISSED = 1e-4
"""A target counts as missed if it is short by more than this share of the raise asked for."""
MAX_CAP_STEPS = 80

_SINGULAR = 1e-14
_STIFFENINGS = 5
"""How often the ridge of a contradiction may grow where rounding lets no active set settle."""
_CHUNK = 4_000_000


@dataclass(frozen=True, eq=False)
class RaiseReport:
    """How far each raise came."""

    limited: BoolArray
    """Shape (tokens,): where the cap or a contradiction kept a target from being reached."""
    shortfall: Float64Array
    """Shape (tokens, rows): by how much, in logits, the target was missed; 0 where it was reached."""


def raise_joint(states: npt.ArrayLike, rows: JointRaise) -> tuple[Float64Array, Float64Array, RaiseReport]:
    """For states of shape (tokens, width): the shifts, their multipliers (tokens, rows), and a report."""
    solver = JointSolver(rows)
    multipliers, report = solver.solve(solver.residuals(solver.logits(states)))
    return solver.shifts(multipliers), multipliers, report


class JointSolver:
    """Solves one `JointRaise` for any number of tokens.

    The shift is `W^T mu`, where mu >= 0 minimises `mu^T G mu / 2 - r^T mu` with `G = W W^T`; a ridge on G
    is the same as paying for squared shortfall instead of forbidding it.
    """

    def __init__(self, rows: JointRaise, like: JointSolver | None = None) -> None:
        """`like`, a solver for the same probes, lends what does not depend on targets."""
        self.rows = rows
        shared = like is not None and np.array_equal(like.rows.weights, rows.weights)
        self._geometry: _Geometry = like._geometry if like is not None and shared else _Geometry(rows)
        self.independent = self._geometry.independent
        self.projection = self._geometry.projection
        self.factor = self._geometry.factor
        self.gram = self._geometry.gram
        self.least_ridge = self._geometry.least_ridge

    def logits(self, states: npt.ArrayLike) -> Float64Array:
        """The probes' logits, shape (tokens, rows)."""
        return np.asarray(np.asarray(states, dtype=np.float64) @ self._geometry.weights.T + self.rows.biases)

    def residuals(self, logits: Float64Array) -> Float64Array:
        """How far each logit is to rise; below zero, how far it may fall."""
        missing = self.rows.targets - logits
        return np.where(missing > 0, self.rows.strengths * missing, missing)

    def coefficients(self, multipliers: Float64Array) -> Float64Array:
        """Of the weights, in the shifts."""
        return multipliers if self.independent else np.asarray(multipliers @ self.projection)

    def shifts(self, multipliers: Float64Array) -> Float64Array:
        return np.asarray(self.coefficients(multipliers) @ self._geometry.weights)

    def solve(self, residuals: Float64Array) -> tuple[Float64Array, RaiseReport]:
        """The multipliers for these residuals, and how far they come."""
        multipliers = np.zeros_like(residuals)
        limited = np.zeros(len(residuals), dtype=np.bool_)
        below = np.flatnonzero((residuals > 0).any(axis=1))
        step = max(1, _CHUNK // residuals.shape[1] ** 2)
        for start in range(0, len(below), step):
            part = below[start : start + step]
            multipliers[part], limited[part] = self._solve_some(residuals[part])
        short = residuals - (multipliers @ self.factor.T) @ self.factor
        least = MISSED * np.maximum(0.0, residuals.max(axis=1, keepdims=True, initial=0.0))
        shortfall = np.where(limited[:, None] & (short > least), short, 0.0)
        return multipliers, RaiseReport(limited=limited, shortfall=shortfall)

    def _solve_some(self, residuals: Float64Array) -> tuple[Float64Array, BoolArray]:
        if self.rows.rows == 1:
            return self._solve_single(residuals)
        none = np.zeros(len(residuals))
        multipliers, solved = self._ascend(residuals, none)
        failed = np.flatnonzero(~solved)
        limited = ~solved
        ridge = np.where(limited, self.least_ridge, 0.0)
        for _ in range(_STIFFENINGS):
            if not failed.size:
                break
            multipliers[failed], solved = self._ascend(residuals[failed], ridge[failed])
            failed = failed[~solved]
            ridge[failed] *= 100
        cap = self.rows.cap
        if cap is not None:
            long = np.flatnonzero(self._norms(multipliers) > cap * (1 + CLOSE))
            if long.size:
                multipliers[long] = self._shorten(residuals[long], multipliers[long], ridge[long], cap)
                limited[long] = True
        return multipliers, limited

    def _solve_single(self, residuals: Float64Array) -> tuple[Float64Array, BoolArray]:
        wanted = residuals[:, 0] / self.gram[0, 0]
        most = np.inf if self.rows.cap is None else self.rows.cap / np.sqrt(self.gram[0, 0])
        return np.minimum(wanted, most)[:, None], np.asarray(wanted > most * (1 + CLOSE))

    def _norms(self, multipliers: Float64Array) -> Float64Array:
        return np.asarray(np.linalg.norm(multipliers @ self.factor.T, axis=1))

    def _shorten(
        self, residuals: Float64Array, multipliers: Float64Array, lowest: Float64Array, cap: float
    ) -> Float64Array:
        """The solution of least squared shortfall with the norm of the cap: finds its ridge.

        Newton's method on the reciprocal of the norm, which is nearly linear in the ridge, within brackets.
        """
        found = multipliers.copy()
        low = lowest.copy()
        asked = np.linalg.norm(np.maximum(residuals, 0.0), axis=1)
        high = np.sqrt(np.trace(self.gram)) * asked / cap
        ridge = low.copy()
        left = np.arange(len(residuals))
        for _ in range(MAX_CAP_STEPS):
            norms = self._norms(found[left])
            off = np.abs(norms - cap) > CLOSE * cap
            left, norms = left[off], norms[off]
            if not left.size:
                break
            over = norms > cap
            low[left] = np.where(over, ridge[left], low[left])
            high[left] = np.where(over, high[left], ridge[left])
            wanted = self._newton(found[left], ridge[left], norms, cap)
            inside = (wanted > low[left]) & (wanted < high[left])
            ridge[left] = np.where(inside, wanted, 0.5 * (low[left] + high[left]))
            found[left], _ = self._ascend(residuals[left], ridge[left])
        return found

    def _newton(
        self, multipliers: Float64Array, ridge: Float64Array, norms: Float64Array, cap: float
    ) -> Float64Array:
        active = multipliers > 0
        slope = np.einsum(
            "nk,nk->n",
            (multipliers @ self.factor.T) @ self.factor,
            _masked_solve(self.gram, ridge, active, multipliers),
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(ridge + (norms / cap - 1.0) * norms**2 / slope)

    def _ascend(self, residuals: Float64Array, ridge: Float64Array) -> tuple[Float64Array, BoolArray]:
        """Minimises over mu >= 0 with a ridge per token; False where the targets contradict each other.

        A dual active-set method: take the most violated row, move along the direction that keeps the active
        rows at their targets, and drop a row when its multiplier reaches zero.
        """
        gram, (tokens, k) = self.gram, residuals.shape
        tolerance = CLOSE * residuals.max(axis=1)
        if self.independent:
            multipliers, solved = _first_guess(gram, ridge, residuals, tolerance)
        else:
            multipliers, solved = np.zeros_like(residuals), np.zeros(tokens, dtype=np.bool_)
        active = np.zeros((tokens, k), dtype=np.bool_)
        entering = np.full(tokens, -1)
        diagonal = gram.diagonal()
        left = np.flatnonzero(~solved)
        multipliers[left] = 0.0
        for _ in range(20 * k + 20):
            slack = residuals[left] - multipliers[left] @ gram - ridge[left, None] * multipliers[left]
            worst = np.where(active[left], -np.inf, slack / np.sqrt(diagonal)).argmax(axis=1)
            entering[left] = np.where(entering[left] < 0, worst, entering[left])
            chosen = np.take_along_axis(slack, entering[left, None], axis=1)[:, 0]
            # A row under way may come to rest early by rounding: it still has to join the active ones.
            under_way = multipliers[left, entering[left]] > 0
            under_way &= ~active[left, entering[left]]
            rests = active[left, entering[left]] | (~under_way & (chosen <= tolerance[left]))
            solved[left[rests]] = True
            left, chosen = left[~rests], np.maximum(chosen[~rests], 0.0)
            if not left.size:
                break
            at, p = np.arange(left.size), entering[left]
            column = np.where(active[left], gram[p], 0.0)
            back = _masked_solve(gram, ridge[left], active[left], column)
            curve = diagonal[p] + ridge[left] - np.einsum("nk,nk->n", column, back)
            # Against the size of all that cancels in it: what is left of less is rounding.
            least = np.where(
                ridge[left] > 0, _SINGULAR * diagonal[p], DEPENDENT * (diagonal[p] + back**2 @ diagonal)
            )
            free = curve > least
            with np.errstate(divide="ignore", invalid="ignore"):
                full = np.where(free, chosen / curve, np.inf)
                ratios = np.where(active[left] & (back > 0), multipliers[left] / back, np.inf)
            blocking = ratios.argmin(axis=1)
            blocked = ratios[at, blocking]
            length = np.minimum(full, blocked)
            stuck = ~np.isfinite(length)
            length[stuck] = 0.0
            multipliers[left] -= length[:, None] * back
            multipliers[left, p] += length
            enters = ~stuck & (full <= blocked)
            active[left[enters], p[enters]] = True
            entering[left[enters]] = -1
            leaves = ~stuck & ~enters
            active[left[leaves], blocking[leaves]] = False
            multipliers[left[leaves], blocking[leaves]] = 0.0
            left = left[~stuck]
        walked = np.flatnonzero(solved & active.any(axis=1))
        exact = _masked_solve(gram, ridge[walked], active[walked], residuals[walked])
        multipliers[walked] = np.maximum(exact, 0.0)
        return multipliers, solved


class _Geometry:
    """How the probes of a raise lie to each other."""

    def __init__(self, rows: JointRaise) -> None:
        self.weights = rows.weights.astype(np.float64)
        gram = self.weights @ self.weights.T
        self.projection = _span(gram)
        """Each probe by those it is kept as: itself, or, if it lies in the span of others, these."""
        self.independent = bool((self.projection == np.eye(rows.rows)).all())
        values, vectors = np.linalg.eigh(gram)
        roots = np.sqrt(np.maximum(values, 0.0))
        self.factor: Float64Array = roots[:, None] * vectors.T @ self.projection.T
        """F with `F^T F = G`: norms through F keep their digits where huge multipliers cancel."""
        self.gram: Float64Array = gram if self.independent else self.factor.T @ self.factor
        self.least_ridge = LEAST_RIDGE * float(np.trace(gram)) / rows.rows


def _first_guess(
    gram: Float64Array, ridge: Float64Array, residuals: Float64Array, tolerance: Float64Array
) -> tuple[Float64Array, BoolArray]:
    """The solution if the rows below their targets are those that act, which is how it mostly is."""
    multipliers = _masked_solve(gram, ridge, residuals > 0, residuals)
    slack = residuals - multipliers @ gram - ridge[:, None] * multipliers
    right = (multipliers >= 0).all(axis=1) & (slack <= tolerance[:, None]).all(axis=1)
    return multipliers, np.asarray(right)


def _masked_solve(
    gram: Float64Array, ridge: Float64Array, active: BoolArray, right: Float64Array
) -> Float64Array:
    """Per token the solution over its active rows, 0 elsewhere."""
    both = active[:, :, None] & active[:, None, :]
    matrices = np.where(both, gram, 0.0)
    k = np.arange(gram.shape[0])
    matrices[:, k, k] += np.where(active, ridge[:, None], 1.0)
    return np.asarray(np.linalg.solve(matrices, np.where(active, right, 0.0)[:, :, None])[:, :, 0])


def _span(gram: Float64Array) -> Float64Array:
    """Each row as a combination of rows that are independent.

    A coefficient no larger than what counts as dependence is rounding. Left in, it would couple a row to a
    contradiction between others, and the huge multipliers of a contradiction would be felt through it.
    """
    lengths = np.sqrt(gram.diagonal())
    cosines = gram / np.outer(lengths, lengths)
    combination = np.eye(len(gram))
    if np.linalg.eigvalsh(cosines)[0] > DEPENDENT:
        return combination
    basis = _basis(cosines)
    for row in set(range(len(gram))).difference(basis):
        shares = np.linalg.solve(cosines[np.ix_(basis, basis)], cosines[basis, row])
        kept = np.where(np.abs(shares) > np.sqrt(DEPENDENT), shares, 0.0)
        combination[row] = 0.0
        combination[row, basis] = kept * lengths[row] / lengths[basis]
    return combination


def _basis(cosines: Float64Array) -> list[int]:
    """Independent rows that span all, those farthest from the others' span first."""
    basis: list[int] = []
    lower = np.zeros_like(cosines)
    left = cosines.diagonal().copy()
    for rank in range(len(cosines)):
        row = int(left.argmax())
        if left[row] <= DEPENDENT:
            break
        lower[:, rank] = (cosines[:, row] - lower @ lower[row]) / np.sqrt(left[row])
        left -= lower[:, rank] ** 2
        left[row] = 0.0
        basis.append(row)
    return basis
