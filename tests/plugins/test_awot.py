"""Anchor-word tuning raises phi by the level, in closed form as by gradient, on both engines."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from tests.plugins.support import Reply, say, under
from trimtab.engine.generation import MachineEngine
from trimtab.engine.math import tune_factor
from trimtab.engine.program import EMPTY, Program, Tune
from trimtab.plugins.anchor_tokens import resolve
from trimtab.plugins.anchor_words import parse_anchors
from trimtab.plugins.context import MethodContext
from trimtab.plugins.errors import AnchorError, LineError
from trimtab.plugins.line import Line
from trimtab.plugins.manager import Plugins
from trimtab.plugins.methods.awot import PAPER, step_for
from trimtab.plugins.programs import Composed, compose
from trimtab.vectors.pack import AnchorWords, Pack

SIDES = parse_anchors("+ good:2 home - year another strong")
ANCHORS = Line(source=SIDES, level=4.0)


async def composed(plugins: Plugins, context: MethodContext, line: Line) -> Composed:
    return await compose((line,), plugins, context)


async def tune_of(plugins: Plugins, context: MethodContext, line: Line) -> Tune:
    [tune] = (await composed(plugins, context, line)).program.interventions
    assert isinstance(tune, Tune)
    return tune


def rise(reply: Reply) -> float:
    found = reply.receipt.phi["anchors"]
    assert found.before is not None
    return found.after - found.before


@pytest.mark.parametrize("level", [0.5, 4.0, -3.0])
async def test_the_level_is_the_rise_of_phi(
    plugins: Plugins, context: MethodContext, engine: MachineEngine, level: float
) -> None:
    reply = await under(engine, plugins, context, replace(ANCHORS, level=level))
    # Below zero the sides change places, and so does what phi counts.
    assert rise(reply) == pytest.approx(abs(level), rel=1e-3)


async def test_strength_is_a_part_of_the_level(
    plugins: Plugins, context: MethodContext, engine: MachineEngine
) -> None:
    assert rise(await under(engine, plugins, context, replace(ANCHORS, strength=0.25))) == pytest.approx(
        1.0, rel=1e-3
    )


@pytest.mark.parametrize("penalty", [0.0, 0.003])
async def test_the_closed_form_and_sixty_steps_say_the_same(
    plugins: Plugins, context: MethodContext, engine: MachineEngine, penalty: float
) -> None:
    closed = await under(engine, plugins, context, replace(ANCHORS, options={"penalty": penalty}))
    steps = await under(
        engine, plugins, context, replace(ANCHORS, options={"penalty": penalty, "solver": "gradient"})
    )
    assert closed.ids == steps.ids
    assert [token.logprob for token in closed.tokens] == pytest.approx(
        [token.logprob for token in steps.tokens], abs=2e-3
    )
    assert closed.ids != say(engine, EMPTY).ids


async def test_the_paper_takes_its_own_steps_and_is_warned_of(
    plugins: Plugins, context: MethodContext
) -> None:
    line = replace(ANCHORS, level=1.0, options=PAPER)
    found = await resolve(SIDES, context)
    tune = await tune_of(plugins, context, line)
    assert (tune.step, tune.steps, tune.penalty) == (2.0, 60, 0.0)
    assert 120 * found.gain > 8, "else nothing is to be warned of"
    [note] = (await composed(plugins, context, line)).notes
    assert "text usually falls apart" in note


async def test_weights_and_forms_reach_the_program(plugins: Plugins, context: MethodContext) -> None:
    tune = await tune_of(plugins, context, ANCHORS)
    assert sum(tune.anchors.positive_weights) == pytest.approx(3)
    assert sum(tune.anchors.negative_weights) == pytest.approx(3)
    assert tune.linear


async def test_hold_keeps_phi_at_the_level_and_moves_no_further(
    plugins: Plugins, context: MethodContext, engine: MachineEngine
) -> None:
    reply = await under(engine, plugins, context, replace(ANCHORS, level=2.0, options={"hold": "true"}))
    phis = [token.phi["anchors"] for token in reply.tokens]
    assert min(phis) == pytest.approx(2.0, abs=1e-2)


async def test_before_the_norm_steps_have_a_size_of_their_own(
    plugins: Plugins, context: MethodContext, engine: MachineEngine
) -> None:
    line = replace(ANCHORS, options={"site": "prenorm"})
    with pytest.raises(LineError, match="depends on the state"):
        await composed(plugins, context, line)
    stepping = replace(line, options={"site": "prenorm", "step": 0.1, "steps": 20})
    steered = await under(engine, plugins, context, stepping)
    once = await under(engine, plugins, context, replace(stepping, options={**stepping.options, "steps": 1}))
    assert steered.tokens[0].phi["anchors"] > once.tokens[0].phi["anchors"] + 0.05


async def test_log_odds_need_a_step_too(
    plugins: Plugins, context: MethodContext, engine: MachineEngine
) -> None:
    with pytest.raises(LineError, match="log-odds"):
        await composed(plugins, context, replace(ANCHORS, options={"objective": "logodds"}))
    options = {"objective": "logodds", "step": 0.5, "steps": 40}
    reply = await under(engine, plugins, context, replace(ANCHORS, options=options))
    assert reply.ids != say(engine, EMPTY).ids


@pytest.mark.parametrize(("penalty", "steps"), [(0.0, 1), (0.0, 60), (0.01, 1), (0.01, 60), (1e-12, 60)])
def test_a_step_is_found_for_every_rise(penalty: float, steps: int) -> None:
    step = step_for(5.0, 0.8, steps, penalty)
    assert tune_factor(step, steps, penalty) * 0.8 == pytest.approx(5.0, rel=1e-9)
    assert step * penalty < 1


def test_a_penalty_that_forbids_the_rise_is_named_with_what_it_allows() -> None:
    with pytest.raises(LineError, match="phi rises by less than 4, and not by 5"):
        step_for(5.0, 0.8, 60, penalty=0.1)


async def test_a_pack_and_a_recipe_bring_words(plugins: Plugins, context: MethodContext, pack: Pack) -> None:
    worded = msgspec.structs.replace(pack, anchors=AnchorWords(positive=("good",), negative=("year",)))
    ours = await tune_of(plugins, context, Line(source=worded, method="awot", level=2.0, gate=None))
    typed = await tune_of(plugins, context, Line(source=parse_anchors("+ good - year"), level=2.0))
    assert ours.anchors.positive == typed.anchors.positive
    assert ours.step == typed.step
    wordless = msgspec.structs.replace(pack, anchors=AnchorWords())
    with pytest.raises(AnchorError, match="Security comes without anchor words"):
        await tune_of(plugins, context, Line(source=wordless, method="awot"))


async def test_two_sets_of_words_tune_one_after_the_other(
    plugins: Plugins, context: MethodContext, engine: MachineEngine
) -> None:
    other = Line(source=parse_anchors("+ music - wind"), level=2.0)
    found = await compose((ANCHORS, other), plugins, context)
    assert [item.label for item in found.program.interventions] == ["anchors", "anchors 2"]
    reply = say(engine, Program(interventions=found.program.interventions))
    assert set(reply.receipt.phi) == {"anchors", "anchors 2"}
