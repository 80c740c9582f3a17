"""RepE: adds the first principal component of a value's pair differences at every good layer.

The component is that of the differences as they are, uncentred, unless the pack was built otherwise: centred, it can
lose the mean that matters. Its sign is set by the data, and where they could not tell, the layer is left out.
"""

from __future__ import annotations

from trimtab.engine.program import Array
from trimtab.plugins.context import MethodContext
from trimtab.plugins.hooks import hookimpl
from trimtab.plugins.line import Line
from trimtab.plugins.method import Method, Steering
from trimtab.plugins.methods.packs import PackOptions
from trimtab.plugins.methods.shifts import LEVEL, shifted
from trimtab.vectors.pack import Layer, Pack


class Repe:
    name = "repe"
    summary = "Adds the principal component of contrast pairs' differences (RepE)."
    takes = (Pack,)
    level = LEVEL
    options = PackOptions

    async def steer(self, line: Line, model: MethodContext) -> Steering:
        return shifted(line, "principal component", _unit)


def _unit(layer: Layer) -> tuple[Array, int] | None:
    found = layer.component
    return (found.unit, found.sign) if found is not None and found.sign else None


@hookimpl
def trimtab_methods() -> tuple[Method, ...]:
    return (Repe(),)
