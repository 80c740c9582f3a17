"""AWOT, anchor-word tuning: moves the final state so that some words out-score others at every step.

The level is Δφ: by how much phi, the mean logit of the positive anchors less that of the negative ones, rises. With
the state after the final norm phi is linear in it: n steps of size alpha move it by c·d, which raises phi by
Δφ = c‖d‖², where d is the difference of the anchors' mean unembedding rows. So c = Δφ/‖d‖², and alpha follows from
c, n and the penalty.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from msgspec import Meta

from trimtab.engine.math import tune_factor
from trimtab.engine.program import Tune
from trimtab.plugins.anchor_tokens import Parts, Resolved, resolve
from trimtab.plugins.anchor_words import Sides
from trimtab.plugins.context import MethodContext
from trimtab.plugins.errors import AnchorError, LineError
from trimtab.plugins.hooks import hookimpl
from trimtab.plugins.line import Line
from trimtab.plugins.method import Level, Method, MethodOptions, Steering, read_options
from trimtab.plugins.methods.packs import gate_of
from trimtab.vectors.pack import Pack
from trimtab.vectors.recipe import Recipe

PAPER = {"step": 2.0, "steps": 60}
"""The paper's α and n, as options. On models whose rows are long they raise phi far beyond what fluency bears."""
BEARABLE = 8.0
"""A rise of phi beyond which text usually falls apart: a note says so."""


class AwotOptions(MethodOptions, frozen=True, kw_only=True):
    step: (
        Annotated[
            float, Meta(gt=0, description="α: take steps of this size instead of as large as the level.")
        ]
        | None
    ) = None
    steps: Annotated[int, Meta(ge=1, le=10_000, description="n: how many steps are taken.")] = 60
    penalty: Annotated[float, Meta(ge=0, description="λ: what moving far from the first state costs.")] = 0.0
    site: Annotated[
        Literal["normed", "prenorm"], Meta(description="The state after the final norm, or before it.")
    ] = "normed"
    objective: Annotated[
        Literal["phi", "logodds"], Meta(description="The mean logits, or the log of the probabilities' odds.")
    ] = "phi"
    solver: Annotated[
        Literal["auto", "gradient"], Meta(description="The closed form where there is one, or always steps.")
    ] = "auto"
    hold: Annotated[
        bool, Meta(description="Keep phi at the level through the reply, moving as little as that takes.")
    ] = False
    reach: Annotated[
        float, Meta(gt=0, le=1000, description="With hold: by how much phi may be raised at a step.")
    ] = 24.0
    parts: Annotated[
        Parts, Meta(description="What stands for a word of several tokens: the first of them, or all.")
    ] = "first"
    forms: Annotated[bool, Meta(description="Count words with a capital or without a blank before too.")] = (
        True
    )


class Awot:
    name = "awot"
    summary = "Moves the model towards some words and away from others (AWOT)."
    takes = (Sides, Pack, Recipe)
    level = Level(unit="logits that phi rises by", low=-12, high=12, start=4.0)
    options = AwotOptions

    async def steer(self, line: Line, model: MethodContext) -> Steering:
        chosen, sides = read_options(AwotOptions, line), sides_of(line)
        if line.level < 0:
            sides = sides.swapped()
        found = await resolve(sides, model, name=line.title, parts=chosen.parts, forms=chosen.forms)
        amount = abs(line.amount)
        step = step_of(line, chosen, found, amount)
        tune = Tune(
            anchors=found.anchors,
            step=step,
            steps=chosen.steps,
            penalty=chosen.penalty,
            objective=chosen.objective,
            site=chosen.site,
            hold=amount if chosen.hold else None,
            solver=chosen.solver,
            gate=gate_of(line),
            label=line.title,
        )
        return Steering(interventions=(tune,), notes=(*found.notes, *_warnings(tune, found)))


def sides_of(line: Line) -> Sides:
    """The words as typed, or those of a pack or a recipe."""
    source = line.source
    if isinstance(source, Sides):
        return source
    assert isinstance(source, Pack | Recipe)
    if not source.anchors:
        raise AnchorError(f"{source.name} comes without anchor words.", "Type some: + good best - bad awful")
    return Sides.of(source.anchors.positive, source.anchors.negative)


def step_of(line: Line, options: AwotOptions, found: Resolved, amount: float) -> float:
    """The size of a step: what was asked for, or what takes phi as far as the level says."""
    if options.step is not None:
        return options.step if options.hold else options.step * line.strength
    if options.site == "prenorm" or options.objective == "logodds":
        raise LineError(
            f"How far steps move {line.title} before the norm, or by log-odds, depends on the state, so its level "
            "cannot be reckoned in phi.",
            "Give the size of a step, such as step=0.1.",
        )
    return step_for(options.reach if options.hold else amount, found.gain, options.steps, options.penalty)


def step_for(rise: float, gain: float, steps: int, penalty: float = 0.0) -> float:
    """The size such that so many steps raise phi by `rise`; the inverse of `tune_factor`. `gain` is ‖d‖²."""
    factor = rise / gain
    shrink = 2 * penalty * factor
    if shrink >= 1:
        raise LineError(
            f"Under a penalty of {penalty:g} phi rises by less than {gain / (2 * penalty):.3g}, and not by {rise:g}.",
            "Lower the level or the penalty.",
        )
    if shrink == 0:
        return factor / steps
    return -math.expm1(math.log1p(-shrink) / steps) / (2 * penalty)


def rise_of(tune: Tune, found: Resolved) -> float:
    """By how much the closed form raises phi."""
    return tune_factor(tune.step, tune.steps, tune.penalty) * found.gain


def _warnings(tune: Tune, found: Resolved) -> tuple[str, ...]:
    if tune.hold is not None or tune.site == "prenorm" or tune.objective == "logodds":
        return ()
    rise = rise_of(tune, found)
    if rise <= BEARABLE:
        return ()
    return (f"{tune.label} raises phi by {rise:.3g}; beyond {BEARABLE:g} text usually falls apart.",)


@hookimpl
def trimtab_methods() -> tuple[Method, ...]:
    return (Awot(),)
