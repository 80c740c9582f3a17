"""Plain vectors: adds what a pack's file holds for programs that know nothing but vectors."""

from __future__ import annotations

from collections.abc import Iterator

from trimtab.engine.program import Array, Shift
from trimtab.plugins.context import MethodContext
from trimtab.plugins.hooks import hookimpl
from trimtab.plugins.line import Line
from trimtab.plugins.method import Level, Method, Steering, read_options
from trimtab.plugins.methods.packs import PackOptions, gate_of, layers_of, pack_of, site
from trimtab.vectors.pack import Layer, Pack


class Vector:
    """An imported vector times the level, and its offset once; of a pack with probes, the mean closed-form shift."""

    name = "vector"
    summary = "Adds imported control vectors, or a pack's mean shift as llama.cpp would."
    takes = (Pack,)
    level = Level(unit="times the vector", low=-3, high=3)
    options = PackOptions

    async def steer(self, line: Line, model: MethodContext) -> Steering:
        pack, chosen = pack_of(line), read_options(PackOptions, line)
        gate = gate_of(line)
        return Steering(
            interventions=tuple(
                Shift(
                    layer=site(pack, layer),
                    vector=vector,
                    scale=scale,
                    scope=chosen.scope,
                    gate=gate,
                    label=line.title,
                )
                for layer in layers_of(line, chosen)
                for vector, scale in _vectors(layer, line.amount)
            )
        )


def _vectors(layer: Layer, amount: float) -> Iterator[tuple[Array, float]]:
    if layer.probe is not None:
        yield layer.probe.unit, amount * layer.probe.shift
    if layer.added is not None:
        yield layer.added, amount
    if layer.offset is not None:
        yield layer.offset, 1.0


@hookimpl
def trimtab_methods() -> tuple[Method, ...]:
    return (Vector(),)
