"""The mathematics of steering, in numpy: the reference that both engines are tested against."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from trimtab.engine.joint import JointSolver, RaiseReport, raise_joint
from trimtab.engine.tuning import (
    LayerNorm,
    LogOdds,
    Norm,
    Objective,
    Phi,
    RMSNorm,
    anchor_direction,
    hold_factor,
    phi,
    tune_factor,
    tune_states,
)
from trimtab.errors import ProgramError

__all__ = [
    "JointSolver",
    "LayerNorm",
    "LogOdds",
    "Norm",
    "Objective",
    "Phi",
    "RMSNorm",
    "RaiseReport",
    "add_under_softcap",
    "anchor_direction",
    "hold_factor",
    "phi",
    "probability",
    "raise_joint",
    "raise_one",
    "redo_softcap",
    "target_logit",
    "tune_factor",
    "tune_states",
    "undo_softcap",
]

Float64Array = npt.NDArray[np.float64]

_LARGEST_RATIO = 1 - 2.0**-24
"""How near a capped logit may come to its cap before float32 can no longer tell what it was."""


def target_logit(x: float) -> float:
    """The logit of `1 - 0.1^x`, which a value slider at `x` asks of the probe."""
    if not (x > 0 and math.isfinite(x)):
        raise ProgramError(
            f"A slider at {x} sets no target: it must be above zero.",
            "To suppress a value, raise the opposed probe.",
        )
    scaled = x * math.log(10)
    return scaled + math.log(-math.expm1(-scaled))


def probability(logits: npt.ArrayLike) -> Float64Array:
    """The sigmoid, without overflow."""
    z = np.asarray(logits, dtype=np.float64)
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1.0, small) / (1.0 + small))


def raise_one(
    states: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: float,
    target: float,
    strength: float = 1.0,
) -> Float64Array:
    """The least shift that lifts one probe to its target (ConVA, Eq. 6); the shape of `states`."""
    e = np.asarray(states, dtype=np.float64)
    w = np.asarray(weight, dtype=np.float64)
    length = float(np.linalg.norm(w))
    distance = strength * np.maximum(0.0, target - e @ w - bias) / length
    return np.asarray(distance[..., None] * (w / length))


def undo_softcap(logits: npt.ArrayLike, cap: float) -> Float64Array:
    """What the logits were before `cap * tanh(logits / cap)`; a cap of 0 is none."""
    capped = np.asarray(logits, dtype=np.float64)
    return cap * np.arctanh(_ratio(capped, cap)) if cap else capped


def redo_softcap(logits: npt.ArrayLike, cap: float) -> Float64Array:
    free = np.asarray(logits, dtype=np.float64)
    return cap * np.tanh(free / cap) if cap else free


def add_under_softcap(
    logits: npt.ArrayLike, bias: npt.ArrayLike, cap: float = 0.0, scale: float = 1.0
) -> Float64Array:
    """The logits that a head would have given, had `bias` been added before its scale and its cap."""
    added = scale * np.asarray(bias, dtype=np.float64)
    capped = np.asarray(logits, dtype=np.float64)
    if not cap:
        return capped + added
    # The addition theorem of tanh spares an arctanh for every token of the vocabulary.
    ratio, shift = _ratio(capped, cap), np.tanh(added / cap)
    return np.asarray(cap * ((ratio + shift) / (1.0 + ratio * shift)))


def _ratio(capped: Float64Array, cap: float) -> Float64Array:
    return np.clip(capped / cap, -_LARGEST_RATIO, _LARGEST_RATIO)
