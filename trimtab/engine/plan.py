"""A program made ready to run: per layer and phase, the arrays that an engine puts in place."""

from __future__ import annotations

import dataclasses
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
    """What each row is called in the receipt."""
    digests: tuple[str, ...] = ()
    """The hashes of the rows' weights."""
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


NOTHING = Plan(fingerprint="")
"""Steers nothing."""


@dataclass(frozen=True, eq=False)
class Measured:
    """The shift that one layer's raises of the prompt policy were found to need."""

    probes: frozenset[str]
    """The hashes of the probes that were raised."""
    shift: npt.NDArray[np.float32]


def make_plan(
    program: Program,
    phase: Phase,
    *,
    open_gates: Mapping[Gate, bool],
    measured: Mapping[int, Measured] | None = None,
) -> Plan:
    """The plan of `program` for `phase`.

    A gate missing from `open_gates` counts as closed. Raises of the `prompt` policy are carried out by adding
    what was `measured` for their layer, as long as the program still raises all that was measured there.
    """
    active = [item for item in program.interventions if _active(item, phase, open_gates)]
    shifts: dict[int, npt.NDArray[np.float32]] = {}
    asked = prompt_probes(program, open_gates, phase)
    for layer, found in (measured or {}).items():
        if found.probes <= asked.get(layer, frozenset()):
            shifts[layer] = found.shift.copy()
    for item in active:
        if isinstance(item, Shift) and item.scale != 0:
            change = item.vector.values * np.float32(item.scale)
            shifts[item.layer] = shifts[item.layer] + change if item.layer in shifts else change
    return _plan(
        program,
        active,
        {layer: vector for layer, vector in shifts.items() if vector.any()},
        _join_raises([item for item in active if isinstance(item, Raise) and item.policy == "token"]),
    )


def make_measuring_plan(program: Program, *, open_gates: Mapping[Gate, bool]) -> Plan:
    """The plan for the prompt's last token under which `deltas` tell what the prompt policy needs.

    At a layer with raises of that policy they alone act, whatever their scope: it says where their shift is
    added, not where it is measured.
    """
    plan = make_plan(program, "reply", open_gates=open_gates)
    raising = [
        item
        for item in program.interventions
        if isinstance(item, Raise) and item.policy == "prompt" and _is_open(item, open_gates)
    ]
    return dataclasses.replace(plan, raises={**plan.raises, **_join_raises(raising)})


def prompt_probes(
    program: Program, open_gates: Mapping[Gate, bool], phase: Phase | None = None
) -> dict[int, frozenset[str]]:
    """By layer, the hashes of the probes raised by the prompt policy, in one phase or any."""
    found: dict[int, frozenset[str]] = {}
    for item in program.interventions:
        acts = _is_open(item, open_gates) if phase is None else _active(item, phase, open_gates)
        if acts and isinstance(item, Raise) and item.policy == "prompt":
            digests = frozenset(
                probe.weight.digest
                for probe, strength in zip(item.probes, item.strengths, strict=True)
                if strength > 0
            )
            found[item.layer] = found.get(item.layer, frozenset()) | digests
    return {layer: probes for layer, probes in found.items() if probes}


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


def _plan(
    program: Program,
    active: list[Intervention],
    shifts: Mapping[int, npt.NDArray[np.float32]],
    raises: Mapping[int, JointRaise],
) -> Plan:
    adapters = tuple(item for item in active if isinstance(item, Adapter) and item.scale != 0)
    return Plan(
        fingerprint=_fingerprint(shifts, raises, adapters),
        shifts=shifts,
        raises=raises,
        watches=program.watches,
        adapters=adapters,
        tunes=tuple(item for item in active if isinstance(item, Tune) and item.steps > 0),
    )


def _join_raises(items: list[Raise]) -> dict[int, JointRaise]:
    """By layer, the rows of every raise there that has any strength."""
    by_layer: dict[int, list[Raise]] = {}
    for item in items:
        if any(item.strengths):
            by_layer.setdefault(item.layer, []).append(item)
    return {layer: _join(members) for layer, members in by_layer.items()}


def _join(members: list[Raise]) -> JointRaise:
    rows = [
        (probe, target, strength, _label(place, item, number))
        for place, item in enumerate(members, 1)
        for number, (probe, target, strength) in enumerate(
            zip(item.probes, item.targets, item.strengths, strict=True), 1
        )
        if strength > 0
    ]
    caps = [item.cap for item in members if item.cap is not None]
    return JointRaise(
        weights=np.stack([probe.weight.values for probe, *_ in rows]),
        biases=np.array([probe.bias for probe, *_ in rows], dtype=np.float64),
        targets=np.array([target for _, target, _, _ in rows], dtype=np.float64),
        strengths=np.array([strength for _, _, strength, _ in rows], dtype=np.float64),
        labels=tuple(label for *_, label in rows),
        digests=tuple(probe.weight.digest for probe, *_ in rows),
        cap=min(caps) if caps else None,
    )


def _label(place: int, item: Raise, number: int) -> str:
    name = item.label or f"raise {place}"
    return name if len(item.probes) == 1 else f"{name}, probe {number}"


def _fingerprint(
    shifts: Mapping[int, npt.NDArray[np.float32]],
    raises: Mapping[int, JointRaise],
    adapters: tuple[Adapter, ...],
) -> str:
    """Equal for plans that leave the same cache behind, whatever they tune or watch and what it is called."""
    parts = [f"shift {layer} {Array(vector).digest}" for layer, vector in sorted(shifts.items())]
    for layer, rows in sorted(raises.items()):
        numbers = [rows.biases.tolist(), rows.targets.tolist(), rows.strengths.tolist(), rows.cap]
        parts.append(f"raise {layer} {rows.digests} {numbers}")
    parts += [f"adapter {adapter.digest} {adapter.scale}" for adapter in adapters]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest() if parts else ""
