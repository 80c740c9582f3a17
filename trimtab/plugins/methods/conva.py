"""ConVA: lifts a value's probes to a target at every good layer, by the shortest shift that does it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from trimtab.engine.math import target_logit
from trimtab.engine.program import Probe, Raise
from trimtab.plugins.context import MethodContext
from trimtab.plugins.errors import LineError
from trimtab.plugins.hooks import hookimpl
from trimtab.plugins.line import Line
from trimtab.plugins.method import Level, Method, Steering, read_options
from trimtab.plugins.methods.packs import PackOptions, gate_of, layers_of, pack_of, site
from trimtab.vectors.pack import Pack, ProbeFit


class ConvaOptions(PackOptions, frozen=True, kw_only=True):
    policy: Annotated[
        Literal["token", "prompt"],
        Meta(description="Measure at every token, or once at the prompt's last and add that everywhere."),
    ] = "token"
    cap: Annotated[float, Meta(gt=0, description="The longest shift allowed at a layer.")] | None = None


class Conva:
    """The level x asks for P₀ = 1 - 0.1^x, which is a logit of ln(10^x - 1). Below zero the opposed probe is raised.

    The lines that raise at one layer are solved together by the engine: the least shift that satisfies all.
    """

    name = "conva"
    summary = "Lifts a value's probes to a target by the least shift (ConVA)."
    takes = (Pack,)
    level = Level(unit="nines: the probe is lifted to 1 − 0.1^level", low=-5, high=5)
    options = ConvaOptions

    async def steer(self, line: Line, model: MethodContext) -> Steering:
        pack, chosen = pack_of(line), read_options(ConvaOptions, line)
        if pack.method != "probe":
            raise LineError(
                f"The pack {pack.value} holds plain vectors and no probe, so it has no level to be lifted to.",
                "Steer with the method vector, or build a pack from a recipe.",
            )
        target, gate = target_logit(abs(line.level)), gate_of(line)
        return Steering(
            interventions=tuple(
                Raise(
                    layer=site(pack, layer),
                    probes=(_probe(layer.probe, line.level < 0, model),),
                    targets=(target,),
                    strengths=(line.strength,),
                    policy=chosen.policy,
                    cap=chosen.cap,
                    scope=chosen.scope,
                    gate=gate,
                    label=line.title,
                )
                for layer in layers_of(line, chosen)
                if layer.probe is not None
            )
        )


def _probe(fit: ProbeFit, opposed: bool, model: MethodContext) -> Probe:
    return model.remember(("probe", fit, opposed), lambda: fit.part().opposed() if opposed else fit.part())


@hookimpl
def trimtab_methods() -> tuple[Method, ...]:
    return (Conva(),)
