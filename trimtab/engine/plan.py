"""A program made ready to run: per layer and phase, the arrays that an engine puts in place."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from trimtab.engine.program import (
    Adapter,
    Array,
    Gate,
    Intervention,
    Preface,
    Program,
    Raise,
    Shift,
    Tune,
    Watch,
    encode,
)

Phase = Literal["prompt", "reply"]


@dataclass(frozen=True, eq=False)
class JointRaise:
    """All probes raised together at one layer."""

    weights: npt.NDArray[np.float32]
    """Shape (rows, width)."""
    biases: npt.NDArray[np.float64]
    targets: npt.NDArray[np.float64]
    strengths: npt.NDArray[np.float64]
    labels: tuple[str, ...]
    cap: float | None = None

    @property
    def rows(self) -> int:
        return int(self.weights.shape[0])


@dataclass(frozen=True, eq=False)
class Plan:
    """What to do at every position of one phase."""

    fingerprint: str
    """Of all that changes the cache: shifts, raises and adapters."""
    shifts: Mapping[int, npt.NDArray[np.float32]] = field(default_factory=dict)
    """By layer: the sum of all constant shifts, put before the layer's raise."""
    raises: Mapping[int, JointRaise] = field(default_factory=dict)
    watches: tuple[Watch, ...] = ()
    adapters: tuple[Adapter, ...] = ()
    tunes: tuple[Tune, ...] = ()

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers at which something is read or changed."""
        return tuple(sorted({*self.shifts, *self.raises, *(watch.layer for watch in self.watches)}))

    @property
    def steers(self) -> bool:
        return bool(self.shifts or self.raises or self.adapters or self.tunes)


def make_plan(
    program: Program,
    phase: Phase,
    *,
    open_gates: Mapping[Gate, bool],
    fixed: Mapping[int, npt.NDArray[np.float32]] | None = None,
    measuring: bool = False,
) -> Plan:
    """The plan of `program` for `phase`.

    A gate missing from `open_gates` counts as closed. Raises of the `prompt` policy are carried out by
    adding `fixed`, the shift measured for each layer; `measuring` makes the plan that measures it, in which
    they act like any other raise.
    """
    active = [item for item in program.interventions if _active(item, phase, open_gates)]
    raising = [item for item in active if isinstance(item, Raise)]
    measured = not measuring and any(item.policy == "prompt" for item in raising)
    constant = dict(fixed or {}) if measured else {}
    shifts = {layer: vector.copy() for layer, vector in constant.items()}
    for item in active:
        if isinstance(item, Shift) and item.scale != 0:
            change = item.vector.values * np.float32(item.scale)
            shifts[item.layer] = shifts[item.layer] + change if item.layer in shifts else change
    return Plan(
        fingerprint=_fingerprint(active, constant, measuring=measuring),
        shifts={layer: vector for layer, vector in shifts.items() if vector.any()},
        raises=_join_raises([item for item in raising if measuring or item.policy == "token"]),
        watches=program.watches,
        adapters=tuple(item for item in active if isinstance(item, Adapter) and item.scale != 0),
        tunes=tuple(item for item in active if isinstance(item, Tune) and item.steps > 0),
    )


def measured_layers(program: Program, open_gates: Mapping[Gate, bool]) -> frozenset[int]:
    """The layers whose shift is measured once, at the prompt's last token."""
    return frozenset(
        item.layer
        for item in program.interventions
        if isinstance(item, Raise) and item.policy == "prompt" and _is_open(item, open_gates)
    )


def open_prefaces(program: Program, open_gates: Mapping[Gate, bool]) -> tuple[Preface, ...]:
    return tuple(
        item for item in program.interventions if isinstance(item, Preface) and _is_open(item, open_gates)
    )


def _active(item: Intervention, phase: Phase, open_gates: Mapping[Gate, bool]) -> bool:
    if isinstance(item, Preface) or item.scope not in (phase, "all"):
        return False
    return _is_open(item, open_gates)


def _is_open(item: Intervention, open_gates: Mapping[Gate, bool]) -> bool:
    return item.gate is None or open_gates.get(item.gate, False)


def _join_raises(items: list[Raise]) -> dict[int, JointRaise]:
    """By layer, the rows of every raise there that has any strength."""
    by_layer: dict[int, list[Raise]] = {}
    for item in items:
        by_layer.setdefault(item.layer, []).append(item)
    joined = {layer: _join(members) for layer, members in by_layer.items()}
    return {layer: rows for layer, rows in joined.items() if rows is not None}


def _join(members: list[Raise]) -> JointRaise | None:
    rows = [
        (probe, target, strength, item.label or f"row {number}")
        for item in members
        for number, (probe, target, strength) in enumerate(
            zip(item.probes, item.targets, item.strengths, strict=True)
        )
        if strength > 0
    ]
    if not rows:
        return None
    caps = [item.cap for item in members if item.cap is not None]
    return JointRaise(
        weights=np.stack([probe.weight.values for probe, *_ in rows]),
        biases=np.array([probe.bias for probe, *_ in rows], dtype=np.float64),
        targets=np.array([target for _, target, _, _ in rows], dtype=np.float64),
        strengths=np.array([strength for _, _, strength, _ in rows], dtype=np.float64),
        labels=tuple(label for *_, label in rows),
        cap=min(caps) if caps else None,
    )


def _fingerprint(
    active: list[Intervention], constant: Mapping[int, npt.NDArray[np.float32]], *, measuring: bool
) -> str:
    """Equal for two plans that leave the same cache behind, whatever they tune, watch or preface."""
    parts = [
        encode(item)
        for item in active
        if isinstance(item, Shift | Adapter) or (isinstance(item, Raise) and item.policy == "token")
    ]
    parts += [f"{layer}:{Array(vector).digest}".encode() for layer, vector in sorted(constant.items())]
    if measuring:
        parts.append(b"measuring")
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest() if parts else ""
