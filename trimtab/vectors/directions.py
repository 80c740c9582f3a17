"""Directions from contrast pairs: the mean of their differences, and their first principal component."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Found:
    """A unit vector, how long it was, and whether it points to the value (1) or the data could not tell (0)."""

    unit: Float64Array
    length: float
    sign: int = 1


def mean_difference(positive: npt.NDArray[np.floating], negative: npt.NDArray[np.floating]) -> Found:
    """The mean of positive less negative states; the rows are pairs."""
    difference = (positive.astype(np.float64) - negative).mean(axis=0)
    length = float(np.linalg.norm(difference))
    return Found(difference / length if length else difference, length)


def component(
    positive: npt.NDArray[np.floating], negative: npt.NDArray[np.floating], *, centred: bool = False
) -> Found:
    """The first principal component of the differences.

    Uncentred, what all differences have in common counts; `centred` takes their mean away first, as repeng does,
    and can lose just that. The sign is set by the data: most pairs' positive side lies further along it. The
    length is the root mean square along it.
    """
    differences = positive.astype(np.float64) - negative
    rows = differences - differences.mean(axis=0) if centred else differences
    # The eigenvectors of the small matrix among pairs give those of the large one among dimensions.
    values, vectors = np.linalg.eigh(rows @ rows.T)
    unit = rows.T @ vectors[:, -1]
    size = float(np.linalg.norm(unit))
    if not size:
        return Found(unit, 0.0, 0)
    unit /= size
    along = differences @ unit
    ahead, behind = int((along > 0).sum()), int((along < 0).sum())
    if behind > ahead:
        unit, ahead, behind = -unit, behind, ahead
    length = float(np.sqrt(max(values[-1], 0.0) / len(rows)))
    return Found(unit, length, 0 if ahead == behind else 1)
