"""Adapters: puts a LoRA adapter, such as RAHF makes, in place at a scale."""

from __future__ import annotations

import msgspec

from trimtab.engine.program import Adapter
from trimtab.plugins.context import MethodContext
from trimtab.plugins.hooks import hookimpl
from trimtab.plugins.line import Line
from trimtab.plugins.method import Level, Method, MethodOptions, Steering, read_options


class AdapterMethod:
    name = "adapter"
    summary = "Puts a LoRA adapter in place at a scale."
    takes = (Adapter,)
    level = Level(unit="times the adapter's own scale", low=-1, high=2)
    options = MethodOptions

    async def steer(self, line: Line, model: MethodContext) -> Steering:
        read_options(MethodOptions, line)
        assert isinstance(line.source, Adapter)
        scale = line.source.scale * line.amount
        return Steering(interventions=(msgspec.structs.replace(line.source, scale=scale, label=line.title),))


@hookimpl
def trimtab_methods() -> tuple[Method, ...]:
    return (AdapterMethod(),)
