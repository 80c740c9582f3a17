"""Adapters: puts a LoRA adapter, such as RAHF makes, in place at a scale."""

from __future__ import annotations

import msgspec

from trimtab.engine.program import Adapter
from trimtab.plugins.context import MethodContext
from trimtab.plugins.dial import Dial
from trimtab.plugins.hooks import hookimpl
from trimtab.plugins.method import Level, Method, MethodOptions, Steering, read_options


class AdapterMethod:
    name = "adapter"
    summary = "Puts a LoRA adapter in place at a scale."
    takes = (Adapter,)
    level = Level(unit="times the adapter's own scale", low=-1, high=2)
    options = MethodOptions

    async def steer(self, dial: Dial, model: MethodContext) -> Steering:
        read_options(MethodOptions, dial)
        assert isinstance(dial.source, Adapter)
        scale = dial.source.scale * dial.amount
        return Steering(interventions=(msgspec.structs.replace(dial.source, scale=scale, label=dial.title),))


@hookimpl
def trimtab_methods() -> tuple[Method, ...]:
    return (AdapterMethod(),)
