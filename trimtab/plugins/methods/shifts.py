"""What CAA and RepE share: a unit vector at each layer, times so many mean activation shifts.

The mean activation shift of a layer is the length of the mean difference between the states of the pairs' two sides
there, `‖mean(h⁺ - h⁻)‖`, which a pack holds as `Layer.mean.length`. An amount of 1 therefore moves every state at a
layer as far as the value moves the states of the texts that the pack was made from, on average. It is counted at each
layer for itself: shifts at several layers add up on their way through the model.
"""

from __future__ import annotations

from collections.abc import Callable

from trimtab.engine.program import Array, Shift
from trimtab.plugins.errors import LineError
from trimtab.plugins.line import Line
from trimtab.plugins.method import Level, Steering, read_options
from trimtab.plugins.methods.packs import PackOptions, gate_of, layers_of, pack_of, site
from trimtab.vectors.pack import Layer

LEVEL = Level(unit="mean activation shifts, at each layer", low=-4, high=4)


def shifted(line: Line, what: str, unit_of: Callable[[Layer], tuple[Array, int] | None]) -> Steering:
    """Shifts along what `unit_of` says is a layer's unit vector and its sign, where there is one."""
    pack, chosen = pack_of(line), read_options(PackOptions, line)
    if pack.method != "probe":
        raise LineError(
            f"The pack {pack.value} holds imported vectors, and no {what}.", "Steer with the method vector."
        )
    gate, shifts, left_out = gate_of(line), [], []
    for layer in layers_of(line, chosen):
        unit = unit_of(layer)
        if unit is None or layer.mean is None:
            left_out.append(layer.number)
            continue
        vector, sign = unit
        scale = sign * line.amount * layer.mean.length
        shifts.append(
            Shift(
                layer=site(pack, layer),
                vector=vector,
                scale=scale,
                scope=chosen.scope,
                gate=gate,
                label=line.title,
            )
        )
    if not shifts:
        raise LineError(
            f"The pack {pack.value} has no {what} that points anywhere.",
            "Steer with the method conva, or build the pack from more pairs.",
        )
    notes = (f"{line.title}: no {what} at {_layers(left_out)}.",) if left_out else ()
    return Steering(interventions=tuple(shifts), notes=notes)


def _layers(numbers: list[int]) -> str:
    return f"layer{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
