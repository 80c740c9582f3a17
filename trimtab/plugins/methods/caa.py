"""CAA: adds the mean difference between a value's two sides at every good layer."""

from __future__ import annotations

from trimtab.engine.program import Array
from trimtab.plugins.context import MethodContext
from trimtab.plugins.hooks import hookimpl
from trimtab.plugins.line import Line
from trimtab.plugins.method import Method, Steering
from trimtab.plugins.methods.packs import PackOptions
from trimtab.plugins.methods.shifts import LEVEL, shifted
from trimtab.vectors.pack import Layer, Pack


class Caa:
    name = "caa"
    summary = "Adds the mean difference of contrast pairs (CAA)."
    takes = (Pack,)
    level = LEVEL
    options = PackOptions

    async def steer(self, line: Line, model: MethodContext) -> Steering:
        return shifted(line, "mean difference", _unit)


def _unit(layer: Layer) -> tuple[Array, int] | None:
    return (layer.mean.unit, 1) if layer.mean is not None else None


@hookimpl
def trimtab_methods() -> tuple[Method, ...]:
    return (Caa(),)
