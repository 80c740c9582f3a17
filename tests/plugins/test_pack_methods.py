"""What the methods that steer with packs do to a model is what their formulas say, on both engines."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import msgspec
import numpy as np
import pytest

from tests.plugins.support import Reply, say, under
from tests.tiny import TinyModel
from tests.vectors.packs import imported_pack, probe_pack
from trimtab.engine.generation import MachineEngine
from trimtab.engine.identity import identify
from trimtab.engine.math import target_logit
from trimtab.engine.program import AdapterFile, Classifier, Gate, Program, Raise, Shift, Watch
from trimtab.plugins.context import MethodContext
from trimtab.plugins.errors import LineError
from trimtab.plugins.line import GateLevel, Line
from trimtab.plugins.manager import Plugins
from trimtab.plugins.programs import compose
from trimtab.vectors.pack import Component, Pack, ProbeFit, Site

Says = Callable[..., Awaitable[Reply]]
Makes = Callable[..., Awaitable[Program]]

LAYER = 2
"""The good layer whose probe is best, and the last at which the pack steers."""


def fit_of(pack: Pack, layer: int = LAYER) -> ProbeFit:
    fit = pack.by_layer[layer].probe
    assert fit is not None
    return fit


def plain(engine: MachineEngine, pack: Pack) -> Reply:
    watch = Watch(name="security", layer=LAYER, probe=fit_of(pack).part())
    return say(engine, Program(watches=(watch,)))


@pytest.fixture
def desk(plugins: Plugins, context: MethodContext, engine: MachineEngine) -> Says:
    """Says what the model says under a line."""

    async def reply(*lines: Line) -> Reply:
        return await under(engine, plugins, context, *lines)

    return reply


@pytest.fixture
def made(plugins: Plugins, context: MethodContext) -> Makes:
    """The program of lines."""

    async def program(*lines: Line) -> Program:
        return (await compose(lines, plugins, context)).program

    return program


# ConVA


@pytest.mark.parametrize("level", [0.9, 1.6, 3.0])
async def test_the_level_is_the_target_of_the_probe(
    desk: Says, engine: MachineEngine, pack: Pack, level: float
) -> None:
    target = target_logit(level)
    assert min(plain(engine, pack).logits("security")) < target
    reply = await desk(Line(source=pack, level=level, gate=None))
    logits = reply.logits("security")
    assert min(logits) == pytest.approx(target, abs=2e-2)
    assert all(
        logit == pytest.approx(target, abs=2e-2)
        for token, logit in zip(reply.tokens, logits, strict=True)
        if token.shift.get(LAYER)
    )


async def test_below_zero_the_value_is_suppressed(desk: Says, engine: MachineEngine, pack: Pack) -> None:
    target = -target_logit(2.0)
    assert max(plain(engine, pack).logits("security")) > target
    reply = await desk(Line(source=pack, level=-2.0, gate=None))
    assert max(reply.logits("security")) == pytest.approx(target, abs=2e-2)


async def test_half_the_strength_goes_half_the_way(desk: Says, engine: MachineEngine, pack: Pack) -> None:
    before = plain(engine, pack).logits("security")[0]
    target = target_logit(4.0)
    assert before < target
    reply = await desk(
        Line(
            source=pack,
            level=4.0,
            strength=0.5,
            gate=None,
            options={"layers": "best", "scope": "reply"},
        )
    )
    assert reply.logits("security")[0] == pytest.approx(before + 0.5 * (target - before), abs=2e-2)


async def test_the_shift_is_the_least_that_reaches_the_target(
    desk: Says, engine: MachineEngine, pack: Pack
) -> None:
    before = plain(engine, pack).logits("security")[0]
    reply = await desk(Line(source=pack, level=3.0, gate=None, options={"layers": "best", "scope": "reply"}))
    distance = (target_logit(3.0) - before) / fit_of(pack).norm
    assert reply.tokens[0].shift == pytest.approx({LAYER: distance}, rel=1e-3)


async def test_several_values_meet_all_their_targets_at_once(
    desk: Says, tiny_llama: TinyModel, pack: Pack
) -> None:
    near = np.array(fit_of(pack).unit.values, dtype=np.float64)
    near[0] += 0.8
    near /= np.linalg.norm(near)
    layers = tuple(
        msgspec.structs.replace(layer, probe=msgspec.structs.replace(fit_of(pack), unit=near))
        for layer in pack.layers
    )
    other = probe_pack(identify(tiny_llama.gguf), value="tradition", layers=layers)
    reply = await desk(
        Line(source=pack, level=3.0, gate=None),
        Line(source=other, level=2.0, gate=None, options={"layers": "1-2"}),
    )
    assert min(reply.logits("security")) > target_logit(3.0) - 2e-2
    assert min(reply.logits("tradition")) > target_logit(2.0) - 2e-2
    assert not reply.receipt.missed


async def test_the_prompt_policy_and_the_cap_are_handed_on(made: Makes, pack: Pack) -> None:
    program = await made(Line(source=pack, options={"policy": "prompt", "cap": "2.5", "scope": "all"}))
    raises = [item for item in program.interventions if isinstance(item, Raise)]
    assert [item.layer for item in raises] == [1, 2]
    assert all(item.policy == "prompt" and item.cap == 2.5 for item in raises)


async def test_the_prompt_policy_steers(desk: Says, engine: MachineEngine, pack: Pack) -> None:
    reply = await desk(Line(source=pack, level=4.0, gate=None, options={"policy": "prompt"}))
    assert reply.logits("security") != pytest.approx(plain(engine, pack).logits("security"), abs=0.1)
    assert reply.receipt.prompt_layers


# The gate


async def test_the_packs_own_gate_is_used_unless_told_otherwise(made: Makes, pack: Pack) -> None:
    assert pack.gate is not None
    for method in ("conva", "caa", "repe", "vector", "awot", "ica"):
        gates: tuple[tuple[GateLevel, float | None], ...] = (("own", 0.4), (0.9, 0.9), (None, None))
        for gate, threshold in gates:
            program = await made(Line(source=pack, method=method, gate=gate))
            for item in program.interventions:
                assert (item.gate and item.gate.threshold) == threshold


async def test_a_closed_gate_steers_nothing(desk: Says, engine: MachineEngine, pack: Pack) -> None:
    reply = await desk(Line(source=pack, level=5.0, gate=1.0))
    assert reply.ids == plain(engine, pack).ids
    [gate] = reply.receipt.gates
    assert not gate.open
    assert (await desk(Line(source=pack, level=5.0, gate=0.0))).receipt.gates[0].open


async def test_a_pack_without_a_gate_says_so(made: Makes, pack: Pack) -> None:
    bare = msgspec.structs.replace(pack, gate=None)
    assert (await made(Line(source=bare))).interventions[0].gate is None
    with pytest.raises(LineError, match=r"has no gate to be set to 0\.5"):
        await made(Line(source=bare, gate=0.5))


# CAA and RepE


@pytest.mark.parametrize(("method", "part"), [("caa", "mean"), ("repe", "component")])
@pytest.mark.parametrize(("level", "strength"), [(0.25, 1.0), (-0.5, 0.5)])
async def test_a_unit_vector_is_added_so_many_mean_activation_shifts_long(
    desk: Says, engine: MachineEngine, pack: Pack, method: str, part: str, level: float, strength: float
) -> None:
    layer = pack.by_layer[LAYER]
    assert layer.mean is not None
    unit = np.asarray(getattr(layer, part).unit.values, dtype=np.float64)
    length = level * strength * layer.mean.length
    before = plain(engine, pack).logits("security")[0]
    options = {"layers": "best", "scope": "reply"}
    reply = await desk(
        Line(source=pack, method=method, level=level, strength=strength, gate=None, options=options)
    )
    assert reply.tokens[0].shift == pytest.approx({LAYER: abs(length)}, rel=1e-4)
    fit = fit_of(pack)
    gained = fit.norm * float(fit.unit.values.astype(np.float64) @ unit) * length
    assert reply.logits("security")[0] - before == pytest.approx(gained, abs=2e-2)


async def test_every_good_layer_is_shifted_by_its_own_unit(made: Makes, pack: Pack) -> None:
    program = await made(Line(source=pack, method="caa", level=2.0))
    found = {item.layer: item.scale for item in program.interventions if isinstance(item, Shift)}
    assert found == {
        number: 2.0 * layer.mean.length
        for number, layer in pack.by_layer.items()
        if number in pack.good and layer.mean
    }


async def test_the_data_set_the_sign_of_the_component(made: Makes, pack: Pack) -> None:
    program = await made(Line(source=signed(pack, {1: -1, 2: 1}), method="repe"))
    scales = {item.layer: item.scale for item in program.interventions if isinstance(item, Shift)}
    assert scales[1] < 0 < scales[2]


async def test_a_component_that_points_nowhere_is_left_out_and_named(
    plugins: Plugins, context: MethodContext, pack: Pack
) -> None:
    line = Line(source=signed(pack, {1: 0, 2: 1}), method="repe")
    composed = await compose((line,), plugins, context)
    assert [item.layer for item in composed.program.interventions if isinstance(item, Shift)] == [2]
    assert composed.notes == ("security: no principal component at layer 1.",)
    nowhere = Line(source=signed(pack, {1: 0, 2: 0}), method="repe")
    with pytest.raises(LineError, match="no principal component that points anywhere"):
        await compose((nowhere,), plugins, context)


def signed(pack: Pack, signs: dict[int, int]) -> Pack:
    layers = tuple(
        msgspec.structs.replace(
            layer,
            component=Component(unit=layer.component.unit, length=1.0, sign=signs.get(layer.number, 1)),
        )
        for layer in pack.layers
        if layer.component is not None
    )
    return msgspec.structs.replace(pack, layers=layers)


# Plain vectors


async def test_an_imported_vector_is_scaled_and_its_offset_is_not(
    desk: Says, made: Makes, tiny_llama: TinyModel
) -> None:
    pack = imported_pack(identify(tiny_llama.gguf))
    assert (await made(Line(source=pack))) == (await made(Line(source=pack, method="vector")))
    reply = await desk(Line(source=pack, level=0.5, options={"scope": "reply"}))
    one, two = pack.by_layer[1], pack.by_layer[2]
    assert one.added is not None and two.added is not None and two.offset is not None
    expected = {
        1: np.linalg.norm(0.5 * one.added.values),
        2: np.linalg.norm(0.5 * two.added.values + two.offset.values),
    }
    assert reply.tokens[0].shift == pytest.approx(expected, rel=1e-4)


async def test_of_a_pack_with_probes_it_is_what_llama_cpp_adds(made: Makes, pack: Pack) -> None:
    program = await made(Line(source=pack, method="vector"))
    for item in program.interventions:
        assert isinstance(item, Shift)
        np.testing.assert_allclose(
            item.vector.values * item.scale, pack.shifts()[item.layer], rtol=1e-5, atol=1e-6
        )


async def test_imported_vectors_have_no_level_to_be_lifted_to(made: Makes, tiny_llama: TinyModel) -> None:
    pack = imported_pack(identify(tiny_llama.gguf))
    for method in ("conva", "caa", "repe"):
        with pytest.raises(LineError, match="vector"):
            await made(Line(source=pack, method=method))


# Layers


@pytest.mark.parametrize(
    ("layers", "expected"),
    [("good", [1, 2]), ("best", [2]), ("all", [0, 1, 2, 3]), ("0-1,3", [0, 1, 3]), ("2", [2])],
)
async def test_layers_are_the_packs_choice_or_the_users(
    made: Makes, pack: Pack, layers: str, expected: list[int]
) -> None:
    program = await made(Line(source=pack, options={"layers": layers}))
    assert [item.layer for item in program.interventions if isinstance(item, Raise)] == expected


@pytest.mark.parametrize(
    ("layers", "said"),
    [("7", "nothing for layer 7"), ("two", "layers of security are 'two'"), ("", "are ''")],
)
async def test_layers_that_are_not_there_are_refused(made: Makes, pack: Pack, layers: str, said: str) -> None:
    with pytest.raises(LineError, match=said):
        await made(Line(source=pack, options={"layers": layers}))


async def test_a_pack_is_applied_at_its_site(made: Makes, pack: Pack) -> None:
    early = msgspec.structs.replace(pack, applied_at=Site(kind="input"))
    program = await made(Line(source=early))
    assert [item.layer for item in program.interventions if isinstance(item, Raise)] == [0, 1]
    with pytest.raises(LineError, match="before block 0"):
        await made(Line(source=early, options={"layers": "0"}))


async def test_a_pack_of_another_width_is_refused(made: Makes) -> None:
    with pytest.raises(Exception, match="8 wide"):
        await made(Line(source=probe_pack()))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"polcy": "prompt"}, "polcy"),
        ({"policy": "words"}, "policy"),
        ({"cap": 0}, "cap"),
        ({"cap": "x"}, "cap"),
    ],
)
async def test_options_that_cannot_be_are_refused_with_those_that_can(
    made: Makes, pack: Pack, options: dict[str, object], said: str
) -> None:
    with pytest.raises(LineError, match=said) as caught:
        await made(Line(source=pack, options=options))
    assert "layers, scope, policy, cap" in caught.value.hint


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"level": math.nan}, "level of security is no number"),
        ({"strength": math.inf}, "strength of security is no number"),
        ({"strength": -1.0}, "must not be below zero"),
        ({"gate": 1.5}, "lies between 0 and 1"),
        ({"gate": "shut"}, "The gate of security is 'shut'"),
    ],
)
def test_sliders_have_bounds(pack: Pack, fields: dict[str, object], said: str) -> None:
    with pytest.raises(LineError, match=said):
        Line(source=pack, **fields)  # type: ignore[arg-type]


# Classifiers as gates


@pytest.mark.parametrize(("gate", "threshold"), [("own", 0.5), (0.7, 0.7), (None, None)])
async def test_a_classifier_takes_the_place_of_the_packs_gate(
    made: Makes, pack: Pack, gate: GateLevel, threshold: float | None
) -> None:
    asked = Classifier(files=(AdapterFile(name="config.json", digest="a" * 64),), label="security")
    program = await made(Line(source=pack, gate=gate, classifier=asked))
    gates = {item.gate for item in program.interventions}
    assert gates == {Gate(classifier=asked, threshold=threshold) if threshold is not None else None}
